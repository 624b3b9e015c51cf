from pathlib import Path
from typing import Any

from continue_exec.drivers.runsc import bundle
from continue_exec.model import Limits
from continue_exec.protocol.agent import BIND_DIR

NO_LIMITS = Limits()


def config(limits: Limits = NO_LIMITS, cgroup: str | None = "/continue-exec/x") -> dict[str, Any]:
    places = {"root": Path("/r"), "sockets": Path("/s"), "binds": Path("/b")}
    return bundle.config(**places, env={"A": "b=c"}, limits=limits, cgroup=cgroup)


def test_process_1_is_the_agent_with_the_base_environment() -> None:
    process = config()["process"]

    assert process["args"] == [bundle.AGENT]
    assert process["env"] == ["A=b=c"]


def test_no_program_but_the_agent_can_lift_the_limit_on_processes() -> None:
    capabilities = config()["process"]["capabilities"]

    assert "CAP_SYS_ADMIN" in capabilities["effective"]
    assert not {"CAP_SYS_ADMIN", "CAP_SYS_RESOURCE"} & set(capabilities["bounding"])
    assert "CAP_SYS_RESOURCE" not in capabilities["effective"]
    assert not {"ambient", "inheritable"} & set(capabilities)


def test_only_sockets_and_shown_folders_are_bound_and_read_only() -> None:
    binds = [mount for mount in config()["mounts"] if mount["type"] == "bind"]

    assert [(bind["source"], bind["destination"]) for bind in binds] == [("/s", bundle.SOCKETS), ("/b", BIND_DIR)]
    assert all("ro" in bind["options"] for bind in binds)


def test_limits_stand_where_runsc_reads_them() -> None:
    found = config(Limits(memory_bytes=1 << 30, cpus=1.5, processes=100))

    assert found["linux"]["resources"]["memory"] == {"limit": 1 << 30}
    assert found["linux"]["resources"]["cpu"] == {"period": 100_000, "quota": 150_000}
    # Host threads of the sentry count too, so the backstop is never as low as the limit inside.
    assert found["linux"]["resources"]["pids"]["limit"] == bundle.PIDS_FLOOR
    assert {"type": "RLIMIT_NPROC", "soft": 100, "hard": 100} in found["process"]["rlimits"]


def test_a_large_limit_on_processes_raises_the_backstop() -> None:
    assert bundle.resources(Limits(processes=4096))["pids"]["limit"] == 4 * 4096


def test_no_limit_means_no_entry() -> None:
    limits = Limits(processes=None)

    assert bundle.resources(limits) == {}
    assert [one["type"] for one in bundle.rlimits(limits)] == ["RLIMIT_CORE", "RLIMIT_NOFILE"]


def test_without_cgroups_there_is_no_path_and_no_resources() -> None:
    assert set(config(cgroup=None)["linux"]) == {"namespaces"}


def test_a_network_namespace_of_its_own() -> None:
    kinds = {one["type"] for one in config()["linux"]["namespaces"]}

    assert kinds == {"pid", "mount", "ipc", "uts", "network"}
