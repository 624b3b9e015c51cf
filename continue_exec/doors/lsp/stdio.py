"""Standard input and output as the wire, kept clean.

The real standard output is moved away first: whatever prints to descriptor 1 (Python, a library, a child) ends in
standard error and cannot corrupt the wire.
"""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator

WRITE_HIGH = 256 * 1024
"""Bytes that wait to be written before senders of output wait too: about what an editor takes in one go."""

READ_SIZE = 64 * 1024


def capture_stdout() -> int:
    """Descriptor of the real standard output; from here on descriptor 1 is standard error."""
    sys.stdout.flush()
    wire = os.dup(1)
    os.dup2(2, 1)
    return wire


def _can_wait(fd: int) -> bool:
    """Whether the loop can wait for it: not for a regular file or /dev/null (epoll_ctl(2): EPERM); they never block."""
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd)


async def read_pieces(fd: int) -> AsyncIterator[bytes]:
    """Bytes as they come, to the end of file."""
    if not _can_wait(fd):
        while data := os.read(fd, READ_SIZE):
            yield data
        return
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=READ_SIZE)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", buffering=0, closefd=False)
    )
    try:
        while data := await reader.read(READ_SIZE):
            yield data
    finally:
        transport.close()


class Wire:
    """The way out. pygls calls `write` and `close`; senders of output call `room` before each piece.

    Answers never wait: they are few, and the requests that cause them are read only while there is room. So what an
    editor does not read is bounded by WRITE_HIGH and the answers to what it already asked.
    """

    def __init__(self, writer: asyncio.StreamWriter | None, fd: int) -> None:
        self._writer = writer
        self._fd = fd
        self.broken = False

    @classmethod
    async def open(cls, fd: int) -> Wire:
        """Take over the descriptor."""
        if not _can_wait(fd):
            return cls(None, fd)
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.connect_write_pipe(
            lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), os.fdopen(fd, "wb", buffering=0)
        )
        transport.set_write_buffer_limits(high=WRITE_HIGH)
        return cls(asyncio.StreamWriter(transport, protocol, None, loop), fd)

    def write(self, data: bytes) -> None:
        """Send; never blocks, never raises. Without a reader it is dropped."""
        if self.broken:
            return
        if self._writer is None:
            os.write(self._fd, data)
        elif self._writer.is_closing():
            self.broken = True
        else:
            self._writer.write(data)

    @property
    def waiting(self) -> int:
        """Bytes not yet taken by the editor."""
        return 0 if self._writer is None else self._writer.transport.get_write_buffer_size()

    async def room(self) -> None:
        """Wait until the editor has read enough.

        Raises:
            ConnectionError: it has gone.
        """
        if self._writer is not None:
            await self._writer.drain()

    def close(self) -> None:
        """Nothing: the owner ends it with `finish`, when the last answer has been written."""

    async def finish(self, seconds: float) -> None:
        """Wait until everything is written, at most so long, and close."""
        if self._writer is None:
            return
        self._writer.transport.set_write_buffer_limits(high=0)
        try:
            async with asyncio.timeout(seconds):
                await self._writer.drain()
        except (TimeoutError, OSError):
            pass
        if not self._writer.is_closing():
            self._writer.transport.abort()
