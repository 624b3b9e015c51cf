"""A request's body, exactly as long as its head says: what a client sends beyond it never reaches the origin.

Without this, a second request hidden behind the first would be the origin's to interpret (request smuggling).
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from typing import Literal

_BLOCK = 64 * 1024
_MAX_LINE = 4096
"""Bytes of a chunk's size line or of one trailer."""
_MAX_TRAILERS = 64
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")


class BadBody(Exception):
    """The body is cut short or not validly chunked; the message says which."""


async def read_body(client: socket.socket, early: bytes, kind: int | Literal["chunked"]) -> AsyncIterator[bytes]:
    """The body in parts, ready for the origin; chunks come without their extensions and trailers.

    `early` are bytes that arrived together with the head; `kind` is `Head.body`.

    Raises:
        BadBody: it ends too early or is not what it should be.
        OSError: the client broke off.
    """
    source = _Source(client, early)
    if kind != "chunked":
        async for part in source.exactly(kind):
            yield part
        return
    while True:
        match = _SIZE.fullmatch(await source.line())
        if match is None:
            raise BadBody("a chunk has no valid size")
        size = int(match[1], 16)
        if size == 0:
            break
        yield b"%x\r\n" % size
        async for part in source.exactly(size):
            yield part
        if await source.line() != b"":
            raise BadBody("a chunk is longer than its size")
        yield b"\r\n"
    for _ in range(_MAX_TRAILERS):
        if await source.line() == b"":
            yield b"0\r\n\r\n"
            return
    raise BadBody("it has too many trailers")


class _Source:
    """The client's bytes: first those that came early, then the socket's."""

    def __init__(self, client: socket.socket, early: bytes) -> None:
        self.client = client
        self.held = early

    async def more(self) -> bytes:
        """Some bytes, at least one."""
        held, self.held = self.held, b""
        held = held or await asyncio.get_running_loop().sock_recv(self.client, _BLOCK)
        if not held:
            raise BadBody("it ends before its announced length")
        return held

    async def exactly(self, count: int) -> AsyncIterator[bytes]:
        """`count` bytes, in parts."""
        while count:
            part = await self.more()
            self.held = part[count:]
            part = part[:count]
            count -= len(part)
            yield part

    async def line(self) -> bytes:
        """Bytes up to CRLF, without it."""
        line = b""
        while True:
            line += await self.more()
            text, end, rest = line.partition(b"\r\n")
            if end:
                if b"\n" in text or b"\r" in text:
                    raise BadBody("a line ends in a bare line feed")
                self.held = rest
                return text
            if len(line) > _MAX_LINE + _BLOCK:
                raise BadBody("a line is too long")
