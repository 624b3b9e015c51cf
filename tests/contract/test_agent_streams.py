"""The agent keeps its word: credit, floods and adoption. Nothing lost, nothing twice, memory flat."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import time
from typing import Any

import pytest

from continue_exec.errors import InvalidRequest, NotFound
from continue_exec.protocol.agent import INITIAL_CREDIT

PYTHON = "/usr/bin/python3"
MEBIBYTE = 1 << 20

NUMBERS = "import sys\nfor i in range({count}): sys.stdout.write('%09d\\n' % i)"
"""Ten bytes a line, so that any byte tells where it stands."""


def numbers(count: int) -> bytes:
    return b"".join(b"%09d\n" % i for i in range(count))


def resident(pid: int) -> int:
    """Resident bytes of a process (/proc/PID/statm, second field: pages)."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_a_gigabyte_with_flat_memory(agent: Any, keeper: Any) -> None:
    size = 1_000_000_000
    await agent.run("head", "-c", "50000000", "/dev/zero", sink=keeper(keep=False))
    before = resident(os.getpid()), resident(agent.machine.pid)
    stream, sink = await agent.start("head", "-c", str(size), "/dev/zero", sink=keeper(keep=False))
    most = before
    while sink.note is None:
        at = sink.size
        await sink.until(lambda at=at: sink.size >= at + 50_000_000 or sink.note is not None)
        most = max(most[0], resident(os.getpid())), max(most[1], resident(agent.machine.pid))
    assert (sink.size, sink.note.end, sink.note.exit_code) == (size, size, 0)
    assert most[0] - before[0] < 16 * MEBIBYTE
    assert most[1] - before[1] < 32 * MEBIBYTE
    await agent.connection.forget(stream)


async def test_a_flood_delays_nobody(agent: Any, keeper: Any) -> None:
    flood, noise = await agent.start("cat", "/dev/zero", sink=keeper(keep=False))
    await noise.until(lambda: noise.size > 10 * MEBIBYTE)
    slowest = 0.0
    for _ in range(20):
        began = time.perf_counter()
        assert (await agent.run("echo", "hi")).stdout == b"hi\n"
        slowest = max(slowest, time.perf_counter() - began)
    assert slowest < 1.0
    await agent.connection.signal(flood, signal.SIGKILL)
    await noise.exit()


async def test_a_run_that_nobody_keeps_waits_and_delays_nobody(
    agent: Any, keeper: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A sink that fails is granted nothing: its command stands still, the others go on, and the bytes are kept."""

    class Full(keeper):  # type: ignore[misc]
        def output(self, kind: int, data: memoryview) -> None:
            raise OSError("no space left")

    stream, full = await agent.start(PYTHON, "-Sc", NUMBERS.format(count=500_000), sink=Full())
    await full.until(lambda: full.losses == 1)
    assert (await agent.run("echo", "hi")).stdout == b"hi\n"
    assert await agent.connection.signal(stream, 0) == 1
    connection = await agent.reconnect()
    status = connection.hello.streams[0]
    assert (status.running, status.offset) == (True, 0)
    assert status.end <= INITIAL_CREDIT
    sink = keeper()
    await connection.attach(stream, 0, sink)
    await sink.exit()
    assert sink.stdout == numbers(500_000)
    assert "could not be kept" in caplog.text


async def test_the_connection_is_cut_again_and_again(agent: Any, keeper: Any) -> None:
    """Cut in the middle of output, adopted at the byte reached: in the end everything is there, once."""
    count = 2_000_000
    expected = hashlib.sha256(await asyncio.to_thread(numbers, count)).hexdigest()
    stream, sink = await agent.start(PYTHON, "-Sc", NUMBERS.format(count=count), sink=keeper(keep=False))
    seeded = random.Random(7)
    cuts = 0
    while sink.note is None:
        target = sink.size + seeded.randrange(1, 2_000_000)
        await sink.until(lambda target=target: sink.size >= target or sink.note is not None)
        if sink.note is None:
            await agent.connection.close()
            cuts += 1
            connection = await agent.reconnect()
            sink.losses = 0
            await connection.attach(stream, sink.size, sink)
    assert cuts > 5
    assert (sink.size, sink.note.end) == (count * 10, count * 10)
    assert sink.hash.hexdigest() == expected


async def test_an_exit_while_nobody_listens_is_told_later(agent: Any, keeper: Any) -> None:
    stream, sink = await agent.start("sh", "-c", "echo first; read line; echo $line; exit 5", stdin=True)
    await sink.until(lambda: sink.size == 6)
    await agent.connection.stdin(stream, b"second\n")
    await agent.connection.close()
    got = sink.size  # the second line may have come already
    descriptor = os.pidfd_open(agent.machine.pid)  # alive: nothing of the agent ended with the connection
    os.close(descriptor)
    connection = await agent.reconnect()
    again = keeper()
    await connection.attach(stream, got, again)
    note = await again.exit()
    assert note.exit_code == 5
    assert sink.stdout[:got] + again.stdout == b"first\nsecond\n"
    assert note.end == 13
    # Until it is forgotten, every adopter hears of it.
    connection = await agent.reconnect()
    assert not connection.hello.streams[0].running
    third = keeper()
    await connection.attach(stream, 13, third)
    assert (await third.exit()).exit_code == 5
    assert third.size == 0


async def test_a_command_that_waits_for_input_waits_on(agent: Any, keeper: Any) -> None:
    stream, _ = await agent.start("cat", stdin=True)
    await agent.connection.stdin(stream, b"before ")
    await agent.connection.stdin(stream, b"")
    stream, _ = await agent.start("cat", stdin=True)
    await agent.connection.close()
    connection = await agent.reconnect()
    sink = keeper()
    await connection.attach(stream, 0, sink)
    await connection.stdin(stream, b"after" * 500_000)
    await connection.stdin(stream, b"")
    await sink.exit()
    assert sink.stdout == b"after" * 500_000


async def test_only_what_is_still_there_can_be_sent_again(agent: Any, keeper: Any) -> None:
    stream, sink = await agent.start(PYTHON, "-Sc", NUMBERS.format(count=1_000_000), sink=keeper(keep=False))
    await sink.exit()
    connection = await agent.reconnect()
    for offset in (0, 10_000_001):
        with pytest.raises(InvalidRequest):
            await connection.attach(stream, offset, keeper())
    with pytest.raises(NotFound):
        await connection.attach(stream + 1, 0, keeper())
    await connection.attach(stream, 10_000_000, keeper())
