"""What the proxy itself answers: always words, for the person who reads the tool's error message."""

from __future__ import annotations

import asyncio
import socket

from .relay import half_close

_TITLES = {
    400: "Bad Request",
    403: "Forbidden",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
# Error types of RFC 9209 (Proxy-Status), for programs.
_STATUS = {
    400: "http_request_error",
    403: "http_request_denied",
    408: "http_request_error",
    431: "http_request_error",
    502: "destination_unavailable",
    503: "http_request_denied",
    504: "connection_timeout",
}
LINGER_S = 1.0
"""How long a refused client may take to read the answer and stop sending."""
_LINGER_BYTES = 1024 * 1024


class Reply(Exception):
    """Ends a request with an answer of the proxy's own."""

    def __init__(self, status: int, message: str, advice: str = "", *, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason or message
        self.message = message
        self.advice = advice

    def encode(self) -> bytes:
        """The whole response.

        The reason phrase carries the message too: of an answer to CONNECT, pip and most clients show nothing else.
        """
        body = f"continue-exec: {self.message}.\n{self.advice}".strip().encode() + b"\n"
        phrase = "".join(c if " " <= c <= "~" else "?" for c in self.message)[:300]
        head = (
            f"HTTP/1.1 {self.status} {_TITLES[self.status]}: {phrase}\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\n"
            f"Proxy-Status: continue-exec; error={_STATUS[self.status]}\r\n"
            "Connection: close\r\n\r\n"
        )
        return head.encode() + body


async def send(client: socket.socket, reply: Reply) -> None:
    """Send `reply`, then read on for a moment: closing over unread bytes could cost the client the answer."""
    try:
        async with asyncio.timeout(LINGER_S):
            await asyncio.get_running_loop().sock_sendall(client, reply.encode())
            await linger(client)
    except (OSError, TimeoutError):
        pass


async def linger(client: socket.socket) -> None:
    """Send no more and throw away what still comes, up to a bound. Callers limit the time.

    Raises:
        OSError: the client broke off.
    """
    half_close(client)
    loop = asyncio.get_running_loop()
    left = _LINGER_BYTES
    while left > 0 and (got := await loop.sock_recv(client, 64 * 1024)):
        left -= len(got)
