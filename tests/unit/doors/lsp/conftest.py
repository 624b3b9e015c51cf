from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from continue_exec.doors.lsp.framing import Parser
from continue_exec.doors.lsp.serve import Life
from continue_exec.doors.lsp.server import Sidecar
from tests.support.fake_client import FakeClient


class MemoryWire:
    """A wire that keeps what is sent."""

    def __init__(self) -> None:
        self.waiting = 0
        self._parser = Parser()
        self.sent: list[dict[str, Any]] = []
        self._changed = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.sent += [json.loads(body) for body in self._parser.feed(data)]
        self._changed.set()

    async def until(self, true: Callable[[], Any]) -> None:
        """Wait until what was sent makes `true()` true."""
        async with asyncio.timeout(20):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    async def room(self) -> None:
        pass

    def close(self) -> None:
        pass


class Talk:
    """A sidecar without a process, an engine or pipes."""

    def __init__(self) -> None:
        self.wire = MemoryWire()
        self.client = FakeClient()
        self.quiet = FakeClient()
        self.sidecar = Sidecar(self.wire, self.client, self.quiet)  # type: ignore[arg-type]
        self.sidecar.protocol.set_writer(self.wire)  # type: ignore[arg-type]
        self.life = Life(self.sidecar)

    def say(self, message: Any) -> int | None:
        return self.life.message(message if isinstance(message, bytes) else json.dumps(message).encode())

    def ask(self, number: int, method: str, params: Any = None) -> None:
        self.say({"jsonrpc": "2.0", "id": number, "method": method, "params": params})

    def tell(self, method: str, params: Any = None) -> int | None:
        return self.say({"jsonrpc": "2.0", "method": method, "params": params})

    def initialize(self, events: bool = True, folder: str = "/w", **capabilities: Any) -> None:
        params = {
            "processId": None,
            "rootUri": f"file://{folder}",
            "capabilities": {"experimental": {"continueExec": {"events": events}}, **capabilities},
        }
        self.ask(0, "initialize", params)

    def answer(self, number: int) -> dict[str, Any]:
        (found,) = [one for one in self.wire.sent if one.get("id") == number and "method" not in one]
        return found

    def of(self, method: str) -> list[dict[str, Any]]:
        return [one["params"] for one in self.wire.sent if one.get("method") == method]


@pytest.fixture
async def talk() -> AsyncIterator[Talk]:
    made = Talk()
    yield made
    await made.sidecar.close()
