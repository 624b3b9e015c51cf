"""The engine's client: calls, runs and their results.

Start-up time is part of what a user feels, so parameters and results are plain dicts on the way; models
(pydantic) are made only for the callers of the typed methods.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, Unpack

from .. import __version__, paths
from ..errors import ContinueExecError, EngineUnavailable, ProtocolError, VersionMismatch, from_wire
from ..protocol.frames import Kind
from ..protocol.versions import ENGINE_PROTOCOL, accepts
from ..tasks import Tasks
from . import start
from .http import Connection, ConnectionLost, Pool, Response
from .methods import Methods, given
from .stdin import StdinStream
from .stream import Frame, RunStream

if TYPE_CHECKING:
    from ..model import Run
    from ..protocol.events import RunEvent

FRAMES_TYPE = "application/vnd.continue-exec.frames"
"""protocol.methods.FRAMES_TYPE, repeated because that module costs pydantic; a test compares the two."""

ANSWER_LIMIT = 64 << 20
"""Bytes of one JSON answer. The longest are lists, which the engine bounds far below this."""

REPLACE_SECONDS = 20.0
"""For an idle engine of another version to end and ours to start in its place."""

# Asking twice would do it twice; everything else may be asked again when a connection breaks.
_ONCE = frozenset({"run.start", "run.stream", "run.stdin", "run.signal"})


class RunOptions(TypedDict, total=False):
    """How to start a command. Paths may be relative to the current folder."""

    workspace: str | os.PathLike[str]
    """Any folder or file in the workspace; default: the current folder."""
    workspace_root: bool
    """`workspace` is itself the workspace, whatever Git says."""
    code: str | None
    """Instead of argv: a snippet, in `language`."""
    language: str | None
    file: str | os.PathLike[str] | None
    """Instead of argv: run this file by its language."""
    cwd: str | os.PathLike[str] | None
    """Default: the workspace's root."""
    env: Mapping[str, str] | None
    timeout_s: float | None
    """TERM, grace, KILL after this many seconds."""
    stdin: bool
    """Give it a standard input (`Client.open_stdin`); else /dev/null."""
    tty: tuple[int, int] | None
    """Give it a terminal of this many rows and columns."""
    sync: bool
    """False: run with what is inside, even if it cannot be brought up to date; default: True."""
    title: str
    """What a person calls it."""
    preview: bool
    """In a throwaway copy of the sandbox, to be kept or discarded: `preview_keep`, `preview_discard`."""


class ExecuteResult(NamedTuple):
    """What a command left behind."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    missing_bytes: int
    """Output that was dropped because the engine's log of it is bounded and this reader was too slow; normally 0."""
    run: Run


