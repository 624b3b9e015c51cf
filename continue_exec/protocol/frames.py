"""The frame, shared by host ↔ agent, engine → door, and the run logs on disk.

    0        4      5        9
    +--------+------+--------+-----------------+
    | length | kind | stream | payload ...     |
    +--------+------+--------+-----------------+
      u32 BE   u8     u32 BE   `length` bytes

`length` counts the payload only and is at most MAX_PAYLOAD. In host ↔ agent traffic `stream` names the
run (or other byte stream); from the engine to a door, and on disk, it is the event's sequence number.
Golden vectors that Go and Python both read: tests/contract/vectors/frames.json.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from enum import IntEnum

from ..errors import ProtocolError

HEADER = struct.Struct(">IBI")
HEADER_SIZE = HEADER.size
MAX_PAYLOAD = 1 << 20
"""Bytes. Bounds what one frame can make the other side hold; data is sent in chunks well below it."""


class Kind(IntEnum):
    """What a payload is. To add one: number it here, describe it in docs/reference/agent-protocol.md,
    add a vector to tests/contract/vectors/frames.json, regenerate the Go constants (scripts/generate)."""

    CONTROL = 0x01
    """JSON: a request, a response or a notification. Stream 0, or the stream it concerns."""
    STDOUT = 0x10
    """Raw bytes from the sandbox: standard output, a terminal, a file being read, a port."""
    STDERR = 0x11
    """Raw bytes: standard error."""
    STDIN = 0x12
    """Raw bytes to the sandbox: standard input, a terminal, a port. An empty payload is end of file."""
    PUSH = 0x13
    """Raw bytes to the sandbox: records of a push (see agent.py). An empty payload ends the push."""
    CREDIT = 0x20
    """u32 BE: how many payload bytes more the sender of the stream may send."""
    EVENT = 0x30
    """JSON: an event of a run that is not output. Engine → door and on disk only."""


KNOWN_KINDS = frozenset(int(kind) for kind in Kind)


def encode(kind: int, stream: int, payload: bytes | bytearray | memoryview = b"") -> bytes:
    """One frame as bytes. For large payloads send `header()` and the payload side by side instead."""
    return header(kind, stream, len(payload)) + payload


def header(kind: int, stream: int, length: int) -> bytes:
    """The nine bytes before a payload of `length` bytes."""
    if length > MAX_PAYLOAD:
        raise ProtocolError(f"A frame of {length} bytes is over the limit of {MAX_PAYLOAD}.")
    return HEADER.pack(length, kind, stream)


class Stretch:
    """Frames as they stand in a file, for sendfile(2). Good until the next step of the reader that gave it.

    Looks like a binary file to `loop.sendfile`.
    """

    mode = "rb"

    def __init__(self, fd: int, offset: int, size: int) -> None:
        self._fd = fd
        self.offset = offset
        self.size = size

    def fileno(self) -> int:
        """The file's descriptor; who gave it closes it."""
        return self._fd

    def __bytes__(self) -> bytes:
        return os.pread(self._fd, self.size, self.offset)


class Parser:
    """Cuts frames out of bytes that arrive in any pieces, in place: payloads are views of the buffer received into.

    Either receive straight into it (`space`, then `take`), or hand it bytes (`feed`). Holds at most one incomplete
    frame; the buffer starts small, as most connections are quiet, and grows to at most one largest frame.

    A header that cannot be right (unknown kind, oversized length) raises `ProtocolError` at once, before
    any payload is awaited: the connection is then closed, as nothing after it can be trusted.
    """

    SMALLEST = 1 << 16
    LARGEST = HEADER_SIZE + MAX_PAYLOAD

    def __init__(self) -> None:
        self._buffer = bytearray(self.SMALLEST)
        self._view = memoryview(self._buffer)
        self._start = 0  # of the bytes not yet taken
        self._end = 0
        self._wanted = HEADER_SIZE  # bytes of the frame at _start, as far as they are known

    def space(self) -> memoryview:
        """Where the next bytes go; never empty. Views that `take` yielded are not valid any more."""
        start, end, size = self._start, self._end, len(self._buffer)
        pending = end - start
        if pending == 0:
            self._start = self._end = 0
            return self._view
        if start and (start + self._wanted > size or size - end < size // 4):
            self._view[:pending] = self._view[start:end]
            self._start, self._end = 0, pending
        if self._wanted > size:
            self._resize(self._wanted)
        return self._view[self._end :]

    def take(self, count: int) -> Iterator[tuple[int, int, memoryview]]:
        """Yield `(kind, stream, payload)` for every frame complete now that `count` bytes were put into `space()`.

        The payload is valid until the next call of `space`.
        """
        self._end += count
        # A reader that fills the buffer to the brim is busy: fewer, larger reads from now on.
        full = self._end == len(self._buffer)
        buffer, view, end = self._buffer, self._view, self._end
        while end - self._start >= HEADER_SIZE:
            at = self._start + HEADER_SIZE
            length, kind, stream = HEADER.unpack_from(buffer, self._start)
            if length > MAX_PAYLOAD:
                raise ProtocolError(f"A frame announces {length} bytes; the limit is {MAX_PAYLOAD}.")
            if kind not in KNOWN_KINDS:
                raise ProtocolError(f"A frame has the unknown kind {kind:#04x}.")
            if end - at < length:
                self._wanted = HEADER_SIZE + length
                break
            self._start = at + length
            self._wanted = HEADER_SIZE
            yield kind, stream, view[at : at + length]
        if full and len(buffer) < self.LARGEST:
            self._resize(min(self.LARGEST, 4 * len(buffer)))

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[tuple[int, int, bytes]]:
        """Yield `(kind, stream, payload)` for every frame that `data` completes. To be iterated to its end."""
        rest = memoryview(data)
        while len(rest):
            space = self.space()
            count = min(len(space), len(rest))
            space[:count] = rest[:count]
            rest = rest[count:]
            for kind, stream, payload in self.take(count):
                yield kind, stream, bytes(payload)

    def _resize(self, size: int) -> None:
        """A larger buffer that holds what is pending. Views of the old one stay readable."""
        larger = bytearray(size)
        pending = self._end - self._start
        larger[:pending] = self._view[self._start : self._end]
        self._buffer, self._view = larger, memoryview(larger)
        self._start, self._end = 0, pending

    @property
    def pending(self) -> int:
        """Bytes held of a frame that is not complete; at a clean end of stream this is 0."""
        return self._end - self._start
