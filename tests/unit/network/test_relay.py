from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from continue_exec.network import relay


class Ends:
    """client — [a, b relayed] — peer."""

    def __init__(self) -> None:
        self.client, self.inner = socket.socketpair()
        self.outer, self.peer = socket.socketpair()
        self.all = (self.client, self.inner, self.outer, self.peer)
        for sock in self.all:
            sock.setblocking(False)


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    for sock in made.all:
        sock.close()


async def drain(sock: socket.socket) -> bytes:
    got = b""
    while part := await asyncio.get_running_loop().sock_recv(sock, 1 << 20):
        got += part
    return got


async def test_both_ways_at_once_and_counted(ends: Ends) -> None:
    loop, traffic = asyncio.get_running_loop(), relay.Traffic()
    up, down = os.urandom(3_000_000), os.urandom(5_000_000)

    async def send(sock: socket.socket, data: bytes) -> None:
        await loop.sock_sendall(sock, data)
        sock.shutdown(socket.SHUT_WR)

    async with asyncio.timeout(20):
        _, _, _, at_peer, at_client = await asyncio.gather(
            relay.tunnel(ends.inner, ends.outer, b"early", traffic),
            send(ends.client, up),
            send(ends.peer, down),
            drain(ends.peer),
            drain_after(ends.client),
        )
    assert (at_peer, at_client) == (b"early" + up, down)
    assert (traffic.up, traffic.down) == (len(up) + 5, len(down))


async def drain_after(sock: socket.socket) -> bytes:
    return await drain(sock)


async def test_a_side_that_breaks_off_ends_both(ends: Ends) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    with server, socket.create_connection(server.getsockname()) as near:
        far, _ = server.accept()
        near.setblocking(False)
        # A reset, not an end.
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        far.close()
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(20):
                await relay.tunnel(ends.inner, near, b"", relay.Traffic())


async def test_an_exchange_ends_with_the_answer(ends: Ends) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536

    async def answer() -> None:
        await asyncio.get_running_loop().sock_sendall(ends.peer, b"enough")
        ends.peer.shutdown(socket.SHUT_WR)

    async with asyncio.timeout(20):
        await asyncio.gather(relay.exchange(ends.inner, ends.outer, endless(), relay.Traffic()), answer())
        assert await drain(ends.client) == b"enough"


async def test_a_broken_body_ends_an_exchange(ends: Ends) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        async with asyncio.timeout(20):
            await relay.exchange(ends.inner, ends.outer, broken(), relay.Traffic())


def test_half_close_of_what_is_gone() -> None:
    sock = socket.socket()
    sock.close()
    relay.half_close(sock)
