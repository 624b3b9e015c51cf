"""One way out for one request: straight to a checked address, or through the host's own proxy."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

from . import http1
from .names import IP, literal
from .policy import EgressPolicy, Verdict
from .resolve import CONNECT_TIMEOUT_S, Forbidden, Resolver, addresses, connect
from .upstream import Unusable, Upstream, UpstreamProxy

__all__ = ["Forbidden", "Unusable", "Way", "dial"]

_OWN_CHECK_S = 2.0
"""Behind a company's proxy hosts often cannot resolve outside names at all; then this is what is lost."""


@dataclass(frozen=True)
class Way:
    """A connected socket, which the caller closes."""

    sock: socket.socket
    address: IP | None = None
    """Where it leads; None when the host's own proxy resolves the name."""
    via: UpstreamProxy | None = None
    """The host's proxy at the other end of `sock`."""
    early: bytes = b""
    """The peer's first bytes, when they came together with the proxy's answer."""


async def dial(head: http1.Head, verdict: Verdict, policy: EgressPolicy, resolver: Resolver, upstream: Upstream) -> Way:
    """Open the way that `verdict` allows.

    Raises:
        Forbidden: the policy refuses every address of the name.
        Unusable: the host's proxy settings cannot be followed.
        OSError: nothing answers (TimeoutError: in time).
    """
    via = upstream.for_host(verdict.host, head.port, tunnel=head.tunnel)
    if via is None:
        sock = await connect(await addresses(policy, verdict, resolver), head.port)
        return Way(sock, literal(sock.getpeername()[0]))
    if verdict.rule is None or not verdict.rule.private:
        await _own_check(policy, verdict, resolver)
    where = literal(via.host)
    sock = await connect([where] if where is not None else await resolver(via.host), via.port)
    try:
        early = await _through(sock, via, head.authority) if head.tunnel else b""
    except BaseException:
        sock.close()
        raise
    return Way(sock, None, via, early)


async def _own_check(policy: EgressPolicy, verdict: Verdict, resolver: Resolver) -> None:
    """Refuse what resolves inwards from here. The upstream proxy resolves for itself, so this is a second lock, not the
    first: where the host cannot resolve, the name alone decides."""
    try:
        async with asyncio.timeout(_OWN_CHECK_S):
            await addresses(policy, verdict, resolver)
    except OSError:
        pass


async def _through(sock: socket.socket, via: UpstreamProxy, authority: str) -> bytes:
    """Have `via` make the tunnel; returns what came behind its answer.

    Raises:
        OSError: it refused, or answered nothing sensible.
    """
    loop = asyncio.get_running_loop()
    answer = b""
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        await loop.sock_sendall(sock, via.connect_request(authority))
        while b"\r\n\r\n" not in answer:
            got = await loop.sock_recv(sock, 16 * 1024)
            if not got or len(answer) > http1.MAX_HEAD:
                raise ConnectionError("the host's proxy gave no answer")
            answer += got
    head, _, early = answer.partition(b"\r\n\r\n")
    line = head.split(b"\r\n")[0].decode("latin-1")
    words = line.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not (len(words[1]) == 3 and words[1][0] == "2"):
        raise ConnectionError(f"the host's proxy answered {line[:200]!r}")
    return early
