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


class Parser:
    """Cuts frames out of bytes that arrive in any pieces. Holds at most one incomplete frame.

    A header that cannot be right (unknown kind, oversized length) raises `ProtocolError` at once, before
    any payload is awaited: the connection is then closed, as nothing after it can be trusted.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[tuple[int, int, bytes]]:
        """Yield `(kind, stream, payload)` for every frame that `data` completes."""
        self._buffer += data
        at = 0
        try:
            while len(self._buffer) - at >= HEADER_SIZE:
                length, kind, stream = HEADER.unpack_from(self._buffer, at)
                if length > MAX_PAYLOAD:
                    raise ProtocolError(f"A frame announces {length} bytes; the limit is {MAX_PAYLOAD}.")
                if kind not in KNOWN_KINDS:
                    raise ProtocolError(f"A frame has the unknown kind {kind:#04x}.")
                end = at + HEADER_SIZE + length
                if len(self._buffer) < end:
                    break
                payload = bytes(memoryview(self._buffer)[at + HEADER_SIZE : end])
                at = end
                yield kind, stream, payload
        finally:
            del self._buffer[:at]

    @property
    def pending(self) -> int:
        """Bytes held of a frame that is not complete; at a clean end of stream this is 0."""
        return len(self._buffer)
