"""Runs on the fake driver; on the real one: tests/e2e/test_runs.py."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from continue_exec.errors import CommandNotFound, Conflict, InvalidRequest, NotFound
from continue_exec.model import RunState

from .conftest import World


async def test_a_run_from_start_to_record(world: World, workspace: Path) -> None:
    active = await world.start(workspace, "sh", "-c", "echo hi; exit 3")
    assert await world.output(active.run.id) == b"hi\n"
    run = world.runs.get(active.run.id)
    assert (run.state, run.exit_code, run.last_seq) == (RunState.EXITED, 3, 3)
    assert world.runs.get(run.id[4:9]) == run, "a prefix will do, with or without run_"
    assert await world.output(run.id) == b"hi\n", "the log stays"


async def test_what_cannot_be_started_is_a_failed_run(world: World, workspace: Path) -> None:
    with pytest.raises(CommandNotFound):
        await world.start(workspace, "no-such-program")
    (run,) = world.runs.newest(sandbox_id=None, active=False, limit=10)
    assert run.state is RunState.FAILED and "no-such-program" in run.reason
    assert not world.runs.active


async def test_acting_on_what_has_ended(world: World, workspace: Path) -> None:
    active = await world.start(workspace, "true")
    await active.ended.wait()
    with pytest.raises(Conflict):
        await world.runs.stdin(active.run.id, b"x")
    assert (await world.runs.cancel(active.run.id, 0)).exit_code == 0
    for wrong, error in (("run_ffffffffffff", NotFound), ("", NotFound), ("run_", NotFound)):
        with pytest.raises(error):
            world.runs.get(wrong)


async def test_cancel_and_time_limit_say_why(world: World, workspace: Path) -> None:
    active = await world.start(workspace, "sleep", "1000")
    assert (await world.runs.cancel(active.run.id, 1.0)).reason == "cancelled"
    limited = await world.start(workspace, "sleep", "1000", timeout_s=0.1)
    await asyncio.wait_for(limited.ended.wait(), 10)
    assert limited.run.reason == "timeout"


async def test_an_unfinished_run_is_adopted_by_the_next_engine(world: World, workspace: Path) -> None:
    active = await world.start(workspace, "sh", "-c", "echo one; sleep 0.5; echo two")
    await world.close()
    world.open()
    await world.sandboxes.adopt()
    assert await world.output(active.run.id) == b"one\ntwo\n"
    assert world.runs.get(active.run.id).exit_code == 0


async def test_a_process_that_no_record_names_is_ended(world: World, workspace: Path) -> None:
    active = await world.start(workspace, "sleep", "1000")
    live = await world.ensure(workspace)
    await world.close()
    world.open()
    world.state.delete_runs([active.run.id])
    await world.sandboxes.adopt()
    again = await world.ensure(workspace)
    assert again is not live and [s.stream for s in again.agent.hello.streams] == [active.stream]
    await again.agent.close()
    renewed = await world.start(workspace, "true")
    await renewed.ended.wait()
    assert active.stream not in [s.stream for s in (await world.ensure(workspace)).agent.hello.streams]


async def test_a_client_that_goes_before_it_knows_the_run_leaves_none(world: World, workspace: Path) -> None:
    live = await world.ensure(workspace)
    before = len(world.runs.newest(sandbox_id=None, active=False, limit=100))
    starting = asyncio.ensure_future(world.start(workspace, "sleep", "1000"))
    while len(world.runs.newest(sandbox_id=None, active=False, limit=100)) == before:  # noqa: ASYNC110
        await asyncio.sleep(0)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    (run, *_) = world.runs.newest(sandbox_id=live.sandbox.id, active=False, limit=1)
    async with asyncio.timeout(10):
        async for _ in world.runs.follow(run.id, 0):
            pass
    assert world.runs.get(run.id).state in (RunState.EXITED, RunState.FAILED)


async def test_only_a_terminal_is_resized(world: World, workspace: Path) -> None:
    from continue_exec.model import TerminalSize

    active = await world.start(workspace, "sleep", "1000")
    with pytest.raises(InvalidRequest):
        await world.runs.resize(active.run.id, TerminalSize(rows=2, cols=2))
    await world.runs.cancel(active.run.id, 0)


async def test_old_records_go_with_their_logs(world: World, workspace: Path) -> None:
    world.runs.settings = world.settings.model_copy(update={"runs_kept": 3})
    for _ in range(14):
        active = await world.start(workspace, "true")
        await active.ended.wait()
    kept = world.runs.newest(sandbox_id=None, active=False, limit=100)
    assert 3 <= len(kept) < 13
    assert len(list((world.folders.home / "runs").iterdir())) == len(kept)


async def test_a_refused_host_is_told_once_to_a_run(world: World, workspace: Path) -> None:
    from continue_exec.network.proxy import Decision
    from continue_exec.protocol.events import from_frame
    from continue_exec.protocol.frames import Parser

    active = await world.start(workspace, "sh", "-c", "read x", stdin=True)
    for _ in range(3):
        world.network.on_refusal(Decision("example.com", 443, False, "not on the allowlist"))
    await world.runs.stdin(active.run.id, b"\n", eof=True)
    parser = Parser()
    frames = [f async for piece in world.runs.follow(active.run.id, 0) for f in parser.feed(bytes(piece))]
    notices = [e for f in frames if (e := from_frame(*f)).type == "notice"]
    assert len(notices) == 1 and "example.com:443" in notices[0].message
