"""An editor, in short: a hand-made JSON-RPC peer of the sidecar, so that the wire itself is what is tested."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from continue_exec.tasks import Tasks

from .engines import cli_argv

SIDECAR = [*cli_argv(), "lsp"]


class RpcError(Exception):
    """An error answer."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(json.dumps(body))
        self.code: int = body["code"]
        self.message: str = body["message"]
        self.data: dict[str, Any] = body.get("data") or {}


class Editor:
    """One sidecar process and the conversation with it.

    Attributes:
        notified: every notification received, in order.
        asked: every request received from the sidecar, in order; each was answered with null, unless `answers` has
            a function for its method.
        stray: answers with no id.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.notified: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.answers: dict[str, Callable[[Any], Any]] = {}
        self.stray: list[dict[str, Any]] = []
        self.order: list[str] = []
        self._events: dict[str, list[dict[str, Any]]] = {}
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._changed = asyncio.Condition()
        self._tasks = Tasks("editor")
        self._reading = asyncio.Event()
        self._reading.set()
        self._end = self._tasks.spawn("read", self._read())

    @classmethod
    async def start(cls, variables: Mapping[str, str] | None = None, argv: list[str] | None = None) -> Editor:
        process = await asyncio.create_subprocess_exec(
            *(argv or SIDECAR),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=dict(variables) if variables is not None else None,
            limit=1 << 16,  # so that `pause` is felt by the sidecar and not taken up here
        )
        return cls(process)

    async def __aenter__(self) -> Editor:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.set()
        if self.process.returncode is None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            async with asyncio.timeout(20):
                await self.process.wait()
        await self._tasks.close()

    async def initialize(
        self,
        folder: Path | None = None,
        *,
        events: bool = True,
        capabilities: dict[str, Any] | None = None,
        pid: int | None = None,
    ) -> dict[str, Any]:
        folders = [{"uri": folder.as_uri(), "name": folder.name}] if folder else None
        params = {
            "processId": os.getpid() if pid is None else pid,
            "rootUri": folder.as_uri() if folder else None,
            "workspaceFolders": folders,
            "capabilities": {
                "experimental": {"continueExec": {"events": True}} if events else {},
                **(capabilities or {}),
            },
        }
        result: dict[str, Any] = await self.request("initialize", params)
        self.notify("initialized", {})
        return result

    # Sending

    def send_bytes(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    def send(self, message: Any) -> None:
        body = message if isinstance(message, bytes) else json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.send_bytes(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    def notify(self, method: str, params: Any) -> None:
        self.send({"method": method, "params": params})

    def begin(self, method: str, params: Any = None) -> tuple[int, asyncio.Future[Any]]:
        """Send a request; its id and its answer to come."""
        number = next(self._ids)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        self.send({"id": number, "method": method, **({} if params is None else {"params": params})})
        return number, future

    async def request(self, method: str, params: Any = None, timeout: float = 60) -> Any:
        _, future = self.begin(method, params)
        async with asyncio.timeout(timeout):
            return await future

    # Documents

    def open(self, path: Path, text: str, language: str = "python") -> str:
        uri = path.as_uri()
        document = {"uri": uri, "languageId": language, "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})
        return uri

    def change(self, uri: str, *changes: dict[str, Any], version: int = 2) -> None:
        document = {"uri": uri, "version": version}
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": list(changes)})

    # Receiving

    def pause(self) -> None:
        """Stop reading what the sidecar writes."""
        self._reading.clear()

    def resume(self) -> None:
        self._reading.set()

    async def _read(self) -> None:
        reader = self.process.stdout
        assert reader is not None
        try:
            while True:
                await self._reading.wait()
                head = await reader.readuntil(b"\r\n\r\n")
                fields = dict(line.split(b": ", 1) for line in head[:-4].split(b"\r\n"))
                message = json.loads(await reader.readexactly(int(fields[b"Content-Length"])))
                async with self._changed:
                    self._take(message)
                    self._changed.notify_all()
        except asyncio.IncompleteReadError as error:
            assert not error.partial, f"the sidecar's output ended inside a message: {error.partial[:200]!r}"
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ConnectionError("the sidecar ended before it answered"))
                    future.exception()

    def _take(self, message: dict[str, Any]) -> None:
        if "method" in message and "id" in message:
            self.asked.append(message)
            answer = self.answers.get(message["method"])
            self.send({"id": message["id"], "result": answer(message.get("params")) if answer else None})
        elif "method" in message:
            self.notified.append(message)
            self.order.append(message["method"])
            if message["method"] == "continueExec/event":
                self._events.setdefault(message["params"]["runId"], []).append(message["params"])
        elif message["id"] is None:
            self.stray.append(message["error"])
        else:
            self.order.append(f"answer {message['id']}")
            future = self._waiting.pop(message["id"])
            if future.done():
                return
            if "error" in message:
                future.set_exception(RpcError(message["error"]))
            else:
                future.set_result(message["result"])

    async def until(self, true: Callable[[], Any], timeout: float = 60) -> Any:
        """Wait until something received makes `true()` true; its value."""
        async with asyncio.timeout(timeout), self._changed:
            while not (value := true()):
                await self._changed.wait()
            return value

    def events(self, run_id: str) -> list[dict[str, Any]]:
        """Parameters of every `continueExec/event` of a run so far."""
        return self._events.get(run_id, [])

    def text(self, run_id: str, stream: str = "stdout") -> str:
        """What a run has written so far."""
        events = [params["event"] for params in self.events(run_id)]
        return "".join(event["text"] for event in events if event["type"] == "output" and event["stream"] == stream)

    def of_kind(self, method: str) -> list[dict[str, Any]]:
        """Parameters of every notification of one kind."""
        return [one["params"] for one in self.notified if one["method"] == method]

    async def ended(self, run_id: str, timeout: float = 60) -> dict[str, Any]:
        """A run's final event, once it is there."""

        def final() -> dict[str, Any] | None:
            events = self.events(run_id)
            last: dict[str, Any] | None = events[-1]["event"] if events else None
            return last if last and last["type"] in ("exited", "failed") else None

        found: dict[str, Any] = await self.until(final, timeout)
        return found

    async def finished(self, method: str, params: Any) -> tuple[str, dict[str, Any]]:
        """Start a run and wait for its end: its id and final event."""
        run_id: str = (await self.request(method, params))["runId"]
        return run_id, await self.ended(run_id)
