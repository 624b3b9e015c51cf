"""AgentConnection against a scripted peer: order, credit, adoption, and an agent that lies."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from continue_exec.agent.connection import AgentConnection
from continue_exec.errors import CommandNotFound, Conflict, NotFound, SandboxLost, TooLarge, VersionMismatch
from continue_exec.protocol.agent import INITIAL_CREDIT, Exec, Exited, FileStat, Path
from continue_exec.protocol.frames import HEADER, MAX_PAYLOAD, Kind, encode


def run(stream: int, *argv: str, stdin: bool = False) -> Exec:
    return Exec(stream=stream, run_id=f"run_{stream}", argv=argv or ("true",), cwd="/", env={}, stdin=stdin)


def exited(stream: int, end: int, **more: Any) -> dict[str, Any]:
    note = {"stream": stream, "run_id": f"run_{stream}", "exit_code": 0, "end": end, **more}
    return {"event": "exited", "params": note}


@pytest.fixture
async def started(peer: Any, connection: AgentConnection, kept: Any) -> tuple[int, Any]:
    """A run that the peer plays: its stream and its sink."""
    peer.answers["exec"] = lambda params: {"pid": 7}
    stream, sink = connection.new_stream(), kept()
    assert (await connection.exec(run(stream, stdin=True), sink)).pid == 7
    return stream, sink


async def test_output_is_not_missed_and_exit_waits_for_all_of_it(
    peer: Any, connection: AgentConnection, kept: Any
) -> None:
    stream, sink = connection.new_stream(), kept()
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


async def test_the_process_is_known_before_its_output(peer: Any, connection: AgentConnection, kept: Any) -> None:
    class Ordered(kept):  # type: ignore[misc]
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


async def test_an_error_is_raised_as_its_class_and_leaves_no_stream(
    peer: Any, connection: AgentConnection, kept: Any
) -> None:
    async with asyncio.TaskGroup() as group:

        async def refused() -> None:
            with pytest.raises(CommandNotFound, match="no `x`") as caught:
                await connection.exec(run(1), kept())
            assert caught.value.hint == "install it"

        group.create_task(refused())
        request = await peer.request("exec")
        error = {"code": "command_not_found", "message": "no `x`", "hint": "install it"}
        peer.respond(request["id"], error=error)
    with pytest.raises(NotFound):
        await connection.stdin(1, b"x")


async def test_a_stream_is_open_once(started: Any, connection: AgentConnection, kept: Any) -> None:
    with pytest.raises(Conflict):
        await connection.attach(started[0], 0, kept())


async def test_consumed_bytes_are_granted_in_large_pieces_and_the_rest_when_idle(peer: Any, started: Any) -> None:
    stream, _ = started
    for _ in range(2):
        peer.send(Kind.STDOUT, stream, bytes(200_000))
    assert await peer.frames.get() == (Kind.CREDIT, stream, (400_000).to_bytes(4, "big"))
    peer.send(Kind.STDOUT, stream, bytes(10))
    assert await peer.frames.get() == (Kind.CREDIT, stream, (10).to_bytes(4, "big"))


async def test_stdin_waits_for_credit_and_keeps_its_order(peer: Any, started: Any, connection: AgentConnection) -> None:
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


async def test_stdin_of_a_run_that_ends_is_let_go(peer: Any, started: Any, connection: AgentConnection) -> None:
    stream, sink = started
    async with asyncio.TaskGroup() as group:
        group.create_task(connection.stdin(stream, bytes(2 * INITIAL_CREDIT)))
        await peer.frames.get()
        peer.control(**exited(stream, 0))
    await connection.stdin(stream, b"more")
    assert sink.note.exit_code == 0


async def test_a_sink_that_fails_costs_only_its_own_run(
    peer: Any, started: Any, connection: AgentConnection, kept: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(kept):  # type: ignore[misc]
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


async def test_a_lost_connection_is_told_to_everybody(
    peer: Any, started: Any, connection: AgentConnection, kept: Any
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


async def test_attach_goes_on_at_the_offset(peer: Any, started: Any, connection: AgentConnection, kept: Any) -> None:
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
    second = kept()
    peer.answers["attach"] = lambda params: peer.send(Kind.STDOUT, stream, b"abcd") or {}
    await again.attach(stream, 10, second)
    peer.control(**exited(stream, 14))
    await second.ended.wait()
    assert second.data == b"abcd"
    await again.close()


async def test_frames_of_a_forgotten_run_are_thrown_away(peer: Any, started: Any, connection: AgentConnection) -> None:
    stream, sink = started
    peer.answers["forget"] = lambda params: {}
    await connection.forget(stream)
    peer.send(Kind.STDOUT, stream, b"late")
    peer.control(**exited(stream, 4))
    peer.answers["stat"] = lambda params: {"path": params["path"], "kind": "missing"}
    assert await connection.stat("/x") == FileStat(path="/x", kind="missing")
    assert sink.out == []


async def test_a_cancelled_call_leaves_the_connection_in_order(peer: Any, connection: AgentConnection) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await connection.stat("/slow")
    request = await peer.request("stat")
    peer.respond(request["id"], result={"path": "/slow", "kind": "missing"})
    peer.answers["stat"] = lambda params: {"path": params["path"], "kind": "dir"}
    assert (await connection.stat("/x")).kind == "dir"


async def test_a_silent_agent_is_an_error_of_that_call_only(peer: Any, connection: AgentConnection) -> None:
    with pytest.raises(SandboxLost, match="did not answer `stat`"):
        await connection.call("stat", Path(path="/x"), FileStat, timeout_s=0.01)
    assert not connection.closed.is_set()


async def test_what_does_not_fit_a_frame_is_too_large(connection: AgentConnection, kept: Any) -> None:
    with pytest.raises(TooLarge, match="exec"):
        await connection.exec(run(1, "echo", "x" * MAX_PAYLOAD), kept())
    with pytest.raises(NotFound):
        await connection.stdin(1, b"")


async def test_hangup_waits_for_the_agent(peer: Any, connection: AgentConnection) -> None:
    await connection.hangup()
    assert connection.closed.is_set()
    assert [peer.rings.get_nowait().split()[0] for _ in range(2)] == ["dial", "hangup"]


@pytest.mark.parametrize("protocol", [0, 3])
async def test_a_foreign_protocol_is_refused(peer: Any, protocol: int) -> None:
    hello = {"protocol": protocol, "version": "old", "capabilities": [], "boot_id": "b", "pid": 1}
    peer.answers["hello"] = lambda params: hello
    with pytest.raises(VersionMismatch, match=f"protocol {protocol}"):
        await AgentConnection.open(peer.doorbell, peer.sockets)


LIES = {
    "garbage": b"\x89PNG\r\n\x1a\n garbage from a process that is no agent",
    "oversized": HEADER.pack(MAX_PAYLOAD + 1, Kind.STDOUT, 1),
    "unknown kind": HEADER.pack(0, 0x77, 1),
    "a host's kind": HEADER.pack(0, Kind.STDIN, 1),
    "unknown stream": HEADER.pack(1, Kind.STDOUT, 4) + b"x",
    "grant for an unknown stream": HEADER.pack(4, Kind.CREDIT, 4) + bytes(4),
}
JSON_LIES = {
    "not JSON": b"{",
    "not UTF-8": b'{"event": "\xff"}',
    "not an object": b"[]",
    "nested": b"[" * 500_000,
    "nested objects": b'{"a":' * 100_000,
    "a huge number": b'{"id": ' + b"9" * 100_000 + b', "result": {}}',
    "not a number": b'{"id": NaN, "result": {}}',
    "no request": b'{"id": 99, "result": {}}',
    "an answer twice": b'{"id": 1, "result": {}}',
    "no id": b'{"result": {}}',
    "an odd id": b'{"id": [1], "result": {}}',
    "an exit of nobody": json.dumps(exited(4, 0)).encode(),
    "an exit without fields": b'{"event": "exited", "params": {}}',
    "an exit without params": b'{"event": "exited"}',
    "changes of nobody": b'{"event": "changed", "params": {"stream": 4, "paths": []}}',
}


@pytest.mark.parametrize("lie", [*LIES, *JSON_LIES])
async def test_a_lie_closes_the_connection_and_nothing_else(
    peer: Any, started: Any, connection: AgentConnection, lie: str
) -> None:
    raw = LIES.get(lie) or HEADER.pack(len(JSON_LIES[lie]), Kind.CONTROL, 0) + JSON_LIES[lie]
    peer.raw(raw)
    with pytest.raises(SandboxLost):
        await connection.stat("/x")
    await connection.closed.wait()
    assert connection.close_reason.startswith("protocol error: ")
    assert started[1].losses == 1
    peer.answers["stat"] = lambda params: {"path": params["path"], "kind": "dir"}
    again = await AgentConnection.open(peer.doorbell, peer.sockets)
    assert (await again.stat("/x")).kind == "dir"
    await again.close()


@pytest.mark.parametrize(
    "result", [{"result": {"kind": "file"}}, {"result": []}, {"error": "x"}, {}, {"result": {}, "error": {}}]
)
async def test_a_bad_answer_closes_the_connection(peer: Any, connection: AgentConnection, result: Any) -> None:
    async with asyncio.TaskGroup() as group:

        async def ask() -> None:
            with pytest.raises(SandboxLost, match="protocol error"):
                await connection.stat("/x")

        group.create_task(ask())
        request = await peer.request("stat")
        peer.respond(request["id"], **result)
    await connection.closed.wait()


async def test_a_lying_run_closes_the_connection(peer: Any, started: Any, connection: AgentConnection) -> None:
    stream, sink = started
    peer.control(**exited(stream, 5))
    peer.send(Kind.STDOUT, stream, b"123456")
    await connection.closed.wait()
    assert "beyond its announced end" in connection.close_reason
    assert (sink.losses, sink.note) == (1, None)


@pytest.mark.parametrize("fields", [{"exit_code": 256}, {"signal": 65}, {"end": -1}, {"end": 2}, {"duration_ms": -1}])
async def test_an_impossible_exit_closes_the_connection(
    peer: Any, started: Any, connection: AgentConnection, fields: dict[str, int]
) -> None:
    stream, sink = started
    peer.send(Kind.STDOUT, stream, b"abc")
    peer.control(**exited(stream, **{"end": 3, **fields}))
    await connection.closed.wait()
    assert connection.close_reason.startswith("protocol error: ")
    assert sink.note is None


async def test_output_beyond_its_credit_closes_the_connection(
    peer: Any, connection: AgentConnection, kept: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(kept):  # type: ignore[misc]
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
    peer: Any, started: Any, connection: AgentConnection
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
