"""What becomes of a sandbox that nobody uses, on the fake driver; on the real one: tests/e2e/test_standby.py."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from continue_exec.drivers.base import Capability, Machine, SandboxSpec
from continue_exec.engine import standby
from continue_exec.engine.live import Live
from continue_exec.errors import DiskFull, SandboxFailed
from continue_exec.model import SandboxState
from continue_exec.protocol.events import RunNotice, from_frame
from continue_exec.protocol.frames import Parser

from .conftest import World


async def test_an_unused_one_is_paused_and_wakes_with_the_next_request(
    world: World, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def state() -> str:
        return Path(f"/proc/{live.machine.pid}/stat").read_text().rpartition(")")[2].split()[0]

    async def none() -> int:
        return 0

    live = await world.ensure(workspace)
    monkeypatch.setattr(live, "process_count", none)
    await standby.rest(world.sandboxes, live)
    assert not live.paused, "it was used just now"
    live.sandbox = live.sandbox.model_copy(update={"used_at": time.time() - 0.15})
    await standby.rest(world.sandboxes, live)
    assert live.paused
    async with asyncio.timeout(10):
        while state() != "T":  # noqa: ASYNC110 - a signal takes effect a moment later
            await asyncio.sleep(0.01)
    (workspace / "saved-meanwhile").write_text("x")
    active = await world.start(workspace, "cat", "saved-meanwhile")
    assert await world.output(active.run.id) == b"x" and not live.paused
    live.sandbox = live.sandbox.model_copy(update={"used_at": time.time() - 0.15})
    await standby.rest(world.sandboxes, live)
    assert live.paused
    await world.close()
    world.open()
    await world.sandboxes.adopt()
    assert state() != "T", "the next engine wakes what it adopts"


async def test_an_idle_one_is_stopped_unless_something_runs_in_it(
    world: World, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = await world.ensure(workspace)

    async def count() -> int:
        return processes

    async def none() -> float:
        return 0.0

    processes = 1
    monkeypatch.setattr(live, "process_count", count)
    monkeypatch.setattr(live, "cpu_share", none)
    live.sandbox = live.sandbox.model_copy(update={"used_at": time.time() - 10})
    assert not await standby.rest(world.sandboxes, live) and not live.paused, "a background process keeps it"
    processes = 0
    assert await standby.rest(world.sandboxes, live)
    (found,) = world.sandboxes.all()
    assert (found.state, found.reason) == (SandboxState.STOPPED, "idle")


class Saving:
    """Has the fake driver save memory: it notes that it did, and ends the agent."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.fails: Exception | None = None
        self.woken: list[Path | None] = []
        self.start = world.driver.start
        found = world.driver.capabilities() | {Capability.SNAPSHOT_MEMORY}
        monkeypatch.setattr(world.driver, "capabilities", lambda: found)
        monkeypatch.setattr(world.driver, "save_memory", self.save)
        monkeypatch.setattr(world.driver, "start", self.wake)

    async def save(self, spec: SandboxSpec, image: Path) -> None:
        if self.fails is not None:
            raise self.fails
        image.mkdir()
        (image / "pages").write_text("memory")
        await self.world.driver.stop(spec)

    async def wake(self, spec: SandboxSpec, fill: object = None, bell: object = None, memory: object = None) -> Machine:
        self.woken.append(memory if isinstance(memory, Path) else None)
        if memory is not None and self.fails is not None:
            raise self.fails
        return await self.start(spec, None, bell)  # type: ignore[arg-type]


async def idle(world: World, workspace: Path, monkeypatch: pytest.MonkeyPatch, cpu: float = 0.0) -> Live:
    """A sandbox with one background process that nobody has used for long."""
    live = await world.ensure(workspace)

    async def one() -> int:
        return 1

    async def share() -> float:
        return cpu

    monkeypatch.setattr(live, "process_count", one)
    monkeypatch.setattr(live, "cpu_share", share)
    live.sandbox = live.sandbox.model_copy(update={"used_at": time.time() - 10})
    return live


async def test_what_runs_goes_to_disk_and_wakes_with_the_next_request(
    world: World, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving = Saving(world, monkeypatch)
    live = await idle(world, workspace, monkeypatch)
    image = world.folders.memory(live.sandbox.id)
    assert await standby.rest(world.sandboxes, live)
    (found,) = world.sandboxes.all()
    assert (found.state, found.reason) == (SandboxState.STANDBY, "idle") and image.is_dir()
    await world.close()
    world.open()
    await world.sandboxes.adopt()
    assert [one.state for one in world.sandboxes.all()] == [SandboxState.STANDBY], "the next engine lets it rest"
    again = await world.ensure(workspace)
    assert saving.woken == [image] or saving.woken[-1] == image
    assert again.sandbox.state is SandboxState.RUNNING and not image.exists(), "its files change now"


async def test_memory_that_does_not_wake_is_said(
    world: World, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving = Saving(world, monkeypatch)
    live = await idle(world, workspace, monkeypatch)
    assert await standby.rest(world.sandboxes, live)
    saving.fails = SandboxFailed("another build")
    active = await world.start(workspace, "true")
    parser, told = Parser(), []
    async for piece in world.runs.follow(active.run.id, 0):
        told += [from_frame(*frame) for frame in parser.feed(bytes(piece))]
    assert [event.code for event in told if isinstance(event, RunNotice)] == ["memory_lost"]
    assert not world.folders.memory(live.sandbox.id).exists()


async def test_one_that_cannot_be_saved_stays_up(
    world: World, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving = Saving(world, monkeypatch)
    live = await idle(world, workspace, monkeypatch)
    saving.fails = DiskFull("no room")
    assert not await standby.rest(world.sandboxes, live)
    again = world.sandboxes.live[live.workspace]
    assert again.machine.pid == live.machine.pid and again.sandbox.state is SandboxState.RUNNING
    assert not await standby.rest(world.sandboxes, again), "not tried again at once"


async def test_a_process_that_computes_is_use(world: World, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Saving(world, monkeypatch)
    live = await idle(world, workspace, monkeypatch, cpu=0.5)
    assert not await standby.rest(world.sandboxes, live)
    assert time.time() - live.sandbox.used_at < 5


async def test_stopped_it_has_no_memory(world: World, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Saving(world, monkeypatch)
    live = await idle(world, workspace, monkeypatch)
    assert await standby.rest(world.sandboxes, live)
    (found,) = world.sandboxes.all()
    async with world.sandboxes.lock(live.workspace):
        stopped = await world.sandboxes.end(found, "stopped")
    assert stopped.state is SandboxState.STOPPED and not world.folders.memory(found.id).exists()
