"""The HTTP client against peers that say exactly what each test makes them say."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continue_exec.client.http import Connection, ConnectionLost, Pool
from continue_exec.errors import ProtocolError

Peer = Callable[..., "asyncio.Future[Connection]"]


@pytest.fixture
async def peer() -> AsyncIterator[Callable[[bytes], Connection]]:
    """`await peer(bytes)`: a connection whose other end has said `bytes` and hung up."""
    opened: list[Connection] = []
    ends: list[socket.socket] = []

    async def make(said: bytes, *, close: bool = True) -> Connection:
        ours, theirs = socket.socketpair()
        theirs.sendall(said)
        if close:
            theirs.shutdown(socket.SHUT_WR)
        ends.append(theirs)
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=4096)
        opened.append(Connection(reader, writer))
        return opened[-1]

    yield make  # type: ignore[misc]
    for connection in opened:
        connection.close()
    for end in ends:
        end.close()
    await asyncio.sleep(0)


async def test_length(peer: Peer) -> None:
    response = await (await peer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Run-Id:  run_1 \r\n\r\nhello")).response()
    assert (response.status, response.headers["x-run-id"]) == (200, "run_1")
    assert await response.read(5) == b"hello"
    assert response.complete


async def test_chunks_and_trailers(peer: Peer) -> None:
    said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: 1\r\n\r\n"
    response = await (await peer(said)).response()
    assert await response.read(100) == b"abc0123456789"
    assert response.complete


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=9000), max_size=6))
def test_any_chunks(chunks: list[bytes]) -> None:
    async def check() -> None:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=4096)
        _, sender = await asyncio.open_unix_connection(sock=theirs)
        sender.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for chunk in chunks:
            sender.write(b"%X\r\n%b\r\n" % (len(chunk), chunk))
        sender.write(b"0\r\n\r\n")
        connection = Connection(reader, writer)
        response = await connection.response()
        assert await response.read(1 << 20) == b"".join(chunks)
        assert connection.fresh
        connection.close()
        sender.close()
        await asyncio.sleep(0)

    asyncio.run(check())


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\r\n folded: 2\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70000 + b"\r\n\r\n",
    ],
)
async def test_garbage_heads(peer: Peer, said: bytes) -> None:
    connection = await peer(said)
    with pytest.raises(ProtocolError):
        await connection.response()


@pytest.mark.parametrize(
    "body", [b"zz\r\n", b"-1\r\n", b"3\r\nabcd\r\n0\r\n\r\n", b"11111111111111111\r\n", b"3 3\r\nabc"]
)
async def test_garbage_chunks(peer: Peer, body: bytes) -> None:
    response = await (await peer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)).response()
    with pytest.raises(ProtocolError):
        await response.read(100)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_a_body_that_breaks_off(peer: Peer, said: bytes) -> None:
    response = await (await peer(said)).response()
    with pytest.raises(ConnectionLost):
        await response.read(100)
    assert not response.connection.fresh


async def test_no_answer(peer: Peer) -> None:
    with pytest.raises(ConnectionLost) as caught:
        await (await peer(b"")).response()
    assert not caught.value.unheard  # it may have acted on what it read


async def test_a_peer_that_was_gone_heard_nothing(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    connection = Connection(reader, writer)
    connection.send_head("/v1/run.start", {}, b"{}")
    with pytest.raises(ConnectionLost) as caught:
        await connection.response()
    connection.close()
    # Either the write failed, or the end of file was seen first.
    assert caught.value.unheard or "ended before" in str(caught.value)


async def test_too_long_for_the_caller(peer: Peer) -> None:
    response = await (await peer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789")).response()
    with pytest.raises(ProtocolError):
        await response.read(8)


async def test_no_line_break_gets_into_a_header(peer: Peer) -> None:
    connection = await peer(b"", close=False)
    with pytest.raises(ProtocolError):
        connection.send_head("/v1/x\r\nEvil: 1", {}, b"")
    with pytest.raises(ProtocolError):
        connection.send_head("/v1/x", {"A": "1\r\nEvil: 1"}, b"")


async def test_pool_keeps_what_is_complete(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool("/nowhere")
    connection = await peer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", close=False)
    connection.send_head("/", {}, b"")
    assert not connection.fresh
    response = await connection.response()
    await response.read(10)
    pool.release(connection)
    assert pool.reuse() is connection
    pool.release(connection)
    connection.idle_since -= 3600
    assert pool.reuse() is None


async def test_pool_drops_what_says_close(peer: Peer) -> None:
    pool = Pool("/nowhere")
    connection = await peer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", close=False)
    await (await connection.response()).read(10)
    pool.release(connection)
    assert pool.reuse() is None
