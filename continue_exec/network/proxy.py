"""The way out of one sandbox: an HTTP proxy on its `egress.sock`, where policy decides by name.

A connection: head (bounded in size and time) → verdict by name → lookup, every address checked → connection to
the address → bytes. Two kinds of request: CONNECT, for everything, and plain `GET http://…`, for what
speaks no TLS. There are no control paths: a request that names no host is refused.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import HostUnready
from ..tasks import Tasks
from . import dial, http1, relay, replies
from .body import BadBody, read_body
from .names import IP
from .policy import WEB_PORTS, EgressPolicy, Rule, Verdict
from .replies import Reply
from .resolve import Resolver
from .upstream import Upstream

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decision:
    """What became of one request, for the run's result and the log of the network."""

    host: str
    port: int
    allowed: bool
    reason: str
    """In words, for a person."""
    bytes_up: int = 0
    """Carried from the sandbox outwards, after the head."""
    bytes_down: int = 0
    run: str | None = None
    """The run that asked; not known yet on this path."""


@dataclass(frozen=True)
class ProxyLimits:
    """Bounds of one sandbox's proxy."""

    connections: int = 512
    """At once; each costs two file descriptors here. A browser opens 6 per host, an install some 50 in all."""
    refusals: int = 512
    """At once, beyond those, that are told why in words; yet more are closed without a word."""
    head_s: float = 10.0
    """Until a request's head is complete. A client on this very machine needs milliseconds."""
    settle_s: float = 15.0
    """How long a request that would be refused waits while the host's configuration is still being read."""


@dataclass(eq=False)
class _Connection:
    """One request under way."""

    client: socket.socket
    host: str = ""
    port: int = 0
    address: IP | None = None
    """Where it goes; None while connecting, or when the host's own proxy resolves the name."""
    cut: str = ""
    """Why it was ended from here."""
    traffic: relay.Traffic = field(default_factory=relay.Traffic)


def _advice(host: str, port: int) -> str:
    rule = Rule(host, WEB_PORTS if port in WEB_PORTS else (port,))
    return (
        f'Only a person can allow it, on the host: add "{rule}" to `allow` in continue-exec\'s settings. '
        "Nothing inside the sandbox can."
    )


