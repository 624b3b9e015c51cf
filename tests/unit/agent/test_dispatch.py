"""Requests, answers, and an agent that lies: the connection ends, nothing else."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from continue_exec.agent.connection import AgentConnection
from continue_exec.errors import SandboxLost
from continue_exec.protocol.agent import FileStat, Path
from continue_exec.protocol.frames import HEADER, MAX_PAYLOAD, Kind
from tests.unit.agent.peer import Peer, Started, exited

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


async def test_frames_of_a_forgotten_run_are_thrown_away(
    peer: Peer, started: Started, connection: AgentConnection
) -> None:
    stream, sink = started
    peer.answers["forget"] = lambda params: {}
    await connection.forget(stream)
    peer.send(Kind.STDOUT, stream, b"late")
    peer.control(**exited(stream, 4))
    peer.answers["stat"] = lambda params: {"path": params["path"], "kind": "missing"}
    assert await connection.stat("/x") == FileStat(path="/x", kind="missing")
    assert sink.out == []


async def test_a_cancelled_call_leaves_the_connection_in_order(peer: Peer, connection: AgentConnection) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await connection.stat("/slow")
    request = await peer.request("stat")
    peer.respond(request["id"], result={"path": "/slow", "kind": "missing"})
    peer.answers["stat"] = lambda params: {"path": params["path"], "kind": "dir"}
    assert (await connection.stat("/x")).kind == "dir"


async def test_a_silent_agent_is_an_error_of_that_call_only(peer: Peer, connection: AgentConnection) -> None:
    with pytest.raises(SandboxLost, match="did not answer `stat`"):
        await connection.call("stat", Path(path="/x"), FileStat, timeout_s=0.01)
    assert not connection.closed.is_set()


@pytest.mark.parametrize("lie", [*LIES, *JSON_LIES])
async def test_a_lie_closes_the_connection_and_nothing_else(
    peer: Peer, started: Started, connection: AgentConnection, lie: str
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
async def test_a_bad_answer_closes_the_connection(peer: Peer, connection: AgentConnection, result: Any) -> None:
    async with asyncio.TaskGroup() as group:

        async def ask() -> None:
            with pytest.raises(SandboxLost, match="protocol error"):
                await connection.stat("/x")

        group.create_task(ask())
        request = await peer.request("stat")
        peer.respond(request["id"], **result)
    await connection.closed.wait()


@pytest.mark.parametrize("fields", [{"exit_code": 256}, {"signal": 65}, {"end": -1}, {"end": 2}, {"duration_ms": -1}])
async def test_an_impossible_exit_closes_the_connection(
    peer: Peer, started: Started, connection: AgentConnection, fields: dict[str, int]
) -> None:
    stream, sink = started
    peer.send(Kind.STDOUT, stream, b"abc")
    peer.control(**exited(stream, **{"end": 3, **fields}))
    await connection.closed.wait()
    assert connection.close_reason.startswith("protocol error: ")
    assert sink.note is None
