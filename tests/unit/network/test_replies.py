from __future__ import annotations

import asyncio
import socket

import pytest

from continue_exec.network import replies
from continue_exec.network.replies import Reply


@pytest.mark.parametrize("message", ["plain", "evil\r\nX-Injected: 1", "ü\x00\n", "x" * 5000])
@pytest.mark.parametrize("status", [400, 403, 408, 431, 502, 503, 504])
def test_no_message_can_end_the_head(status: int, message: str) -> None:
    head, _, body = Reply(status, message, "Do this.").encode().partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0].startswith(b"HTTP/1.1 %d " % status)
    assert [line.partition(b":")[0] for line in lines[1:]] == [
        b"Content-Type",
        b"Content-Length",
        b"Proxy-Status",
        b"Connection",
    ]
    assert b"\n" not in head.replace(b"\r\n", b"")
    assert b"Content-Length: %d\r\n" % len(body) in head
    assert b"Do this." in body


async def test_a_client_that_still_sends_gets_the_answer() -> None:
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.setblocking(False)
    loop = asyncio.get_running_loop()
    with theirs:
        with ours:
            await loop.sock_sendall(theirs, b"x" * 50_000)
            theirs.shutdown(socket.SHUT_WR)
            await replies.send(ours, Reply(403, "no"))
        got = b""
        while part := await loop.sock_recv(theirs, 65536):
            got += part
    assert got == Reply(403, "no").encode()


async def test_a_client_that_never_reads_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "LINGER_S", 0.05)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        async with asyncio.timeout(10):
            await replies.send(ours, Reply(403, "no", "x" * 10_000_000))


async def test_a_client_that_is_gone() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        ours.setblocking(False)
        await replies.send(ours, Reply(403, "no"))
