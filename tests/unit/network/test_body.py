from __future__ import annotations

import asyncio
import socket
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continue_exec.network.body import BadBody, read_body


async def read(pieces: list[bytes], kind: int | Literal["chunked"], early: bytes = b"") -> bytes:
    """The body as the origin gets it."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        loop = asyncio.get_running_loop()

        async def feed() -> None:
            for piece in pieces:
                await loop.sock_sendall(theirs, piece)
            theirs.shutdown(socket.SHUT_WR)

        body = b""
        async with asyncio.TaskGroup() as group:
            group.create_task(feed())
            async for part in read_body(ours, early, kind):
                body += part
        return body


async def test_exactly_as_long_as_announced() -> None:
    assert await read([b"45", b"678"], 6, b"123") == b"123456"
    assert await read([b"GET /hidden"], 0) == b""


async def test_chunks_come_out_plain() -> None:
    raw = b'3;a="b"\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\nGET /hidden'
    assert await read([raw], "chunked") == b"3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n"


@given(st.lists(st.integers(1, 60), max_size=5), st.data())
def test_chunks_cut_anywhere(sizes: list[int], data: st.DataObject) -> None:
    raw = b"".join(b"%x\r\n%s\r\n" % (size, b"x" * size) for size in sizes) + b"0\r\n\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    body = asyncio.run(read([piece for piece in pieces[1:] if piece], "chunked", pieces[0]))
    assert body == raw


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"5\r\nabc",
        b"g\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\n",
        b" 1\r\n",
        b"\r\n",
        b"1\na\n0\n\n",
        b"1\r\nab\r\n0\r\n\r\n",
        b"1\r\na0\r\n\r\n",
        b"1" * 16 + b"\r\n",
        b"1;\x00\r\na\r\n0\r\n\r\n",
        b"0\r\nX: 1\n\r\n\r\n",
        b"0\r\n",
        b"1;" + b"a" * 200_000,
        b"0\r\n" + b"A: b\r\n" * 100 + b"\r\n",
    ],
)
async def test_what_is_not_a_body(raw: bytes) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await read([raw] if raw else [], "chunked")
    assert any(isinstance(error, BadBody) for error in caught.value.exceptions)


async def test_cut_short() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await read([b"abc"], 4)
    assert isinstance(caught.value.exceptions[0], BadBody)
