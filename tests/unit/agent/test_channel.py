"""Frames on one socket: whole, in order, and with back-pressure both ways."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from continue_exec.agent.channel import JOIN_BELOW, Channel
from continue_exec.errors import ProtocolError, SandboxLost
from continue_exec.protocol.frames import HEADER, MAX_PAYLOAD, Kind, Parser, encode
from continue_exec.tasks import Tasks


class Ends:
    """A channel, the other end of its socket, and what the channel told."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, int, bytes]] = []
        self.told: list[str] = []
        self.came = asyncio.Event()
        self.channel = Channel(self._frame, lambda: self.told.append("writable"), lambda: self.told.append("lost"))
        ours, self.other = socket.socketpair()
        self.other.setblocking(False)
        self.ours = ours

    def _frame(self, kind: int, stream: int, payload: memoryview) -> None:
        if payload == b"fail":
            raise ZeroDivisionError
        self.frames.append((kind, stream, bytes(payload)))
        self.came.set()

    async def until(self, count: int) -> None:
        while len(self.frames) < count:
            self.came.clear()
            await self.came.wait()

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.other, data)

    async def receive(self, frames: int) -> list[tuple[int, int, bytes]]:
        parser, found = Parser(), []
        while len(found) < frames:
            found += parser.feed(await asyncio.get_running_loop().sock_recv(self.other, 1 << 16))
        return found


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    ends = Ends()
    await ends.channel.take_over(ends.ours)
    yield ends
    ends.channel.close("end of the test")
    await ends.channel.closed.wait()
    ends.other.close()


async def test_frames_both_ways(ends: Ends) -> None:
    sent = [(int(Kind.STDOUT), n, bytes([n]) * size) for n, size in enumerate((0, 1, JOIN_BELOW, 300_000, MAX_PAYLOAD))]
    tasks = Tasks("test")
    tasks.spawn("send", ends.send(b"".join(encode(*frame) for frame in sent)))
    await ends.until(len(sent))
    assert ends.frames == sent
    for frame in sent:
        ends.channel.send(*frame)
    assert await ends.receive(len(sent)) == sent
    await tasks.close()


async def test_writers_wait_for_a_slow_reader(ends: Ends) -> None:
    written = 0
    while not ends.channel.congested:
        ends.channel.send(Kind.STDIN, 1, bytes(100_000))
        written += 1
    tasks = Tasks("test")
    waiting = tasks.spawn("drain", ends.channel.drain())
    await asyncio.sleep(0)
    assert not waiting.done()
    assert len(await ends.receive(written)) == written
    await waiting
    assert ends.told == ["writable"]


async def test_the_first_reason_stays(ends: Ends) -> None:
    ends.channel.close("first")
    ends.channel.close("second")
    await ends.channel.closed.wait()
    assert (ends.channel.close_reason, ends.told) == ("first", ["lost"])
    ends.channel.send(Kind.STDIN, 1, b"nobody hears this")
    with pytest.raises(SandboxLost, match="first"):
        await ends.channel.drain()


@pytest.mark.parametrize(
    ("tail", "words"), [(b"", "the agent closed it"), (HEADER.pack(9, 1, 1), "in the middle of a frame")]
)
async def test_the_agent_closes(ends: Ends, tail: bytes, words: str) -> None:
    await ends.send(tail)
    ends.other.close()
    await ends.channel.closed.wait()
    assert ends.channel.close_reason.endswith(words)


async def test_nothing_after_garbage_is_looked_at(ends: Ends) -> None:
    await ends.send(encode(Kind.STDOUT, 1, b"good") + HEADER.pack(0, 0x7E, 1) + encode(Kind.STDOUT, 1, b"bad"))
    await ends.channel.closed.wait()
    assert [payload for _, _, payload in ends.frames] == [b"good"]
    assert ends.channel.close_reason == "protocol error: A frame has the unknown kind 0x7e."


async def test_a_defect_of_ours_ends_only_the_connection(ends: Ends, caplog: pytest.LogCaptureFixture) -> None:
    await ends.send(encode(Kind.STDOUT, 1, b"fail"))
    await ends.channel.closed.wait()
    assert "internal error" in ends.channel.close_reason
    assert "ZeroDivisionError" in caplog.text


async def test_an_oversized_payload_is_not_sent(ends: Ends) -> None:
    with pytest.raises(ProtocolError):
        ends.channel.send(Kind.STDIN, 1, bytes(MAX_PAYLOAD + 1))


async def test_one_that_never_began_is_closed_at_once() -> None:
    ends = Ends()
    ends.channel.close("never began")
    assert ends.channel.closed.is_set()
    ends.ours.close()
    ends.other.close()
