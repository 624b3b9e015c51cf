"""Moving bytes between two sockets: bounded memory, half-close in both directions, no copies that can be avoided.

Plain non-blocking sockets and `sock_recv_into` rather than transports: a side is only read when the other side
has taken everything, so flow control needs no queue, and nothing is ever buffered beyond one block a direction.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

SMALL = 16 * 1024
"""First block of each direction: most connections only ever carry a handshake and an answer."""
LARGE = 256 * 1024
"""Block of a direction that fills the small one; beyond this throughput no longer grows (bench/egress.py)."""
_FAIR = 32
"""Blocks in a row before others get their turn: a socket that is always ready never yields by itself."""


@dataclass
class Traffic:
    """Bytes carried so far."""

    up: int = 0
    down: int = 0


async def tunnel(client: socket.socket, peer: socket.socket, early: bytes, traffic: Traffic) -> None:
    """Carry both directions until both have ended. `early` are bytes of the client that came with its head.

    Raises:
        OSError: a side broke off; the other direction is then abandoned.
    """
    loop = asyncio.get_running_loop()
    if early:
        await loop.sock_sendall(peer, early)
        traffic.up += len(early)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(client, peer, traffic, up=True))
            group.create_task(_pump(peer, client, traffic, up=False))
    except BaseExceptionGroup as failed:
        # One side breaking off is one event, however many directions notice it.
        raise failed.exceptions[0] from None


async def exchange(client: socket.socket, peer: socket.socket, body: AsyncIterator[bytes], traffic: Traffic) -> None:
    """Send a request's body while its answer is carried back; ends with the answer.

    Raises:
        OSError: a side broke off.
        Exception: whatever `body` raises.
    """
    try:
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(_send(peer, body, traffic))
            await _pump(peer, client, traffic, up=False)
            sending.cancel()
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def _send(sink: socket.socket, body: AsyncIterator[bytes], traffic: Traffic) -> None:
    loop = asyncio.get_running_loop()
    async for part in body:
        await loop.sock_sendall(sink, part)
        traffic.up += len(part)


async def _pump(source: socket.socket, sink: socket.socket, traffic: Traffic, *, up: bool) -> None:
    loop = asyncio.get_running_loop()
    block = bytearray(SMALL)
    view = memoryview(block)
    blocks = 0
    while got := await loop.sock_recv_into(source, view):
        await loop.sock_sendall(sink, view[:got])
        if up:
            traffic.up += got
        else:
            traffic.down += got
        if got == len(view) == SMALL:
            view = memoryview(bytearray(LARGE))
        blocks += 1
        if blocks % _FAIR == 0:
            await asyncio.sleep(0)
    half_close(sink)


def half_close(sock: socket.socket) -> None:
    """Say that nothing more is sent; a peer that has gone already does not matter."""
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass
