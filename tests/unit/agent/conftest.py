"""A scripted peer at the doorbell, a connection to it, and a run that it plays."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from continue_exec.agent.connection import AgentConnection
from tests.unit.agent.peer import Kept, Peer, Started, run


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    # Not tmp_path: with a long test's name in it the socket's path would be over 107 bytes.
    with tempfile.TemporaryDirectory() as folder:
        peer = Peer(Path(folder))
        yield peer
        await peer.close()


@pytest.fixture
async def connection(peer: Peer) -> AsyncIterator[AgentConnection]:
    connection = await AgentConnection.open(peer.doorbell, peer.sockets)
    yield connection
    await connection.close()


@pytest.fixture
async def started(peer: Peer, connection: AgentConnection) -> Started:
    """A run that the peer plays: its stream and its sink."""
    peer.answers["exec"] = lambda params: {"pid": 7}
    stream, sink = connection.new_stream(), Kept()
    assert (await connection.exec(run(stream, stdin=True), sink)).pid == 7
    return stream, sink
