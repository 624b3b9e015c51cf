from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from continue_exec.tasks import Tasks


async def test_a_task_is_named_and_counted_until_it_ends() -> None:
    tasks, go = Tasks("group"), asyncio.Event()
    task = tasks.spawn("waiter", go.wait())
    assert (task.get_name(), len(tasks)) == ("group: waiter", 1)
    go.set()
    await task
    await asyncio.sleep(0)
    assert len(tasks) == 0


async def test_a_task_is_kept_alive() -> None:
    tasks, done = Tasks("group"), asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        done.set()

    tasks.spawn("work", work())
    gc.collect()
    await asyncio.wait_for(done.wait(), 1)


async def test_a_failure_is_logged_with_its_name_and_ends_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    tasks, go = Tasks("group"), asyncio.Event()

    async def fail() -> None:
        raise ValueError("broken")

    with caplog.at_level(logging.ERROR, logger="continue_exec.tasks"):
        failed = tasks.spawn("bad", fail())
        other = tasks.spawn("good", go.wait())
        await asyncio.wait([failed])
        await asyncio.sleep(0)
    (record,) = caplog.records
    assert "group: bad" in record.getMessage()
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "broken"
    assert not other.done()
    await tasks.close()


async def test_close_waits_until_all_have_ended() -> None:
    tasks, ended = Tasks("group"), []

    async def slow_to_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            ended.append(True)

    tasks.spawn("slow", slow_to_end())
    await asyncio.sleep(0)
    await tasks.close()
    assert ended == [True]


async def test_a_task_may_close_its_own_group() -> None:
    tasks, closed = Tasks("group"), asyncio.Event()

    async def close() -> None:
        await tasks.close()
        closed.set()

    other = tasks.spawn("other", asyncio.Event().wait())
    await tasks.spawn("closer", close())
    assert closed.is_set()
    assert other.cancelled()
