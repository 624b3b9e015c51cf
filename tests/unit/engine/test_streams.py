from __future__ import annotations

from collections.abc import Callable

import pytest

from continue_exec.engine.streams import ActiveRun
from continue_exec.errors import Conflict
from continue_exec.model import RunState
from continue_exec.protocol.agent import Exited
from continue_exec.protocol.events import from_frame
from continue_exec.protocol.frames import Kind, Parser

MakeActive = Callable[..., ActiveRun]


async def events(active: ActiveRun) -> list[str]:
    parser = Parser()
    frames = [f async for piece in active.log.read(0, wait=False) for f in parser.feed(piece)]
    return [from_frame(*frame).type for frame in frames]


async def test_events_are_in_order_and_started_is_said_once(make_active: MakeActive) -> None:
    active = make_active()
    active.started(7)
    active.started()
    active.output(Kind.STDOUT, memoryview(b"hello"))
    active.exited(Exited(stream=1, run_id="run_0", exit_code=0, end=5))
    assert await events(active) == ["started", "output", "exited"]
    assert active.run.state is RunState.RUNNING and active.run.started_at


async def test_a_lost_connection_says_nothing_to_followers(make_active: MakeActive) -> None:
    active = make_active()
    active.started()
    active.lost()
    active.notice("timeout", "too long")
    assert await events(active) == ["started", "notice"]
    assert not active.ended.is_set()


def test_states_change_only_as_the_table_says(make_active: MakeActive) -> None:
    active = make_active()
    active.update(state=RunState.EXITED)
    with pytest.raises(Conflict):
        active.update(state=RunState.RUNNING)
