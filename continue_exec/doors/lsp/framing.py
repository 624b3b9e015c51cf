"""LSP's base protocol: `Content-Length: N`, an empty line, N bytes of JSON.

Written here and not taken from pygls because a sidecar must outlive what a peer sends: bytes that are no header are
reported and skipped up to the next header, and no length makes it hold more than it can.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_BODY = 64 << 20
"""Bytes. The largest message an editor sends is a didOpen with a whole file; the engine takes as much."""

MAX_HEADER = 8 << 10
"""Bytes before an empty line: two short headers in practice."""

_LENGTH = re.compile(rb"Content-Length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_HEADERS = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n]*\r\n)+\r\n")


class Garbage(str):
    """What was wrong, in words, with bytes that had to be skipped."""

    __slots__ = ()


class Parser:
    """Cuts bodies out of bytes that arrive in any pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._body: int | None = None
        self._skip = 0

    def feed(self, data: bytes) -> Iterator[bytes | Garbage]:
        """Yield the body of every message that `data` completes, and word of what was skipped."""
        self._buffer += data
        while True:
            if self._skip:
                count = min(self._skip, len(self._buffer))
                del self._buffer[:count]
                self._skip -= count
                if self._skip:
                    return
            if self._body is None:
                found = self._header()
                if isinstance(found, Garbage):
                    yield found
                elif not found:
                    return
                continue
            if len(self._buffer) < self._body:
                return
            body = bytes(memoryview(self._buffer)[: self._body])
            del self._buffer[: self._body]
            self._body = None
            yield body

    def _header(self) -> bool | Garbage:
        """Take one block of headers. True: something was taken; False: more bytes are needed."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) <= MAX_HEADER:
                return False
            # The tail may be the beginning of a header; the rest cannot be.
            del self._buffer[:-64]
            return Garbage("bytes that are no header")
        block = bytes(self._buffer[: end + 4])
        del self._buffer[: end + 4]
        lengths = _LENGTH.findall(block)
        if not lengths:
            return Garbage("headers without a Content-Length")
        length = int(lengths[-1])
        if length > MAX_BODY:
            self._skip = length
            return Garbage(f"a message of {length} bytes; the limit is {MAX_BODY}")
        self._body = length
        if not _HEADERS.fullmatch(block):
            return Garbage("bytes before a header that are no header")
        return True

    @property
    def pending(self) -> int:
        """Bytes held of a message that is not complete."""
        return len(self._buffer)