class EgressProxy:
    """Serves one sandbox. `start`, then `close`; `set_policy` at any time.

    Args:
        path: the Unix socket to make (at most 107 bytes, sun_path).
        policy: what may be reached.
        resolver: looks names up (`SystemResolver`).
        on_decision: told of every refusal at once, and of every allowed request when it ends.
        upstream: the host's own proxy settings.
        settled: awaited before a refusal by name, so that a policy still being put together is not held against
            the first request.
        advice: what a refusal says about how to allow a host and port.
    """

    def __init__(
        self,
        path: Path,
        policy: EgressPolicy,
        *,
        resolver: Resolver,
        on_decision: Callable[[Decision], None] = lambda decision: None,
        upstream: Upstream | None = None,
        settled: Callable[[], Awaitable[object]] | None = None,
        advice: Callable[[str, int], str] = _advice,
        limits: ProxyLimits | None = None,
    ) -> None:
        self.path = path
        self.policy = policy
        self.limits = limits or ProxyLimits()
        self._resolver = resolver
        self._on_decision = on_decision
        self._upstream = upstream or Upstream()
        self._settled = settled
        self._advice = advice
        self._tasks = Tasks("egress")
        self._listener: socket.socket | None = None
        self._live: dict[_Connection, asyncio.Task[None]] = {}
        self._refusing = 0

    async def start(self) -> None:
        """Listen; connections are answered from now on.

        Raises:
            HostUnready: the socket cannot be made.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if self.path.exists() and stat.S_ISSOCK(self.path.lstat().st_mode):
                self.path.unlink()
            listener.bind(os.fspath(self.path))
            self.path.chmod(0o600)
            listener.listen(4096)
        except OSError as error:
            listener.close()
            raise HostUnready(
                f"The sandbox's way out cannot be made at {self.path}: {error.strerror or error}.",
                hint="Set CONTINUE_EXEC_RUNTIME_DIR to a short path on a local disk.",
            ) from None
        listener.setblocking(False)
        self._listener = listener
        self._tasks.spawn("accept", self._accept(listener))

    async def close(self) -> None:
        """Stop listening and end every connection. Nothing to do is success."""
        await self._tasks.close()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            self.path.unlink(missing_ok=True)

    def set_policy(self, policy: EgressPolicy) -> None:
        """Swap the policy; connections that it would not allow are ended now."""
        self.policy = policy
        for connection, task in list(self._live.items()):
            if not connection.host:
                continue
            verdict = policy.allows(connection.host, connection.port)
            refusal = None if verdict else verdict.reason
            if refusal is None and connection.address is not None:
                refusal = policy.allows_address(verdict, connection.address)
            if refusal is not None:
                connection.cut = f"ended by a change of policy: {refusal}"
                task.cancel()

    def __len__(self) -> int:
        """Connections being served."""
        return len(self._live)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError as error:
                # Out of file descriptors: the kernel keeps the queue, and others give theirs back in time.
                log.warning("egress: cannot accept: %s", error)
                await asyncio.sleep(0.1)
                continue
            if len(self._live) < self.limits.connections:
                connection = _Connection(client)
                self._live[connection] = self._tasks.spawn("connection", self._serve(connection))
            elif self._refusing < self.limits.refusals:
                self._refusing += 1
                self._tasks.spawn("refusal", self._busy(client))
            else:
                client.close()

    async def _busy(self, client: socket.socket) -> None:
        try:
            count = self.limits.connections
            await replies.send(client, Reply(503, f"this sandbox has {count} connections open already", "Try again."))
        finally:
            self._refusing -= 1
            client.close()

    async def _serve(self, connection: _Connection) -> None:
        verdict: Verdict | None = None
        reason = ""
        try:
            head, early = await self._head(connection)
            connection.host, connection.port = head.host, head.port
            verdict = await self._judge(head)
            connection.host = verdict.host
            await self._carry(connection, head, verdict, early)
        except Reply as reply:
            reason = reply.reason
            if reply.status == 403:
                verdict = None
            await replies.send(connection.client, reply)
        except asyncio.CancelledError:
            # By set_policy, which says why, or by close. Either way the task ends here.
            if not connection.cut:
                raise
        except (OSError, BadBody) as error:
            reason = f"broke off: {error}"
        finally:
            self._live.pop(connection, None)
            connection.client.close()
            if connection.host:
                self._report(connection, verdict, connection.cut or reason)

    async def _head(self, connection: _Connection) -> tuple[http1.Head, bytes]:
        loop, client = asyncio.get_running_loop(), connection.client
        raw = b""
        try:
            async with asyncio.timeout(self.limits.head_s):
                while (end := raw.find(b"\r\n\r\n")) < 0:
                    if len(raw) > http1.MAX_HEAD:
                        raise Reply(431, f"the request's head is larger than {http1.MAX_HEAD} bytes")
                    got = await loop.sock_recv(client, 16 * 1024)
                    if not got:
                        # Port scanners and health checks connect and go: nothing to answer.
                        raise ConnectionError("closed before a request") if not raw else Reply(400, "it is cut short")
                    raw += got
        except TimeoutError:
            raise Reply(408, f"the request's head did not arrive within {self.limits.head_s:g} seconds") from None
        if end > http1.MAX_HEAD:
            raise Reply(431, f"the request's head is larger than {http1.MAX_HEAD} bytes")
        try:
            return http1.parse(raw[: end + 4]), raw[end + 4 :]
        except http1.BadHost as error:
            connection.host, connection.port = error.text, error.port
            advice = "Use the host's name in its plain form."
            raise Reply(403, f"{error.text!r} is refused: {error}", advice, reason=str(error)) from None
        except http1.BadHead as error:
            raise Reply(400, str(error)) from None

    async def _judge(self, head: http1.Head) -> Verdict:
        verdict = self.policy.allows(head.host, head.port)
        if not verdict and self._settled is not None:
            try:
                async with asyncio.timeout(self.limits.settle_s):
                    await self._settled()
            except TimeoutError:
                log.warning("egress: the host's configuration is not read yet; deciding without it")
            verdict = self.policy.allows(head.host, head.port)
        if not verdict:
            raise self._refusal(head, verdict.reason)
        return verdict

    def _refusal(self, head: http1.Head, reason: str) -> Reply:
        return Reply(403, f"{head.authority} is refused: {reason}", self._advice(head.host, head.port), reason=reason)

    async def _carry(self, connection: _Connection, head: http1.Head, verdict: Verdict, early: bytes) -> None:
        loop = asyncio.get_running_loop()
        try:
            way = await dial.dial(head, verdict, self.policy, self._resolver, self._upstream)
        except dial.Forbidden as error:
            raise self._refusal(head, str(error)) from None
        except TimeoutError:
            raise Reply(504, f"{head.authority} did not answer in time") from None
        except (OSError, dial.Unusable) as error:
            raise Reply(502, f"{head.authority} cannot be reached: {error}") from None
        with way.sock as peer:
            connection.address = way.address
            if head.tunnel:
                await loop.sock_sendall(connection.client, b"HTTP/1.1 200 Connection established\r\n\r\n" + way.early)
                connection.traffic.down += len(way.early)
                await relay.tunnel(connection.client, peer, early, connection.traffic)
                return
            via = way.via
            await loop.sock_sendall(peer, head.to_origin(absolute=via is not None, extra=via.headers() if via else ()))
            body = read_body(connection.client, early, head.body)
            await relay.exchange(connection.client, peer, body, connection.traffic)
        try:
            async with asyncio.timeout(replies.LINGER_S):
                await replies.linger(connection.client)
        except TimeoutError:
            pass

    def _report(self, connection: _Connection, verdict: Verdict | None, reason: str) -> None:
        traffic = connection.traffic
        decision = Decision(
            connection.host,
            connection.port,
            verdict is not None,
            reason or (verdict.reason if verdict else ""),
            traffic.up,
            traffic.down,
        )
        try:
            self._on_decision(decision)
        except Exception:
            log.exception("egress: the listener for decisions failed")
