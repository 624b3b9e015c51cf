"""Changed paths are merged, bounded, and end with the connection."""

from __future__ import annotations

import asyncio

import pytest

from continue_exec.agent.connection import AgentConnection
from continue_exec.agent.watch import MOST_CHARACTERS, MOST_PATHS, Watching
from continue_exec.errors import NotFound, SandboxLost
from continue_exec.protocol.agent import Changed
from continue_exec.protocol.frames import Kind
from tests.unit.agent.peer import Peer


@pytest.fixture
async def watching(peer: Peer, connection: AgentConnection) -> Watching:
    peer.answers["watch"] = lambda params: {}
    return await connection.watch("/w")


async def test_changes_are_merged(watching: Watching) -> None:
    for paths in (("/w/a", "/w/b"), ("/w/a", "/w/c")):
        watching.changed(Changed(stream=watching.stream, paths=paths))
    assert (await anext(watching)).paths == ("/w/a", "/w/b", "/w/c")


async def test_notifications_reach_it(peer: Peer, watching: Watching) -> None:
    peer.control(event="changed", params={"stream": watching.stream, "paths": ["/w/x"]})
    peer.control(event="news of a later agent", params=None)
    assert (await anext(watching)).paths == ("/w/x",)


@pytest.mark.parametrize(
    "paths", [tuple(f"/w/{n}" for n in range(MOST_PATHS + 1)), ("/w/" + "x" * MOST_CHARACTERS,)], ids=["many", "long"]
)
async def test_too_much_is_an_overflow(watching: Watching, paths: tuple[str, ...]) -> None:
    watching.changed(Changed(stream=watching.stream, paths=paths))
    note = await anext(watching)
    assert (note.overflow, note.paths) == (True, ())
    watching.changed(Changed(stream=watching.stream, paths=("/w/a",)))
    assert await anext(watching) == Changed(stream=watching.stream, paths=("/w/a",))


async def test_it_ends_with_the_connection(peer: Peer, watching: Watching, connection: AgentConnection) -> None:
    watching.changed(Changed(stream=watching.stream, paths=("/w/last",)))
    peer.cut()
    await connection.closed.wait()
    assert (await anext(watching)).paths == ("/w/last",)
    with pytest.raises(SandboxLost):
        await anext(watching)


async def test_bytes_on_it_are_a_lie(peer: Peer, watching: Watching, connection: AgentConnection) -> None:
    peer.send(Kind.STDOUT, watching.stream, b"x")
    await connection.closed.wait()
    assert "is a watch" in connection.close_reason


async def test_one_that_is_refused_leaves_nothing(peer: Peer, connection: AgentConnection) -> None:
    async def refused() -> None:
        with pytest.raises(NotFound):
            await connection.watch("/w")

    async with asyncio.TaskGroup() as group:
        group.create_task(refused())
        request = await peer.request("watch")
        peer.respond(request["id"], error={"code": "not_found", "message": "no /w"})
    peer.control(event="changed", params={"stream": request["params"]["stream"], "paths": []})  # under way: no lie
    peer.answers["close"] = lambda params: {}
    peer.answers["ports"] = lambda params: {"ports": []}
    assert await connection.ports() == ()
