"""A stand-in for the engine: the method table over a Unix socket, commands run as plain local processes.

For tests of the client and the CLI only; what counts is tests/e2e. It can be told to misbehave:
`answers` (by method: a dict, an error, or a function of the parameters),
`break_after` (cut the connection after so many frames), `before_start` (an event that a run waits for).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import termios
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from continue_exec import __version__
from continue_exec.errors import Conflict, ContinueExecError, InvalidRequest, NotFound, NotSupported
from continue_exec.protocol import methods
from continue_exec.protocol.frames import Kind, header

CHUNK = 65536


class LocalRun:
    """One command."""

    def __init__(self, run_id: str, params: methods.RunStart) -> None:
        self.id = run_id
        self.params = params
        self.events: list[tuple[int, bytes]] = []
        self.news = asyncio.Condition()
        self.process: asyncio.subprocess.Process | None = None
        self.master = -1
        self.state = "starting"
        self.final: dict[str, Any] = {}
        self.reason = ""
        self.sizes: list[tuple[int, int]] = []
        self.received = 0
        self.begun = asyncio.Event()

    async def add(self, kind: int, payload: bytes) -> None:
        async with self.news:
            self.events.append((kind, payload))
            self.news.notify_all()

    async def has(self, events: int) -> None:
        """Wait until there are so many events."""
        async with self.news:
            await self.news.wait_for(lambda: len(self.events) >= events)

    async def event(self, **fields: Any) -> None:
        await self.add(Kind.EVENT, json.dumps(fields).encode())

    def to_wire(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "sandbox_id": "sb_000000000000",
            "argv": list(self.params.argv) or ["snippet"],
            "cwd": self.params.cwd or self.params.workspace.path,
            "title": self.params.title,
            "tty": None if self.params.tty is None else self.params.tty.model_dump(),
            "state": self.state,
            "exit_code": self.final.get("exit_code"),
            "reason": self.reason,
            "last_seq": len(self.events),
            "created_at": time.time() - 5,
            "started_at": time.time() - 5,
        }


class LocalEngine:
    """Serves until `close`."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.runs: dict[str, LocalRun] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.version = __version__
        self.protocol = 1
        self.break_after: int | None = None
        self.before_start: asyncio.Event | None = None
        self.answers: dict[str, Any] = {}
        self._stdin_transports: list[asyncio.Transport] = []
        self._called = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/v1/{method}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        self.socket.parent.mkdir(parents=True, exist_ok=True)
        await web.UnixSite(self._runner, str(self.socket)).start()

    async def stop_listening(self) -> None:
        """As if the engine were gone; runs go on."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.socket.unlink(missing_ok=True)

    async def close(self) -> None:
        for run in self.runs.values():
            self._signal(run, signal.SIGKILL)
        if self.before_start is not None:
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.stop_listening()

    async def called(self, method: str, times: int = 1) -> dict[str, Any]:
        """Wait until `method` has been called so often; the parameters of the last of these calls."""
        async with self._called:
            await self._called.wait_for(lambda: sum(name == method for name, _ in self.calls) >= times)
        return [body for name, body in self.calls if name == method][times - 1]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["method"]
        headers = {"X-Continue-Exec": f"{self.protocol} {self.version}"}
        try:
            if name == "run.stdin" and request.content_type == "application/octet-stream":
                await self._stream_stdin(request)
                return web.json_response({}, headers=headers)
            if name not in methods.METHODS:
                raise NotSupported(f"There is no method {name}.")
            body = await request.json()
            async with self._called:
                self.calls.append((name, body))
                self._called.notify_all()
            if name in self.answers:
                answer = self.answers[name]
                if callable(answer):
                    answer = answer(body)
                if isinstance(answer, ContinueExecError):
                    raise answer
                return web.json_response(answer, headers=headers)
            try:
                params: Any = methods.METHODS[name].params.model_validate(body)
            except ValueError as error:
                raise InvalidRequest(str(error)) from None
            if name in ("run.stream", "run.follow"):
                return await self._follow(request, name, params, headers)
            handler = getattr(self, "do_" + name.replace(".", "_"))
            return web.json_response(await handler(params), headers=headers)
        except ContinueExecError as error:
            return web.json_response(error.to_wire(), status=error.status, headers=headers)

    def find(self, run_id: str) -> LocalRun:
        found = [run for run in self.runs.values() if run.id.startswith(run_id)]
        if len(found) != 1:
            raise NotFound(f"There is no run {run_id}.", hint="`continue-exec ps -a` lists them.")
        return found[0]

    async def _follow(
        self, request: web.Request, name: str, params: Any, headers: dict[str, str]
    ) -> web.StreamResponse:
        after, wait = 0, True
        if name == "run.stream":
            run = self._start(params)
        else:
            run, after, wait = self.find(params.run_id), params.after, params.wait
        response = web.StreamResponse(headers={**headers, "X-Run-Id": run.id, "Content-Type": methods.FRAMES_TYPE})
        await response.prepare(request)
        seq = after
        while True:
            async with run.news:
                while wait and seq >= len(run.events):
                    await run.news.wait()
                batch = run.events[seq:]
            for kind, payload in batch:
                seq += 1
                if self.break_after is not None:
                    if self.break_after == 0:
                        self.break_after = None
                        # Half a frame, then nothing: as a killed engine would leave it.
                        await response.write(header(kind, seq, len(payload)) + payload[: len(payload) // 2])
                        assert request.transport is not None
                        request.transport.abort()
                        return response
                    self.break_after -= 1
                await response.write(header(kind, seq, len(payload)) + payload)
            if (run.final and seq >= len(run.events)) or not wait:
                await response.write_eof()
                return response

    def _start(self, params: methods.RunStart) -> LocalRun:
        run = LocalRun(f"run_{os.urandom(6).hex()}", params)
        self.runs[run.id] = run
        task = asyncio.get_running_loop().create_task(self._run(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return run

    async def _run(self, run: LocalRun) -> None:
        params = run.params
        if self.before_start is not None:
            await self.before_start.wait()
        argv = list(params.argv) or ["sh", "-c", params.code or ""]
        started = time.monotonic()
        slave = -1
        if params.tty is not None:
            run.master, slave = pty.openpty()
            self._size(run, params.tty.rows, params.tty.cols)
        pipe = asyncio.subprocess.PIPE
        try:
            run.process = process = await asyncio.create_subprocess_exec(
                *argv,
                cwd=params.cwd or params.workspace.path,
                env={**os.environ, **params.env},
                stdin=slave if slave >= 0 else pipe if params.stdin else asyncio.subprocess.DEVNULL,
                stdout=slave if slave >= 0 else pipe,
                stderr=slave if slave >= 0 else pipe,
                preexec_fn=(lambda: _own_terminal()) if slave >= 0 else os.setsid,
                limit=CHUNK,
            )
        except FileNotFoundError:
            run.state = "failed"
            run.final = {"code": "command_not_found"}
            await run.event(
                type="failed", code="command_not_found", message=f"There is no {argv[0]}.", hint="Install it."
            )
            run.begun.set()
            return
        finally:
            if slave >= 0:
                os.close(slave)
        run.state = "running"
        run.begun.set()
        await run.event(type="started", run_id=run.id, pid=process.pid)
        if run.master >= 0:
            await self._pump_tty(run)
        else:
            assert process.stdout is not None and process.stderr is not None
            await asyncio.gather(
                self._pump(run, Kind.STDOUT, process.stdout), self._pump(run, Kind.STDERR, process.stderr)
            )
        code = await process.wait()
        run.state = "exited"
        run.final = {"exit_code": code if code >= 0 else 128 - code}
        await run.event(
            type="exited",
            exit_code=run.final["exit_code"],
            signal=-code if code < 0 else None,
            reason=run.reason,
            duration_ms=int((time.monotonic() - started) * 1000),
        )

    async def _pump(self, run: LocalRun, kind: int, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(CHUNK):
            await run.add(kind, data)

    async def _pump_tty(self, run: LocalRun) -> None:
        loop = asyncio.get_running_loop()
        while True:
            ready = asyncio.Event()
            loop.add_reader(run.master, ready.set)
            try:
                await ready.wait()
            finally:
                loop.remove_reader(run.master)
            try:
                data = os.read(run.master, CHUNK)
            except OSError:  # EIO: the last process has closed the terminal
                break
            await run.add(Kind.STDOUT, data)
        os.close(run.master)
        run.master = -1

    def _size(self, run: LocalRun, rows: int, cols: int) -> None:
        run.sizes.append((rows, cols))
        if run.master >= 0:
            fcntl.ioctl(run.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def _signal(self, run: LocalRun, number: int) -> None:
        if run.process is not None and run.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.process.pid, number)

    def cut_stdin(self) -> None:
        """Break every connection that carries standard input."""
        for transport in self._stdin_transports:
            transport.abort()

    async def _stream_stdin(self, request: web.Request) -> None:
        assert isinstance(request.transport, asyncio.Transport)
        self._stdin_transports.append(request.transport)
        run = self.find(request.query["run_id"])
        await run.begun.wait()
        assert run.process is not None
        while data := await request.content.readany():
            run.received += len(data)
            if run.master >= 0:
                os.write(run.master, data)
                continue
            if run.process.stdin is None:
                raise Conflict(f"{run.id} has no standard input.")
            try:
                run.process.stdin.write(data)
                await run.process.stdin.drain()
            except OSError:
                raise Conflict(f"{run.id} has closed its standard input.") from None
        if run.process.stdin is not None and request.query.get("eof") != "0":
            run.process.stdin.close()

    async def do_run_start(self, params: methods.RunStart) -> dict[str, Any]:
        return self._start(params).to_wire()

    async def do_run_get(self, params: methods.RunRef) -> dict[str, Any]:
        return self.find(params.run_id).to_wire()

    async def do_run_list(self, params: methods.RunListQuery) -> dict[str, Any]:
        runs = [run.to_wire() for run in reversed(self.runs.values())]
        return {"runs": [run for run in runs if not params.active or run["state"] in ("starting", "running")]}

    async def do_run_signal(self, params: methods.RunSignal) -> dict[str, Any]:
        self._signal(self.find(params.run_id), params.signal)
        return {}

    async def do_run_cancel(self, params: methods.RunCancel) -> dict[str, Any]:
        run = self.find(params.run_id)
        await run.begun.wait()
        if not run.final:
            run.reason = "cancelled"
            self._signal(run, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended(run), params.grace_s or 0.001)
            self._signal(run, signal.SIGKILL)
            await self._ended(run)
        return run.to_wire()

    async def _ended(self, run: LocalRun) -> None:
        async with run.news:
            while not run.final:
                await run.news.wait()

    async def do_run_resize(self, params: methods.RunResize) -> dict[str, Any]:
        self._size(self.find(params.run_id), params.size.rows, params.size.cols)
        return {}

    async def do_run_stdin(self, params: methods.RunStdin) -> dict[str, Any]:
        process = self.find(params.run_id).process
        assert process is not None and process.stdin is not None
        process.stdin.write(params.text.encode())
        if params.eof:
            process.stdin.close()
        return {}

    async def do_engine_status(self, params: methods.Nothing) -> dict[str, Any]:
        return {
            "version": self.version,
            "protocol": self.protocol,
            "pid": os.getpid(),
            "started_at": time.time() - 90,
            "home": "/home/of/engine",
            "socket": str(self.socket),
            "sandboxes": 1,
            "active_runs": 0,
            "log": "/home/of/engine/engine.log",
        }


def _own_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
