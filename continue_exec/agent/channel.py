"""Frames on one connected socket. Knows nothing of methods or streams.

Bytes are received into the parser's own buffer and handed on as views of it: between the kernel and a run's log
there is no copy. What is written obeys the transport's back-pressure: `drain` before anything large.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import cast

from ..errors import ContinueExecError, ProtocolError, SandboxLost
from ..protocol import frames

log = logging.getLogger(__name__)

SOCKET_BUFFER = 1 << 20
"""Bytes asked of the kernel in each direction; it may give less (net.core.wmem_max), which is only slower."""

JOIN_BELOW = 1 << 14
"""Payloads below this are joined to their header: one system call is cheaper than two, a large copy is not."""

WRITE_HIGH = 1 << 18
"""Bytes waiting in user space before writers of bulk data wait: bounds how long a control frame queues behind them."""


class Channel(asyncio.BufferedProtocol):
    """One connection's frames, both ways, until it is closed by either side."""

    def __init__(
        self,
        on_frame: Callable[[int, int, memoryview], None],
        on_writable: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._on_writable = on_writable
        self._parser = frames.Parser()
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self.closed = asyncio.Event()
        self.close_reason = ""

    async def take_over(self, sock: socket.socket) -> None:
        """Begin on a connected, non-blocking socket."""
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: self, sock)

    @property
    def congested(self) -> bool:
        """Whether the other side does not read as fast as we write."""
        return not self._writable.is_set()

    def send(self, kind: int, stream: int, payload: bytes | memoryview = b"") -> None:
        """Queue one frame, at most MAX_PAYLOAD bytes. Nothing happens on a closed channel.

        Raises:
            ProtocolError: the payload is over the limit.
        """
        header = frames.header(kind, stream, len(payload))
        if self._transport is None or self.close_reason:
            return
        if len(payload) < JOIN_BELOW:
            self._transport.write(header + payload)
        else:
            self._transport.write(header)
            self._transport.write(payload)

    async def drain(self) -> None:
        """Wait until the other side has read enough of what was written.

        Raises:
            SandboxLost: the channel is closed, or closes meanwhile.
        """
        if not self._writable.is_set():
            await self._writable.wait()
        if self.close_reason:
            raise self.lost()

    def lost(self) -> ContinueExecError:
        """The error for everybody who still waits on a closed channel."""
        return SandboxLost(f"The connection to the sandbox's agent ended: {self.close_reason or 'not open'}.")

    def close(self, reason: str) -> None:
        """End the connection at once. The first reason stays."""
        if not self.close_reason:
            self.close_reason = reason
        self._writable.set()
        if self._transport is None:
            self.closed.set()
        else:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return self._parser.space()

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on every frame that is now complete."""
        on_frame = self._on_frame
        try:
            for kind, stream, payload in self._parser.take(nbytes):
                on_frame(kind, stream, payload)
                if self.close_reason:
                    return
        except ProtocolError as error:
            log.warning("the agent broke the protocol: %s", error)
            self.close(f"protocol error: {error.message}")
        except Exception:
            log.exception("a frame from the agent could not be handled")
            self.close("internal error while a frame was handled")

    def eof_received(self) -> None:
        """The agent closed its side; asyncio then closes ours."""
        if not self.close_reason:
            middle = " in the middle of a frame" if self._parser.pending else ""
            self.close_reason = f"the agent closed it{middle}"

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing follows."""
        if not self.close_reason:
            self.close_reason = str(error) if error else "closed"
        self._transport = None
        self._writable.set()
        self.closed.set()
        self._on_lost()

    def pause_writing(self) -> None:
        """The other side reads slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The other side has caught up."""
        self._writable.set()
        self._on_writable()
