"""Credit in both directions, and runs whose sink fails or whose agent lies."""

from __future__ import annotations

import asyncio

import pytest

from continue_exec.agent.connection import AgentConnection
from continue_exec.protocol.agent import INITIAL_CREDIT
from continue_exec.protocol.frames import Kind
from tests.unit.agent.peer import Kept, Peer, Started, exited, run


async def test_consumed_bytes_are_granted_in_large_pieces_and_the_rest_when_idle(peer: Peer, started: Started) -> None:
    stream, _ = started
    for _ in range(2):
        peer.send(Kind.STDOUT, stream, bytes(200_000))
    assert await peer.frames.get() == (Kind.CREDIT, stream, (400_000).to_bytes(4, "big"))
    peer.send(Kind.STDOUT, stream, bytes(10))
    assert await peer.frames.get() == (Kind.CREDIT, stream, (10).to_bytes(4, "big"))


async def test_stdin_waits_for_credit_and_keeps_its_order(
    peer: Peer, started: Started, connection: AgentConnection
) -> None:
    stream, _ = started
    data = bytes(range(256)) * (3 * INITIAL_CREDIT // 512)
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(connection.stdin(stream, data))
        group.create_task(connection.stdin(stream, b"second"))
        got = b""
        while len(got) < INITIAL_CREDIT:
            got += (await peer.frames.get())[2]
        assert len(got) == INITIAL_CREDIT
        await connection._channel.drain()
        assert not sending.done()
        peer.send(Kind.CREDIT, stream, (INITIAL_CREDIT).to_bytes(4, "big"))
        while len(got) < len(data) + 6:
            got += (await peer.frames.get())[2]
    await connection.stdin(stream, b"")
    assert await peer.frames.get() == (Kind.STDIN, stream, b"")
    assert got == data + b"second"


async def test_stdin_of_a_run_that_ends_is_let_go(peer: Peer, started: Started, connection: AgentConnection) -> None:
    stream, sink = started
    async with asyncio.TaskGroup() as group:
        group.create_task(connection.stdin(stream, bytes(2 * INITIAL_CREDIT)))
        await peer.frames.get()
        peer.control(**exited(stream, 0))
    await connection.stdin(stream, b"more")
    assert sink.note.exit_code == 0


async def test_a_sink_that_fails_costs_only_its_own_run(
    peer: Peer, started: Started, connection: AgentConnection, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(Kept):
        def output(self, kind: int, data: memoryview) -> None:
            raise OSError("no space left")

    stream, sink = started
    other, full = connection.new_stream(), Full()
    await connection.exec(run(other), full)
    peer.send(Kind.STDOUT, other, b"lost")
    peer.send(Kind.STDOUT, other, b"lost")
    peer.send(Kind.STDOUT, stream, b"kept")
    peer.control(**exited(stream, 4))
    await sink.ended.wait()
    assert (sink.data, full.losses, full.note) == (b"kept", 1, None)
    assert "could not be kept" in caplog.text


async def test_a_lying_run_closes_the_connection(peer: Peer, started: Started, connection: AgentConnection) -> None:
    stream, sink = started
    peer.control(**exited(stream, 5))
    peer.send(Kind.STDOUT, stream, b"123456")
    await connection.closed.wait()
    assert "beyond its announced end" in connection.close_reason
    assert (sink.losses, sink.note) == (1, None)


async def test_output_beyond_its_credit_closes_the_connection(
    peer: Peer, connection: AgentConnection, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(Kept):
        """Never keeps anything, so nothing is granted."""

        def output(self, kind: int, data: memoryview) -> None:
            raise OSError("no space left")

    peer.answers["exec"] = lambda params: {"pid": 7}
    peer.answers["stat"] = lambda params: {"path": params["path"], "kind": "dir"}
    await connection.exec(run(5), Full())
    peer.send(Kind.STDOUT, 5, bytes(INITIAL_CREDIT))
    assert (await connection.stat("/x")).kind == "dir"
    peer.send(Kind.STDERR, 5, b"!")
    await connection.closed.wait()
    assert "more than its credit" in connection.close_reason
    assert "could not be kept" in caplog.text


async def test_grants_wait_for_an_agent_that_does_not_read(
    peer: Peer, started: Started, connection: AgentConnection
) -> None:
    stream, sink = started
    peer.writer.transport.pause_reading()
    channel = connection._channel
    while not channel.congested:
        channel.send(Kind.STDIN, stream, bytes(INITIAL_CREDIT // 2))
    peer.send(Kind.STDOUT, stream, bytes(INITIAL_CREDIT))
    await sink.until(INITIAL_CREDIT)
    assert connection._streams[stream].owed == INITIAL_CREDIT
    peer.writer.transport.resume_reading()
    while (frame := await peer.frames.get())[0] == Kind.STDIN:
        pass
    assert frame == (Kind.CREDIT, stream, INITIAL_CREDIT.to_bytes(4, "big"))
