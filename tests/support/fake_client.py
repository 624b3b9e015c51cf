"""A client of no engine, for unit tests of doors: it answers what it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from continue_exec.errors import ContinueExecError
from continue_exec.protocol.frames import Kind

Batch = list[tuple[int, int, bytes]]


def event(seq: int, **fields: Any) -> tuple[int, int, bytes]:
    return int(Kind.EVENT), seq, json.dumps(fields).encode()


def out(seq: int, data: bytes) -> tuple[int, int, bytes]:
    return int(Kind.STDOUT), seq, data


def err(seq: int, data: bytes) -> tuple[int, int, bytes]:
    return int(Kind.STDERR), seq, data


def exited(seq: int, code: int = 0) -> tuple[int, int, bytes]:
    return event(seq, type="exited", exit_code=code, duration_ms=1500, reason="", signal=None)


class FakeStream:
    """A run's events: put batches, or an error, or None for the end."""

    def __init__(self, run_id: str = "run_1") -> None:
        self.run_id = run_id
        self.queue: asyncio.Queue[Batch | ContinueExecError | None] = asyncio.Queue()
        self.closed = False
        self.ended = asyncio.Event()
        self.read = 0

    def put(self, *frames: tuple[int, int, bytes]) -> None:
        self.queue.put_nowait(list(frames))

    async def batches(self) -> AsyncIterator[Batch]:
        while (item := await self.queue.get()) is not None:
            if isinstance(item, ContinueExecError):
                raise item
            self.read += 1
            yield item
            if any(b'"exited"' in payload for _, _, payload in item):
                return  # as the real one does

    def close(self) -> None:
        self.closed = True
        self.ended.set()


class FakeClient:
    """Attributes: `calls`: what was asked; `answers`: by method, a dict, an error, or a function that gives either."""

    def __init__(self, name: str = "lsp-test") -> None:
        self.name = name
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {}
        self.streams: list[FakeStream] = []
        self.hold: asyncio.Event | None = None
        self.called = asyncio.Event()

    async def call(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        self.calls.append((method, dict(params or {})))
        self.called.set()
        answer = self.answers.get(method, {})
        if callable(answer):
            answer = answer(dict(params or {}))
        if isinstance(answer, ContinueExecError):
            raise answer
        found: dict[str, Any] = answer
        return found

    async def open_stream(self, method: str, params: Mapping[str, Any]) -> FakeStream:
        await self.call(method, params)
        if self.hold is not None:
            await self.hold.wait()
        return self.streams.pop(0) if self.streams else FakeStream(f"run_{len(self.calls)}")

    async def close(self) -> None:
        self.calls.append(("close", {}))

    def asked(self, method: str) -> list[dict[str, Any]]:
        return [params for name, params in self.calls if name == method]
