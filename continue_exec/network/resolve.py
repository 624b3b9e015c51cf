"""From a name to a connected socket: one lookup, every address checked, and the connection made to the address.

The name is looked up once per connection and the socket is opened by address, so a name server that answers
differently the second time (DNS rebinding) changes nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import aiohappyeyeballs

from .names import IP, literal
from .policy import EgressPolicy, Verdict

Resolver = Callable[[str], Awaitable[list[IP]]]
"""Looks a normalised name up; raises OSError when there is no answer."""

LOOKUP_TIMEOUT_S = 10.0
"""The system resolver's own default is two servers at 5 s each (resolv.conf(5))."""
CONNECT_TIMEOUT_S = 15.0
"""Over all addresses. Clients give up after 10 to 30 s; a reason in words must come before that."""
STAGGER_S = 0.25
"""Head start of each address over the next one (RFC 8305)."""
CACHE_S = 5.0
"""Long enough that an install's connections share a lookup, short enough that nobody waits for a change."""


class Forbidden(Exception):
    """The name is allowed but none of its addresses is; the message says why."""


class SystemResolver:
    """The host's resolver (getaddrinfo), in threads of its own so that slow name servers block nobody else.

    Lookups of one name at one time are one lookup.
    """

    def __init__(self, threads: int = 8) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="egress-lookup")
        self._known: dict[str, tuple[float, list[IP]]] = {}
        self._asked: dict[str, asyncio.Future[list[IP]]] = {}

    async def __call__(self, name: str) -> list[IP]:
        """The addresses of `name`, in the system's order.

        Raises:
            OSError: no answer, or none in time.
        """
        known = self._known.get(name)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        asked = self._asked.get(name)
        if asked is None:
            loop = asyncio.get_running_loop()
            asked = loop.run_in_executor(self._threads, _lookup, name)
            self._asked[name] = asked
            asked.add_done_callback(lambda done: self._answered(name, done))
        async with asyncio.timeout(LOOKUP_TIMEOUT_S):
            return await asyncio.shield(asked)

    def _answered(self, name: str, done: asyncio.Future[list[IP]]) -> None:
        self._asked.pop(name, None)
        if done.cancelled() or done.exception() is not None:
            return
        if len(self._known) >= 1024:
            self._known.clear()
        self._known[name] = (time.monotonic() + CACHE_S, done.result())

    def close(self) -> None:
        """Release the threads; lookups under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _lookup(name: str) -> list[IP]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    # A zone (fe80::1%eth0) only occurs on link-local addresses, which are refused anyway.
    return list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


async def addresses(policy: EgressPolicy, verdict: Verdict, resolver: Resolver) -> list[IP]:
    """The addresses of `verdict.host` that the policy lets a connection go to.

    Raises:
        Forbidden: there are addresses, but the policy refuses every one.
        OSError: there are none.
    """
    address = literal(verdict.host)
    found = [address] if address is not None else await resolver(verdict.host)
    refusals = [policy.allows_address(verdict, each) for each in found]
    allowed = [each for each, refusal in zip(found, refusals, strict=True) if refusal is None]
    if not allowed:
        raise Forbidden(next((text for text in refusals if text), "it has no address"))
    return allowed


async def connect(found: list[IP], port: int) -> socket.socket:
    """A connected, non-blocking socket to the first of `found` that answers.

    Raises:
        OSError: none did, or none in time (TimeoutError).
    """
    infos = [
        (
            socket.AF_INET if address.version == 4 else socket.AF_INET6,
            socket.SOCK_STREAM,
            socket.IPPROTO_TCP,
            "",
            (str(address), port) if address.version == 4 else (str(address), port, 0, 0),
        )
        for address in found
    ]
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        sock = await aiohappyeyeballs.start_connection(
            infos, happy_eyeballs_delay=STAGGER_S, interleave=1 if len(infos) > 1 else None
        )
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A peer that vanished is noticed in minutes instead of never.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return sock
