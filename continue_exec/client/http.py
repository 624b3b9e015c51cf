"""HTTP/1.1 over a Unix socket, as small and strict as the engine's wire needs. Standard library only.

aiohttp's client would cost the CLI 180 ms of imports; this costs none. One request at a time per
connection, Content-Length or chunked bodies, keep-alive through `Pool`. Anything else the peer says is a
`ProtocolError`. A connection that ends early is a `ConnectionLost`, which says whether the request can
have been acted upon: only the caller knows if asking again is safe.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Mapping

from ..errors import ProtocolError

READ_LIMIT = 256 * 1024
"""Bytes that a connection buffers before it stops reading (asyncio pauses at twice this)."""

WRITE_HIGH = 64 * 1024
"""Bytes not yet taken by the peer above which a sender waits (asyncio's own high-water mark)."""

HEAD_LIMIT = 64 * 1024
"""Bytes of a response's status line and headers together."""

IDLE_SECONDS = 10.0
"""A pooled connection older than this is not used again: the engine must never close one just as we write on it,
and it keeps idle connections for at least 30 s."""

_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9])(?: [^\r\n]*)?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n]*?)[ \t]*")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[^\r\n]*)?\r\n")


class ConnectionLost(ConnectionError):
    """The connection ended where it should not have.

    Attributes:
        unheard: the peer cannot have acted on the request, so that sending it again is safe.
    """

    def __init__(self, message: str, *, unheard: bool) -> None:
        super().__init__(message)
        self.unheard = unheard


