"""On trees that look like the kernel's: which of them a machine has cannot be chosen in a test."""

import errno
import os
from pathlib import Path

import pytest

from continue_exec.drivers.runsc import cgroups


def v1(root: Path) -> Path:
    for name in ("memory", "cpu", "pids", "systemd"):
        (root / name).mkdir(parents=True)
    return root


def v2(root: Path, *folders: str, controllers: str = "cpuset cpu io memory pids") -> Path:
    for folder in ("", *folders):
        place = root / folder
        place.mkdir(parents=True, exist_ok=True)
        (place / "cgroup.controllers").write_text(controllers)
        (place / "cgroup.subtree_control").write_text("")
    # The kernel makes these with the folder; here they must be there before.
    for folder in ("", *folders):
        parent = root / folder / cgroups.PARENT
        parent.mkdir(exist_ok=True)
        (parent / "cgroup.subtree_control").write_text("")
    return root


def proc(folder: Path, group: str) -> Path:
    (folder / "self").mkdir(parents=True)
    (folder / "self" / "cgroup").write_text(f"0::{group}\n")
    return folder


def test_no_cgroups(tmp_path: Path) -> None:
    found = cgroups.detect(root=tmp_path, user=False)

    assert (found.version, found.controllers, found.group("x")) == (0, frozenset(), "")
    assert found.reason


def test_v1_as_root(tmp_path: Path) -> None:
    found = cgroups.detect(root=v1(tmp_path), user=False)

    assert found.version == 1
    assert found.controllers == {"memory", "cpu", "pids"}
    assert found.group("sb_1") == "/continue-exec/sb_1"
    assert not found.by_launcher


def test_v1_as_an_ordinary_user(tmp_path: Path) -> None:
    found = cgroups.detect(root=v1(tmp_path), user=True)

    assert found.group("sb_1") == ""
    assert "v1" in found.reason


def test_v2_as_root_delegates_what_is_needed(tmp_path: Path) -> None:
    found = cgroups.detect(root=v2(tmp_path), user=False)

    assert found.controllers == {"memory", "cpu", "pids"}
    assert found.group("sb_1") == "/continue-exec/sb_1"
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"
    assert (tmp_path / "continue-exec" / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"


def test_v2_lacking_a_controller_says_which(tmp_path: Path) -> None:
    found = cgroups.detect(root=v2(tmp_path, controllers="memory pids"), user=False)

    assert found.controllers == {"memory", "pids"}
    assert "cpu" in found.reason


def test_v2_as_a_user_beneath_systemds_user_manager(tmp_path: Path) -> None:
    manager = f"user.slice/user-{os.getuid()}.slice/user@{os.getuid()}.service"
    root = v2(tmp_path / "cg", manager)

    found = cgroups.detect(root=root, proc=proc(tmp_path / "p", f"/{manager}/app.slice/x.scope"), user=True)

    assert found.group("sb_1") == f"/{manager}/continue-exec/sb_1"
    assert found.by_launcher


@pytest.mark.parametrize(
    "group", ["/", "/user.slice/user-7.slice/session-3.scope", "/user.slice/user@99999999.service/x"]
)
def test_v2_as_a_user_elsewhere_has_none(tmp_path: Path, group: str) -> None:
    found = cgroups.detect(root=v2(tmp_path / "cg"), proc=proc(tmp_path / "p", group), user=True)

    assert found.group("sb_1") == ""
    assert not found.by_launcher
    assert found.reason


def test_v2_that_may_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("memory pids cpu")

    found = cgroups.detect(root=tmp_path, user=False)  # there is no cgroup.subtree_control to write

    assert found.controllers == frozenset()
    assert "cgroup.subtree_control" in found.reason


def test_a_v2_group_gets_its_limits(tmp_path: Path) -> None:
    (tmp_path / "continue-exec").mkdir()
    limits = {"pids": {"limit": 2000}, "memory": {"limit": 1 << 20}, "cpu": {"quota": 50_000, "period": 100_000}}

    procs = cgroups.make_v2("/continue-exec/sb_1", limits, root=tmp_path)

    group = tmp_path / "continue-exec" / "sb_1"
    assert procs == group / "cgroup.procs"
    found = {file.name: file.read_text() for file in group.iterdir()}
    assert found == {"pids.max": "2000", "memory.max": str(1 << 20), "cpu.max": "50000 100000"}


def test_a_v1_group_for_processes_alone(tmp_path: Path) -> None:
    root = v1(tmp_path)

    procs = cgroups.make_pids_v1("/continue-exec/sb_1", {"pids": {"limit": 2000}}, root=root)

    assert procs == root / "pids" / "continue-exec" / "sb_1" / "cgroup.procs"
    assert (procs.parent / "pids.max").read_text() == "2000"
    assert not (root / "memory" / "continue-exec").exists()


def test_remove_takes_the_group_from_every_hierarchy(tmp_path: Path) -> None:
    root = v1(tmp_path)
    for name in ("memory", "pids"):
        (root / name / "continue-exec" / "sb_1").mkdir(parents=True)

    cgroups.remove("/continue-exec/sb_1", root=root)

    assert not list(root.glob("*/continue-exec/sb_1"))
    assert (root / "memory" / "continue-exec").is_dir()


def test_a_group_whose_last_process_is_still_ending_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = v1(tmp_path) / "memory" / "continue-exec" / "sb_1"
    group.mkdir(parents=True)
    calls = []
    real = Path.rmdir

    def busy_twice(path: Path) -> None:
        calls.append(path)
        if calls.count(path) < 3 and path == group:
            raise OSError(errno.EBUSY, "busy")
        real(path)

    monkeypatch.setattr(Path, "rmdir", busy_twice)

    cgroups.remove("/continue-exec/sb_1", root=tmp_path)

    assert not group.exists()


def test_a_group_that_stays_busy_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = v1(tmp_path) / "memory" / "continue-exec" / "sb_1"
    group.mkdir(parents=True)

    def busy(path: Path) -> None:
        raise OSError(errno.EBUSY, "busy")

    monkeypatch.setattr(Path, "rmdir", busy)
    monkeypatch.setattr(cgroups, "REMOVE_TIMEOUT_S", 0.01)

    cgroups.remove("/continue-exec/sb_1", root=tmp_path)

    assert group.exists()


@pytest.mark.parametrize("group", ["", "/../..", "/continue-exec/../memory"])
def test_remove_stays_within_the_hierarchy(tmp_path: Path, group: str) -> None:
    root = v1(tmp_path)

    cgroups.remove(group, root=root)

    assert sorted(entry.name for entry in root.iterdir()) == ["cpu", "memory", "pids", "systemd"]
