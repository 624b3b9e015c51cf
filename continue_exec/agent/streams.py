"""Byte streams and their credit (docs/reference/agent-protocol.md, Credit).

    RunStream    output of one run, handed to a `Sink` as it arrives, credited when the sink has kept it
    Reading      a file being read, a port: taken by a reader, credited when it has taken it
    Outbound     bytes to the sandbox: standard input, a port, a push; waits for credit

The agent is untrusted: what it sends beyond its credit is a `ProtocolError`, which closes the connection.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ..errors import ProtocolError
from ..protocol.agent import INITIAL_CREDIT, Exited
from ..protocol.frames import Kind
from .channel import Channel

log = logging.getLogger(__name__)

GRANT_AT = 1 << 18
"""Bytes consumed before they are granted again: a sender always has three quarters of its credit left, and a grant
costs nothing beside them."""

CHUNK = 1 << 17
"""Largest payload sent, bytes: bounds what stands between a control frame and the wire."""

MOST_CREDIT = 1 << 31
"""More than this outstanding is taken as this."""

CREDIT = struct.Struct(">I")


class Sink(Protocol):
    """Who keeps a run's output. Called on the event loop, in order; must not block it for long."""

    def started(self, pid: int) -> None:
        """The process exists. Called before anything else, by `exec` only."""
        ...

    def output(self, kind: int, data: memoryview) -> None:
        """Bytes of STDOUT or STDERR (`Kind`). They must be kept before this returns: `data` is reused, and credit
        is granted."""
        ...

    def exited(self, note: Exited) -> None:
        """The command ended, and all its output up to `note.end` has been delivered."""
        ...

    def lost(self) -> None:
        """Nothing more arrives on this connection; the run may still live. `attach` takes it over again."""
        ...


class Inbound:
    """What the agent may still send on one stream."""

    def __init__(self, channel: Channel, stream: int) -> None:
        self._channel = channel
        self.stream = stream
        self.window = INITIAL_CREDIT
        self.owed = 0
        """Bytes consumed and not granted again."""

    def arrive(self, size: int) -> None:
        """Account for `size` bytes that came."""
        self.window -= size
        if self.window < 0:
            raise ProtocolError(f"The agent sent more than its credit on stream {self.stream}.")

    def grant(self) -> None:
        """Give back what was consumed. Postponed while the agent does not read: grants must not pile up."""
        if self.owed and not self._channel.congested:
            self._channel.send(Kind.CREDIT, self.stream, CREDIT.pack(self.owed))
            self.window += self.owed
            self.owed = 0

    def receive(self, kind: int, data: memoryview) -> None:
        """Bytes came. Raises `ProtocolError` where they may not."""
        raise NotImplementedError

    def lost(self) -> None:
        """The connection ended."""
        raise NotImplementedError


class RunStream(Inbound):
    """A run's output on this connection."""

    def __init__(self, channel: Channel, stream: int, sink: Sink, offset: int) -> None:
        super().__init__(channel, stream)
        self.stdin = Outbound(channel, Kind.STDIN, stream)
        self._sink: Sink | None = sink
        self._offset = offset
        self._note: Exited | None = None

    def started(self, pid: int) -> None:
        """Tell the sink."""
        if self._sink is not None:
            self._shield(self._sink.started, pid)

    def receive(self, kind: int, data: memoryview) -> None:
        """Hand output to the sink."""
        size = len(data)
        self.arrive(size)
        self._offset += size
        if self._note is not None and self._offset > self._note.end:
            raise ProtocolError(f"The agent sent output of stream {self.stream} beyond its announced end.")
        if self._sink is None:
            return
        if not self._shield(self._sink.output, kind, data):
            self.lost()  # not granted, so that the command waits until somebody can keep what it says
            return
        self.owed += size
        if self.owed >= GRANT_AT:
            self.grant()
        if self._note is not None:
            self._finish(self._note)

    def exited(self, note: Exited) -> None:
        """The agent's note; passed on once all output is there."""
        if self._note is not None or note.end < self._offset:
            raise ProtocolError(f"The agent sent a second or impossible exit of stream {self.stream}.")
        self._note = note
        self.stdin.end()
        self._finish(note)

    def _finish(self, note: Exited) -> None:
        if self._offset == note.end and (sink := self._sink) is not None:
            self._sink = None
            self.owed = 0  # nothing more comes: no grant is needed
            self._shield(sink.exited, note)

    def lost(self) -> None:
        """Tell the sink, unless it has had the exit."""
        self.stdin.end()
        sink, self._sink = self._sink, None
        if sink is not None:
            self._shield(sink.lost)

    def _shield(self, tell: Callable[..., None], *what: object) -> bool:
        """Whether the sink took it. One run whose output cannot be kept must not end the others."""
        try:
            tell(*what)
        except Exception:
            log.exception("what stream %d said could not be kept", self.stream)
            return False
        return True


class Reading(Inbound):
    """Bytes from the sandbox that one reader takes; for a port, also bytes to it."""

    def __init__(self, channel: Channel, stream: int) -> None:
        super().__init__(channel, stream)
        self.outbound = Outbound(channel, Kind.STDIN, stream)
        self._chunks: deque[bytes] = deque()
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    def receive(self, kind: int, data: memoryview) -> None:
        """Keep a copy until the reader takes it; credit bounds how much that is."""
        if kind != Kind.STDOUT or self._ended:
            raise ProtocolError(f"The agent sent what stream {self.stream} does not carry.")
        self.arrive(len(data))
        if len(data):
            self._chunks.append(bytes(data))
            self._wake()

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self.outbound.end()
        self._wake()

    def lost(self) -> None:
        """The connection ended."""
        self.end()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def read(self) -> bytes:
        """The next bytes as they came; `b""` at the end. One reader at a time.

        Raises:
            SandboxLost: the connection ended before the stream did.
        """
        while not self._chunks:
            if self._channel.close_reason:
                raise self._channel.lost()
            if self._ended:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        chunk = self._chunks.popleft()
        self.owed += len(chunk)
        if self.owed >= GRANT_AT:
            self.grant()
        return chunk


class Outbound:
    """Bytes to the sandbox on one stream, in order, as far as its credit goes."""

    def __init__(self, channel: Channel, kind: int, stream: int) -> None:
        self._channel = channel
        self._kind = kind
        self._stream = stream
        self._credit = INITIAL_CREDIT
        self._ended = False
        self._turn = asyncio.Lock()
        self._waiter: asyncio.Future[None] | None = None

    @property
    def ended(self) -> bool:
        """Whether nobody takes the bytes any more."""
        return self._ended

    def granted(self, count: int) -> None:
        """The agent has used `count` bytes."""
        self._credit = min(self._credit + count, MOST_CREDIT)
        self._wake()

    def end(self) -> None:
        """Nobody takes the bytes any more; what is sent from now on is thrown away."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def send(self, data: bytes | memoryview) -> None:
        """Send `data`; an empty one is end of file. Returns when all of it is with the transport.

        Raises:
            SandboxLost: the connection ended.
        """
        async with self._turn:
            if not data:
                await self._channel.drain()
                if not self._ended:
                    self._channel.send(self._kind, self._stream)
                return
            rest = memoryview(data)
            while len(rest):
                while not self._credit and not self._ended and not self._channel.close_reason:
                    self._waiter = asyncio.get_running_loop().create_future()
                    await self._waiter
                await self._channel.drain()
                if self._ended:
                    return
                count = min(len(rest), self._credit, CHUNK)
                self._channel.send(self._kind, self._stream, rest[:count])
                self._credit -= count
                rest = rest[count:]
