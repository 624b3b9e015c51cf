"""A proxy in front of servers of this test, on loopback only; names resolve to what the test says."""

from __future__ import annotations

import asyncio
import ipaddress
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from continue_exec.network.names import IP
from continue_exec.network.policy import EgressPolicy, Rule
from continue_exec.network.proxy import Decision, EgressProxy, ProxyLimits
from continue_exec.network.upstream import Upstream

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
TIMEOUT_S = 20


@dataclass
class Names:
    """A name server: each question takes the next answer of its list, the last one over and over."""

    answers: dict[str, list[list[str]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def __call__(self, name: str) -> list[IP]:
        self.asked.append(name)
        if name not in self.answers:
            raise OSError("Name or service not known")
        answers = self.answers[name]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return [ipaddress.ip_address(text) for text in answer]


class LoopbackIsPublic(EgressPolicy):
    """The policy under test, except that 127.0.0.1 counts as a public address: the servers of a test have no other."""

    def allows_address(self, verdict, address):  # type: ignore[no-untyped-def]
        return None if str(address) == "127.0.0.1" else super().allows_address(verdict, address)


@dataclass
class Lab:
    """One proxy and its surroundings."""

    folder: Path
    names: Names = field(default_factory=Names)
    decisions: list[Decision] = field(default_factory=list)
    servers: list[asyncio.Server] = field(default_factory=list)
    proxies: list[EgressProxy] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    told: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, handler: Handler) -> int:
        """A server on loopback; returns its port."""

        async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handler(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(closing, "127.0.0.1", 0)
        self.servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def proxy(
        self,
        rules: tuple[str, ...] = (),
        *,
        mode: str = "allowlist",
        policy: EgressPolicy | None = None,
        limits: ProxyLimits | None = None,
        upstream: Upstream | None = None,
        settled: Callable[[], Awaitable[object]] | None = None,
    ) -> EgressProxy:
        """A proxy that listens."""
        proxy = EgressProxy(
            self.folder / f"egress{len(self.proxies)}.sock",
            policy or LoopbackIsPublic(mode, tuple(Rule.parse(rule) for rule in rules)),  # type: ignore[arg-type]
            resolver=self.names,
            on_decision=self._decided,
            upstream=upstream,
            settled=settled,
            limits=limits or ProxyLimits(head_s=5),
        )
        await proxy.start()
        self.proxies.append(proxy)
        return proxy

    def _decided(self, decision: Decision) -> None:
        self.decisions.append(decision)
        self.told.set()

    async def decision(self) -> Decision:
        """The only decision so far, waited for."""
        async with asyncio.timeout(TIMEOUT_S):
            await self.told.wait()
        (decision,) = self.decisions
        return decision

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the newest proxy."""
        reader, writer = await asyncio.open_unix_connection(str(self.proxies[-1].path))
        self.writers.append(writer)
        return reader, writer

    async def ask(self, raw: bytes, *, eof: bool = False) -> bytes:
        """Send `raw`, return everything that is answered."""
        reader, writer = await self.connect()
        writer.write(raw)
        if eof:
            writer.write_eof()
        async with asyncio.timeout(TIMEOUT_S):
            answer = await reader.read()
        writer.close()
        return answer

    async def tunnel(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
        """CONNECT; returns the connection and the answer's head."""
        reader, writer = await self.connect()
        writer.write(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        async with asyncio.timeout(TIMEOUT_S):
            head = await reader.readuntil(b"\r\n\r\n")
        return reader, writer, head

    async def close(self) -> None:
        for writer in self.writers:
            writer.close()
        for proxy in self.proxies:
            await proxy.close()
        for server in self.servers:
            server.close()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name (sun_path holds 107 bytes)."""
    folder = Path(tempfile.mkdtemp(prefix="cexec-net-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def lab(short_folder: Path) -> AsyncIterator[Lab]:
    lab = Lab(short_folder)
    yield lab
    await lab.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends back what comes, and its end."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


class Recorder:
    """An origin that keeps each request as it arrived, and answers it."""

    def __init__(self, body: bytes = b"hello") -> None:
        self.requests: list[bytes] = []
        self.body = body

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = b""
        lower = head.lower()
        if b"content-length:" in lower:
            body = await reader.readexactly(int(lower.partition(b"content-length:")[2].split(b"\r\n")[0]))
        elif b"transfer-encoding:" in lower:
            body = await reader.readuntil(b"0\r\n\r\n")
        self.requests.append(head + body)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(self.body) + self.body)
        await writer.drain()