class Client(Methods):
    """A client of this user's engine, which it starts on demand. An async context manager.

    Args:
        socket: the engine's socket; default: where paths.engine_socket() says.
        name: of this door, sent as `client` with every run it starts.
        start_engine: start the engine if none runs; else raise EngineUnavailable.
        command: how to start the engine (tests).

    One client may be used by many tasks at once, on one event loop.
    """

    def __init__(
        self,
        socket: str | os.PathLike[str] | None = None,
        *,
        name: str = "",
        start_engine: bool = True,
        command: Sequence[str] | None = None,
    ) -> None:
        self.socket = os.fspath(socket or paths.engine_socket_name())
        self.name = name
        self.engine_version = ""
        self.tasks = Tasks("client")
        self._start_engine = start_engine
        self._command = command
        self._pool = Pool(self.socket)
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection. Runs go on."""
        await self.tasks.close()
        self._pool.close()
        await asyncio.sleep(0)  # sockets are closed by the loop's next round

    # Calls

    async def call(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One method of the table, as plain dicts.

        Raises:
            ContinueExecError: what the engine answered; EngineUnavailable: it could not be reached or started,
                or the connection broke (the message says whether the request may have been carried out).
        """
        response = await self._ask(method, params)
        return await self.finish(response)

    async def finish(self, response: Response) -> dict[str, Any]:
        """Read a JSON answer to its end and give the connection back; an error's answer is raised."""
        try:
            body = await response.read(ANSWER_LIMIT)
        finally:
            self.release(response)
        try:
            answer = json.loads(body) if body else {}
        except ValueError as error:
            raise ProtocolError("The engine's answer is not JSON.") from error
        if not isinstance(answer, dict):
            raise ProtocolError("The engine's answer is not a JSON object.")
        if response.status != 200:
            if "code" not in answer:
                raise ProtocolError(f"The engine answered with status {response.status} and no error.")
            raise from_wire(answer)
        return answer

    async def open_frames(self, method: str, params: Mapping[str, Any]) -> Response:
        """A streaming method's answer, its frames still to be read; `open_stream` is the comfortable form."""
        return await self._ask(method, params, accept=FRAMES_TYPE)

    async def open_stream(self, method: str, params: Mapping[str, Any]) -> RunStream:
        """Start (`run.stream`) or follow (`run.follow`) a run; its id is known when this returns.

        Raises: as `call`.
        """
        response = await self.open_frames(method, params)
        run_id = response.headers.get("x-run-id", "") or str(params.get("run_id", ""))
        if not run_id:
            self.release(response)
            raise ProtocolError("The engine did not say which run it started.")
        return RunStream(self, response, run_id, after=int(params.get("after", 0)), wait=bool(params.get("wait", True)))

    async def frames(self, method: str, params: Mapping[str, Any]) -> AsyncIterator[Frame]:
        """A run's events as `(kind, seq, payload)`, without models: the fast way. Raises as `RunStream.batches`."""
        stream = await self.open_stream(method, params)
        async for frame in stream:
            yield frame

    async def open_stdin(self, run_id: str, *, eof: bool = True) -> StdinStream:
        """A stream to a run's standard input. `eof=False`: its end is not the end of the run's input."""
        connection = self._pool.reuse() or await self._open()
        target = f"/v1/run.stdin?run_id={run_id}" + ("" if eof else "&eof=0")
        connection.send_head(target, self._headers("application/octet-stream"), None)
        return StdinStream(self, connection, run_id)

    # Runs

    def run_params(self, argv: Sequence[str] = (), **options: Unpack[RunOptions]) -> dict[str, Any]:
        """RunStart's JSON."""
        tty = options.get("tty")
        file, cwd = options.get("file"), options.get("cwd")
        return given(
            workspace={
                "path": os.path.realpath(options.get("workspace", ".")),
                "root": options.get("workspace_root", False),
            },
            argv=list(argv) or None,
            code=options.get("code"),
            language=options.get("language"),
            # The file itself may be a link: it is what the name says inside, too.
            file=None
            if file is None
            else os.path.join(os.path.realpath(os.path.dirname(file)), os.path.basename(file)),
            cwd=None if cwd is None else os.path.realpath(cwd),
            env=dict(options.get("env") or {}) or None,
            timeout_s=options.get("timeout_s"),
            stdin=options.get("stdin") or None,
            tty=None if tty is None else {"rows": tty[0], "cols": tty[1]},
            sync=None if options.get("sync", True) else False,
            title=options.get("title"),
            preview=options.get("preview") or None,
            client=self.name or None,
        )

    async def start(self, argv: Sequence[str] = (), **options: Unpack[RunOptions]) -> Run:
        """Start a command and return at once. Options: RunOptions."""
        return await self.run_start(**self.run_params(argv, **options))

    async def run(self, argv: Sequence[str] = (), **options: Unpack[RunOptions]) -> AsyncIterator[RunEvent]:
        """Start a command and follow it. Leaving the loop early leaves the command running: `run_cancel` ends it."""
        async for event in self.run_stream(**self.run_params(argv, **options)):
            yield event

    async def execute(
        self, argv: Sequence[str] = (), *, input: bytes | None = None, **options: Unpack[RunOptions]
    ) -> ExecuteResult:
        """Run a command to its end and collect what it wrote (in memory, all of it).

        If the caller is cancelled, so is the command. Options: RunOptions.

        Raises:
            ContinueExecError: it could not be started, or was lost. A non-zero exit code is a result.
        """
        params = {**self.run_params(argv, **options), "stdin": input is not None}
        stream = await self.open_stream("run.stream", params)
        output: dict[int, list[bytes]] = {Kind.STDOUT: [], Kind.STDERR: []}
        missing = 0
        try:
            if input is not None:
                self.tasks.spawn(f"input of {stream.run_id}", self._feed(stream.run_id, input))
            async for kind, _, payload in stream:
                if kind in output:
                    output[kind].append(payload)
                elif b'"gap"' in payload:
                    missing += int(json.loads(payload).get("bytes_missing") or 0)
        except asyncio.CancelledError:
            await self.call("run.cancel", {"run_id": stream.run_id})
            raise
        final = stream.final or {}
        if final.get("type") != "exited":
            raise from_wire(final)
        return ExecuteResult(
            exit_code=int(final["exit_code"]),
            stdout=b"".join(output[Kind.STDOUT]),
            stderr=b"".join(output[Kind.STDERR]),
            missing_bytes=missing,
            run=await self.run_get(run_id=stream.run_id),
        )

    async def _feed(self, run_id: str, data: bytes) -> None:
        stdin = await self.open_stdin(run_id)
        try:
            for at in range(0, len(data), 65536):
                await stdin.write(data[at : at + 65536])
            await stdin.close()
        except ContinueExecError:
            stdin.abort()  # the command ended without reading all of it, as commands may; the run's result says how

    # Connections

    def release(self, response: Response) -> None:
        """Give an answer's connection back (closed, unless it was read to its end)."""
        self._pool.release(response.connection)

    def _headers(self, content_type: str) -> dict[str, str]:
        return {"Content-Type": content_type, "Expect-Version": __version__}

    async def _open(self) -> Connection:
        if not self._start_engine:
            connection = await start.connect(self.socket)
            if connection is None:
                raise EngineUnavailable("The engine is not running.", hint="It starts with the first command.")
            return connection
        async with self._opening:  # so that many requests at once start one engine
            return await start.connect_or_start(self.socket, self._command)

    async def _ask(self, method: str, params: Mapping[str, Any] | None, *, accept: str | None = None) -> Response:
        """Send a request and wait for the head of its answer; an error's answer is raised."""
        body = json.dumps(params or {}, separators=(",", ":")).encode()
        headers = self._headers("application/json")
        if accept is not None:
            headers["Accept"] = accept
        loop = asyncio.get_running_loop()
        deadline = loop.time() + REPLACE_SECONDS
        again = True
        while True:
            connection = self._pool.reuse() or await self._open()
            try:
                connection.send_head(f"/v1/{method}", headers, body)
                response = await connection.response()
                self._check_version(response)
                if response.status == 200:
                    return response
                await self.finish(response)
                raise ProtocolError(f"The engine answered {method} with status {response.status}.")
            except ConnectionLost as error:
                connection.close()
                if again and (error.unheard or method not in _ONCE):
                    again = False
                    continue
                raise EngineUnavailable(
                    f"The engine went away before it answered {method}: {error}.",
                    hint="It is not known whether it was carried out: `continue-exec ps -a` shows the latest runs."
                    if method in _ONCE
                    else None,
                ) from error
            except VersionMismatch as error:
                # An idle engine of another version makes room for ours; it does so once it has said so.
                connection.close()
                if not error.data.get("replaced") or loop.time() > deadline:
                    raise
                await asyncio.sleep(start.RETRY_SECONDS)
            except BaseException:
                connection.close()
                raise

    def _check_version(self, response: Response) -> None:
        protocol, _, version = response.headers.get("x-continue-exec", "").partition(" ")
        if not protocol.isdigit():
            return
        self.engine_version = version
        peer = int(protocol)
        if response.status == 200 and not (accepts(ENGINE_PROTOCOL, peer) or accepts(peer, ENGINE_PROTOCOL)):
            raise VersionMismatch(f"The engine ({version}) speaks protocol {peer}, this client {ENGINE_PROTOCOL}.")
