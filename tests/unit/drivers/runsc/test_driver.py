"""What needs no boot; the rest is the contract suite's (tests/contract/test_driver.py)."""

import asyncio
from pathlib import Path

import pytest

from continue_exec.drivers.base import Capability, SandboxSpec
from continue_exec.drivers.runsc import RunscDriver, cgroups, driver, record
from continue_exec.errors import DiskFull, HostUnready, SandboxFailed


@pytest.fixture
def spec(tmp_path: Path) -> SandboxSpec:
    agent = tmp_path / "agent"
    agent.write_text("#!/bin/sh\n")
    agent.chmod(0o755)
    return SandboxSpec("sb_x", tmp_path / "box", tmp_path / "run", Path("/home/me/ws"), agent)


def make(tmp_path: Path) -> RunscDriver:
    runsc = tmp_path / "runsc"
    runsc.write_text("#!/bin/sh\necho 'something went wrong' >&2; exit 3\n")
    runsc.chmod(0o755)
    return RunscDriver(runsc, home=tmp_path / "home", environ={"HOME": str(tmp_path), "PATH": "/usr/bin"})


@pytest.mark.parametrize(
    ("controllers", "limits"),
    [
        (frozenset(), {Capability.LIMIT_PROCESSES}),
        ({"memory"}, {Capability.LIMIT_PROCESSES, Capability.LIMIT_MEMORY}),
        ({"cpu", "pids"}, {Capability.LIMIT_PROCESSES, Capability.LIMIT_CPU}),
    ],
)
def test_capabilities_are_what_the_host_can_enforce(
    controllers: frozenset[str], limits: set[Capability], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = cgroups.Cgroups(2, frozenset(controllers), "/x", False, "")
    monkeypatch.setattr(cgroups, "detect", lambda user: host)

    assert make(tmp_path).capabilities() == limits | {
        Capability.PAUSE,
        Capability.FIRST_FILES,
        Capability.WORKSPACE_FILES,
        Capability.COPY,
        Capability.SNAPSHOT_MEMORY,
        Capability.BINDS,
    }


async def test_a_runsc_that_fails_is_quoted_and_leaves_nothing(spec: SandboxSpec, tmp_path: Path) -> None:
    with pytest.raises(SandboxFailed) as caught:
        await make(tmp_path).start(spec)

    assert "something went wrong" in str(caught.value)
    assert not (spec.folder / "state").exists()
    assert not (spec.folder / record.NAME).exists()


async def test_a_full_disk_is_named_so(spec: SandboxSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr(driver.layer, "ensure", full)

    with pytest.raises(DiskFull):
        await make(tmp_path).start(spec)


async def test_a_missing_agent_is_named(spec: SandboxSpec, tmp_path: Path) -> None:
    spec.agent.unlink()

    with pytest.raises(HostUnready, match="agent") as caught:
        await make(tmp_path).start(spec)

    assert "build-agent" in caught.value.hint


async def test_a_cancelled_start_leaves_nothing(spec: SandboxSpec, tmp_path: Path) -> None:
    under_test = make(tmp_path)
    (tmp_path / "runsc").write_text("#!/bin/sh\nexec sleep 600\n")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await under_test.start(spec)

    assert not (spec.folder / "state").exists()
    assert driver.processes.find(spec.folder / "state") == []


async def test_a_runsc_that_hangs_is_given_up(
    spec: SandboxSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "START_TIMEOUT_S", 0.5)
    under_test = make(tmp_path)
    (tmp_path / "runsc").write_text("#!/bin/sh\nexec sleep 600\n")

    with pytest.raises(SandboxFailed, match="did not start"):
        await under_test.start(spec)

    assert driver.processes.find(spec.folder / "state") == []


def test_a_folder_too_deep_for_a_socket_keeps_its_state_beside_the_sockets_and_not_in_them(tmp_path: Path) -> None:
    deep = SandboxSpec("sb_x", Path("/" + "d" * 90), Path("/run/u/sb_x"), Path("/ws"), Path("/agent"))

    state = make(tmp_path)._state(deep)

    assert len(str(state / "runsc-sb.sock")) <= driver.SUN_PATH
    assert not state.is_relative_to(deep.sockets)