class Connection:
    """One connection; at most one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.idle_since = time.monotonic()
        self.usable = True

    @classmethod
    async def open(cls, path: str | os.PathLike[str]) -> Connection:
        """Connect. Raises OSError: FileNotFoundError and ConnectionRefusedError mean that nobody listens."""
        reader, writer = await asyncio.open_unix_connection(os.fspath(path), limit=READ_LIMIT)
        return cls(reader, writer)

    @property
    def fresh(self) -> bool:
        """Whether another request may be sent on it."""
        return (
            self.usable
            and not self.writer.is_closing()
            and not self.reader.at_eof()
            and time.monotonic() - self.idle_since < IDLE_SECONDS
        )

    def send_head(self, target: str, headers: Mapping[str, str], body: bytes | None) -> None:
        """Send a POST: with `body`, or, if it is None, with a chunked body that `write_chunk` and `send_end` bring."""
        lines = [f"POST {target} HTTP/1.1", "Host: engine"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines.append("Transfer-Encoding: chunked" if body is None else f"Content-Length: {len(body)}")
        head = "\r\n".join(lines)
        if head.count("\n") != len(lines) - 1 or not head.isascii():
            raise ProtocolError("A request header holds a line break or a character outside ASCII.")
        self.usable = False  # until the answer has been read to its end
        self.writer.write(head.encode("ascii") + b"\r\n\r\n" + (body or b""))

    def write_chunk(self, data: bytes) -> None:
        """Send one piece of a chunked body; `congested` then says whether to wait for `drain`."""
        if data:
            self.writer.write(b"%x\r\n%b\r\n" % (len(data), data))

    @property
    def congested(self) -> bool:
        """Whether the peer reads more slowly than we send."""
        return self.writer.transport.get_write_buffer_size() > WRITE_HIGH

    async def drain(self) -> None:
        """Wait until the peer has read most of what was sent, or is gone (its answer then says more)."""
        try:
            await self.writer.drain()
        except OSError:
            pass

    def send_end(self) -> None:
        """End a chunked body."""
        self.writer.write(b"0\r\n\r\n")

    async def response(self) -> Response:
        """Wait for the answer's status and headers.

        Raises:
            ConnectionLost: it ended before they were complete.
            ProtocolError: they are not HTTP/1.1 as the engine speaks it.
        """
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise ConnectionLost("the connection ended before the answer", unheard=False) from error
        except asyncio.LimitOverrunError as error:
            raise ProtocolError("The head of an answer is too long.") from error
        except OSError as error:
            # On a Unix socket EPIPE means that the peer had closed before we wrote, and ECONNRESET that it
            # closed with our request unread (unix(7), af_unix.c: unix_release_sock).
            raise ConnectionLost(f"the connection broke: {error}", unheard=True) from error
        if len(head) > HEAD_LIMIT:
            raise ProtocolError("The head of an answer is too long.")
        status_line, *lines = head[:-4].split(b"\r\n")
        status = _STATUS.fullmatch(status_line)
        if status is None:
            raise ProtocolError(f"An answer begins with {status_line[:80]!r}, not with an HTTP/1.1 status.")
        headers: dict[str, str] = {}
        for line in lines:
            match = _HEADER.fullmatch(line)
            if match is None:
                raise ProtocolError(f"An answer has the malformed header {line[:80]!r}.")
            name = match[1].decode("ascii").lower()
            if name in headers and name in ("content-length", "transfer-encoding"):
                raise ProtocolError(f"An answer has the header {name} twice.")
            headers[name] = match[2].decode("latin-1")
        return Response(self, int(status[1]), headers)

    def close(self) -> None:
        """Close at once; bytes not yet sent are dropped. Safe to call again."""
        self.usable = False
        self.writer.transport.abort()


class Response:
    """An answer: `status`, `headers` (names in lower case) and a body that is read piece by piece."""

    def __init__(self, connection: Connection, status: int, headers: dict[str, str]) -> None:
        self.connection = connection
        self.status = status
        self.headers = headers
        self.complete = False
        self._chunked = "transfer-encoding" in headers
        self._left = 0
        self._begun = False
        if self._chunked:
            if headers["transfer-encoding"].lower() != "chunked" or "content-length" in headers:
                raise ProtocolError("An answer's body has a length that cannot be told.")
        elif status in (204, 304):
            self._finish()
        else:
            length = headers.get("content-length", "")
            if not length.isascii() or not length.isdigit():
                raise ProtocolError("An answer's body has no length.")
            self._left = int(length)
            if self._left == 0:
                self._finish()

    def _finish(self) -> None:
        self.complete = True
        self.connection.usable = self.headers.get("connection", "").lower() != "close"
        self.connection.idle_since = time.monotonic()

    async def piece(self) -> bytes:
        """The next bytes of the body, however many are there; empty at its end.

        Raises:
            ConnectionLost: the connection ended before the body did.
            ProtocolError: the chunks are malformed.
        """
        if self.complete:
            return b""
        reader = self.connection.reader
        try:
            if self._left == 0:
                await self._next_chunk()
                if self.complete:
                    return b""
            data = await reader.read(min(self._left, READ_LIMIT))
        except (asyncio.IncompleteReadError, OSError) as error:
            raise ConnectionLost(f"the connection ended inside an answer: {error}", unheard=False) from error
        except asyncio.LimitOverrunError as error:
            raise ProtocolError("A chunk's head is too long.") from error
        if not data:
            raise ConnectionLost("the connection ended inside an answer", unheard=False)
        self._left -= len(data)
        if self._left == 0 and not self._chunked:
            self._finish()
        return data

    async def _next_chunk(self) -> None:
        reader = self.connection.reader
        if self._begun and await reader.readexactly(2) != b"\r\n":
            raise ProtocolError("A chunk does not end where it said.")
        self._begun = True
        line = await reader.readuntil(b"\r\n")
        match = _CHUNK.fullmatch(line)
        if match is None:
            raise ProtocolError(f"A chunk begins with {line[:40]!r}.")
        self._left = int(match[1], 16)
        if self._left == 0:
            while await reader.readuntil(b"\r\n") != b"\r\n":
                pass  # trailers: nothing of ours
            self._finish()

    async def read(self, limit: int) -> bytes:
        """The whole body.

        Raises:
            ProtocolError: it is longer than `limit` bytes.
        """
        pieces: list[bytes] = []
        size = 0
        while data := await self.piece():
            size += len(data)
            if size > limit:
                self.connection.close()
                raise ProtocolError(f"An answer is longer than {limit} bytes.")
            pieces.append(data)
        return b"".join(pieces)


class Pool:
    """Connections to one socket, kept for the next request."""

    KEEP = 8
    """Idle connections kept at most: a door rarely has more requests in flight at once."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        self._idle: list[Connection] = []

    def reuse(self) -> Connection | None:
        """A connection from before that is still good."""
        while self._idle:
            connection = self._idle.pop()
            if connection.fresh:
                return connection
            connection.close()
        return None

    async def open(self) -> Connection:
        """A new connection. Raises OSError."""
        return await Connection.open(self.path)

    def release(self, connection: Connection) -> None:
        """Give one back: kept if its answer was read to the end, else closed."""
        if connection.fresh and len(self._idle) < self.KEEP:
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close every idle connection."""
        while self._idle:
            self._idle.pop().close()
