"""The life of sandboxes on the fake driver; on the real one: tests/e2e."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from continue_exec.errors import InvalidRequest, NotFound, SandboxFailed
from continue_exec.model import SandboxState
from continue_exec.protocol.methods import SandboxRef, WorkspaceRef

from .conftest import World


def by_path(folder: Path) -> SandboxRef:
    return SandboxRef(workspace=WorkspaceRef(path=str(folder)))


async def test_many_requests_make_one_sandbox(world: World, workspace: Path) -> None:
    lives = await asyncio.gather(*(world.ensure(workspace) for _ in range(10)))
    assert len({id(live) for live in lives}) == 1
    assert [s.state for s in world.sandboxes.all()] == [SandboxState.RUNNING]


async def test_stop_keeps_it_remove_forgets_it(world: World, workspace: Path) -> None:
    live = await world.ensure(workspace)
    assert (await world.sandboxes.stop(by_path(workspace))).state is SandboxState.STOPPED
    assert (await world.sandboxes.stop(by_path(workspace))).state is SandboxState.STOPPED, "twice is once"
    again = await world.ensure(workspace)
    assert again.sandbox.id == live.sandbox.id and again is not live
    await world.sandboxes.remove(by_path(workspace))
    with pytest.raises(NotFound):
        world.sandboxes.get(by_path(workspace))
    assert not world.folders.sandbox(live.sandbox.id).exists()
    assert not world.folders.sockets(live.sandbox.id).exists()


async def test_it_is_found_by_a_prefix(world: World, workspace: Path) -> None:
    live = await world.ensure(workspace)
    assert world.sandboxes.get(SandboxRef(sandbox_id=live.sandbox.id[:6])).id == live.sandbox.id
    for wrong, error in (("sb_zz", NotFound), ("", InvalidRequest)):
        with pytest.raises(error):
            world.sandboxes.get(SandboxRef(sandbox_id=wrong))


async def test_the_next_engine_adopts_it(world: World, workspace: Path) -> None:
    live = await world.ensure(workspace)
    await world.close()
    world.open()
    await world.sandboxes.adopt()
    adopted = await world.ensure(workspace)
    assert adopted.machine.pid == live.machine.pid and adopted.agent.hello.boot_id == live.agent.hello.boot_id


async def test_one_that_ended_without_an_engine_is_laid_down(world: World, workspace: Path) -> None:
    live = await world.ensure(workspace)
    await world.close()
    await world.driver.stop(live.spec)
    world.open()
    await world.sandboxes.adopt()
    (found,) = world.sandboxes.all()
    assert found.state is SandboxState.STOPPED and "had ended" in found.reason


async def test_a_lost_connection_is_made_again(world: World, workspace: Path) -> None:
    live = await world.ensure(workspace)
    active = await world.start(workspace, "sh", "-c", "sleep 0.3; echo on")
    first = live.agent
    await first.close()
    assert await asyncio.wait_for(world.output(active.run.id), 10) == b"on\n"
    assert live.agent is not first


async def test_a_connection_that_is_lost_again_and_again_is_given_up(world: World, workspace: Path) -> None:
    live = await world.ensure(workspace)
    active = await world.start(workspace, "sleep", "1000")
    while not active.ended.is_set():
        agent = live.agent
        await agent.close()
        while live.agent is agent and not active.ended.is_set():  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.01)
    assert active.run.state == "lost" and len(live.losses) == 6
    assert world.sandboxes.get(by_path(workspace)).state is SandboxState.STOPPED


async def test_a_dead_agent_stops_the_sandbox_and_loses_its_runs(world: World, workspace: Path) -> None:
    live = await world.ensure(workspace)
    # cat: here, unlike in a real sandbox, processes outlive process 1; this one ends with its input.
    active = await world.start(workspace, "cat", stdin=True)
    os.kill(live.machine.pid, signal.SIGKILL)
    await asyncio.wait_for(active.ended.wait(), 20)
    assert (active.run.state, active.run.reason) == ("lost", "the sandbox ended unexpectedly")
    assert (await world.start(workspace, "true")).run.sandbox_id == live.sandbox.id, "and it starts anew"


async def test_one_that_does_not_come_up_leaves_nothing(
    world: World, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise SandboxFailed("no luck")

    monkeypatch.setattr(world.driver, "start", fails)
    with pytest.raises(SandboxFailed):
        await world.ensure(workspace)
    assert world.sandboxes.all() == [] and list((world.folders.home / "sandboxes").iterdir()) == []
    monkeypatch.undo()
    live = await world.ensure(workspace)
    await world.sandboxes.stop(by_path(workspace))
    monkeypatch.setattr(world.driver, "start", fails)
    with pytest.raises(SandboxFailed):
        await world.ensure(workspace)
    found = world.sandboxes.get(SandboxRef(sandbox_id=live.sandbox.id))
    assert (found.state, found.reason) == (SandboxState.FAILED, "no luck"), "an old one keeps its files"
