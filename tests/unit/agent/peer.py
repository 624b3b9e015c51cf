"""A peer that speaks the agent's protocol from a script: what the host must bear can be said frame by frame."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from continue_exec.protocol.agent import Exec
from continue_exec.protocol.frames import Kind, Parser, encode
from continue_exec.tasks import Tasks

HELLO = {"protocol": 1, "version": "peer", "capabilities": ["exec"], "boot_id": "b", "pid": 1, "streams": []}


class Peer:
    """Waits at a doorbell, dials, answers what `answers` names, and keeps everything else for the test."""

    def __init__(self, folder: Path) -> None:
        self.doorbell, self.sockets = folder / "doorbell", folder
        os.mkfifo(self.doorbell)
        self.fd = os.open(self.doorbell, os.O_RDWR | os.O_NONBLOCK)
        self.answers: dict[str, Callable[[dict[str, Any]], Any]] = {"hello": lambda params: HELLO}
        self.requests: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.frames: asyncio.Queue[tuple[int, int, bytes]] = asyncio.Queue()
        self.rings: asyncio.Queue[str] = asyncio.Queue()
        self.dials = True
        self.writer: asyncio.StreamWriter | None = None
        self._tasks = Tasks("peer")
        asyncio.get_running_loop().add_reader(self.fd, self._rung)

    def _rung(self) -> None:
        for line in os.read(self.fd, 4096).decode().splitlines():
            self.rings.put_nowait(line)
            word, _, token = line.partition(" ")
            if word == "dial" and self.dials:
                self._tasks.spawn("serve", self._serve(token))
            elif word == "hangup":
                self.cut()

    async def _serve(self, token: str) -> None:
        if self.writer is not None:
            self.cut()  # a ring while a connection lives replaces it
        reader, self.writer = await asyncio.open_unix_connection(self.sockets / "agent.sock")
        self.writer.write(f"{token}\n".encode())
        parser = Parser()
        try:
            while data := await reader.read(1 << 16):
                for kind, stream, payload in parser.feed(data):
                    if kind != Kind.CONTROL:
                        self.frames.put_nowait((kind, stream, payload))
                    else:
                        self._request(json.loads(payload))
        except ConnectionResetError:
            pass  # the host cut it: what some tests are about

    def _request(self, request: dict[str, Any]) -> None:
        if request["method"] in self.answers:
            self.respond(request["id"], result=self.answers[request["method"]](request["params"]))
        else:
            self.requests.put_nowait(request)

    def raw(self, data: bytes) -> None:
        assert self.writer is not None
        self.writer.write(data)

    def send(self, kind: int, stream: int, payload: bytes) -> None:
        self.raw(encode(kind, stream, payload))

    def control(self, **message: Any) -> None:
        self.send(Kind.CONTROL, 0, json.dumps(message).encode())

    def respond(self, id: int, **message: Any) -> None:
        self.control(id=id, **message)

    def cut(self) -> None:
        assert self.writer is not None
        self.writer.transport.abort()

    async def request(self, method: str) -> dict[str, Any]:
        """The next request that has no answer of its own; its id and parameters."""
        request = await self.requests.get()
        assert request["method"] == method
        return request

    async def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.fd)
        os.close(self.fd)
        if self.writer is not None:
            self.writer.transport.abort()
        await self._tasks.close()


class Kept:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.out: list[tuple[int, bytes]] = []
        self.note: Any = None
        self.losses = 0
        self.pid = 0
        self.ended = asyncio.Event()
        self.arrived = asyncio.Event()

    @property
    def data(self) -> bytes:
        return b"".join(data for _, data in self.out)

    def started(self, pid: int) -> None:
        assert not self.out
        self.pid = pid

    def output(self, kind: int, data: memoryview) -> None:
        assert self.note is None
        self.out.append((kind, bytes(data)))
        self.arrived.set()

    async def until(self, size: int) -> None:
        """Wait for that many bytes."""
        while sum(len(data) for _, data in self.out) < size:
            self.arrived.clear()
            await self.arrived.wait()

    def exited(self, note: Any) -> None:
        assert self.note is None
        self.note = note
        self.ended.set()

    def lost(self) -> None:
        self.losses += 1
        self.ended.set()


def run(stream: int, *argv: str, stdin: bool = False) -> Exec:
    return Exec(stream=stream, run_id=f"run_{stream}", argv=argv or ("true",), cwd="/", env={}, stdin=stdin)


def exited(stream: int, end: int, **more: Any) -> dict[str, Any]:
    note = {"stream": stream, "run_id": f"run_{stream}", "exit_code": 0, "end": end, **more}
    return {"event": "exited", "params": note}


Started = tuple[int, Kept]
"""A run that the peer plays: its stream and its sink."""
