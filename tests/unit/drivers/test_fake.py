"""The agent as a plain process: it outlives its driver, is found again, and ends for certain."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from continue_exec import app
from continue_exec.agent.connection import AgentConnection
from continue_exec.drivers.base import Capability, Driver, SandboxSpec
from continue_exec.drivers.fake import FakeDriver
from continue_exec.errors import SandboxFailed
from tests.support.homes import Home


@pytest.fixture
async def spec() -> AsyncIterator[SandboxSpec]:
    home = Home.make("cxf-")
    spec = SandboxSpec(
        "sb_1", home.folder / "sandbox", home.folder / "run", home.folder / "project", app.agent_binary()
    )
    yield spec
    await FakeDriver().destroy(spec)
    home.remove()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_it_starts_is_found_again_and_ends(spec: SandboxSpec) -> None:
    driver: Driver = FakeDriver()
    assert await driver.connect(spec) is None
    machine = await driver.start(spec)
    assert (machine.isolation, machine.sandbox_id) == ("none", "sb_1")
    connection = await AgentConnection.open(machine.doorbell, spec.sockets)
    assert connection.hello.pid == machine.pid
    await connection.close()
    assert await FakeDriver().connect(spec) == machine
    assert await driver.start(spec) == machine
    await driver.stop(spec)
    assert not alive(machine.pid)
    assert await driver.connect(spec) is None
    await driver.stop(spec)


async def test_files_stay_until_it_is_destroyed(spec: SandboxSpec) -> None:
    driver = FakeDriver()
    first = await driver.start(spec)
    (spec.folder / "home" / "kept").write_text("x")
    await driver.stop(spec)
    second = await driver.start(spec)
    assert second.pid != first.pid
    assert (spec.folder / "home" / "kept").read_text() == "x"
    await driver.destroy(spec)
    assert not alive(second.pid)
    assert not spec.folder.exists()
    assert spec.workspace.is_dir()


async def test_an_agent_that_cannot_be_started(spec: SandboxSpec, tmp_path: Path) -> None:
    broken = SandboxSpec("sb_2", tmp_path / "sb", tmp_path / "run", tmp_path / "project", tmp_path / "no-agent")
    with pytest.raises(SandboxFailed, match="no-agent") as caught:
        await FakeDriver().start(broken)
    assert caught.value.data["log"].endswith("agent.log")
    assert await FakeDriver().connect(broken) is None


async def test_another_process_of_the_same_number_is_left_alone(spec: SandboxSpec) -> None:
    spec.folder.mkdir(parents=True)
    (spec.folder / "process").write_text(f"{os.getpid()} 1")
    assert await FakeDriver().connect(spec) is None
    await FakeDriver().stop(spec)
    assert alive(os.getpid())


async def test_it_says_what_it_is() -> None:
    driver = FakeDriver()
    assert [check.status for check in await driver.check()] == ["warning"]
    assert driver.capabilities() == {Capability.PAUSE, Capability.WORKSPACE_FILES}
