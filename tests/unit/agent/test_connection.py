"""AgentConnection against a scripted peer: order, adoption, losses."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from continue_exec.agent.connection import AgentConnection
from continue_exec.errors import CommandNotFound, Conflict, NotFound, SandboxLost, TooLarge, VersionMismatch
from continue_exec.protocol.agent import INITIAL_CREDIT, Exited
from continue_exec.protocol.frames import MAX_PAYLOAD, Kind, encode
from tests.unit.agent.peer import Kept, Peer, Started, exited, run


async def test_output_is_not_missed_and_exit_waits_for_all_of_it(peer: Peer, connection: AgentConnection) -> None:
    stream, sink = connection.new_stream(), Kept()
    async with asyncio.TaskGroup() as group:
        started = group.create_task(connection.exec(run(stream), sink))
        request = await peer.request("exec")
        peer.respond(request["id"], result={"pid": 3})
        peer.send(Kind.STDOUT, stream, b"early ")
        peer.control(**exited(stream, 9))
        peer.send(Kind.STDERR, stream, b"\xff\x00!")
    assert started.result().pid == 3
    await sink.ended.wait()
    assert sink.out == [(Kind.STDOUT, b"early "), (Kind.STDERR, b"\xff\x00!")]
    assert isinstance(sink.note, Exited)
    assert request["params"]["stream"] == stream


async def test_the_process_is_known_before_its_output(peer: Peer, connection: AgentConnection) -> None:
    class Ordered(Kept):
        def output(self, kind: int, data: memoryview) -> None:
            super().output(kind, b"%d:%b" % (self.pid, data))

    sink = Ordered()
    async with asyncio.TaskGroup() as group:
        group.create_task(connection.exec(run(1), sink))
        request = await peer.request("exec")
        message = json.dumps({"id": request["id"], "result": {"pid": 3}}).encode()
        peer.raw(encode(Kind.CONTROL, 0, message) + encode(Kind.STDOUT, 1, b"x"))  # read at once
    await sink.until(3)
    assert sink.data == b"3:x"


async def test_an_error_is_raised_as_its_class_and_leaves_no_stream(peer: Peer, connection: AgentConnection) -> None:
    async with asyncio.TaskGroup() as group:

        async def refused() -> None:
            with pytest.raises(CommandNotFound, match="no `x`") as caught:
                await connection.exec(run(1), Kept())
            assert caught.value.hint == "install it"

        group.create_task(refused())
        request = await peer.request("exec")
        error = {"code": "command_not_found", "message": "no `x`", "hint": "install it"}
        peer.respond(request["id"], error=error)
    with pytest.raises(NotFound):
        await connection.stdin(1, b"x")


async def test_a_stream_is_open_once(started: Started, connection: AgentConnection) -> None:
    with pytest.raises(Conflict):
        await connection.attach(started[0], 0, Kept())


async def test_a_lost_connection_is_told_to_everybody(
    peer: Peer, started: Started, connection: AgentConnection
) -> None:
    stream, sink = started
    watching_peer = connection.watch("/w")

    async def lost(what: Any) -> None:
        with pytest.raises(SandboxLost):
            await what

    async with asyncio.TaskGroup() as group:
        group.create_task(lost(connection.stat("/x")))
        group.create_task(lost(watching_peer))
        group.create_task(lost(connection.stdin(stream, bytes(2 * INITIAL_CREDIT))))
        await peer.request("stat")
        await peer.request("watch")
        peer.cut()
    await connection.closed.wait()
    assert connection.close_reason
    assert sink.losses == 1
    await lost(connection.stat("/x"))
    await lost(connection.stdin(stream, b"x"))


async def test_attach_goes_on_at_the_offset(peer: Peer, started: Started, connection: AgentConnection) -> None:
    stream, first = started
    peer.send(Kind.STDOUT, stream, b"0123456789")
    while first.data != b"0123456789":
        await peer.frames.get()  # its idle grant
    peer.answers["hello"] = lambda params: {
        "protocol": 1,
        "version": "p",
        "capabilities": [],
        "boot_id": "b",
        "pid": 1,
        "streams": [{"stream": stream, "run_id": "r", "pid": 7, "running": True, "offset": 10, "end": 14}],
    }
    again = await AgentConnection.open(peer.doorbell, peer.sockets)
    assert again.hello.streams[0].stream == stream
    assert again.new_stream() != stream
    second = Kept()
    peer.answers["attach"] = lambda params: peer.send(Kind.STDOUT, stream, b"abcd") or {}
    await again.attach(stream, 10, second)
    peer.control(**exited(stream, 14))
    await second.ended.wait()
    assert second.data == b"abcd"
    await again.close()


async def test_what_does_not_fit_a_frame_is_too_large(connection: AgentConnection) -> None:
    with pytest.raises(TooLarge, match="exec"):
        await connection.exec(run(1, "echo", "x" * MAX_PAYLOAD), Kept())
    with pytest.raises(NotFound):
        await connection.stdin(1, b"")


async def test_hangup_waits_for_the_agent(peer: Peer, connection: AgentConnection) -> None:
    await connection.hangup()
    assert connection.closed.is_set()
    assert [peer.rings.get_nowait().split()[0] for _ in range(2)] == ["dial", "hangup"]


@pytest.mark.parametrize("protocol", [0, 3])
async def test_a_foreign_protocol_is_refused(peer: Peer, protocol: int) -> None:
    hello = {"protocol": protocol, "version": "old", "capabilities": [], "boot_id": "b", "pid": 1}
    peer.answers["hello"] = lambda params: hello
    with pytest.raises(VersionMismatch, match=f"protocol {protocol}"):
        await AgentConnection.open(peer.doorbell, peer.sockets)
