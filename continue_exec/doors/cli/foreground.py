"""One run in the foreground, as if it were a local program: its output is ours, our signals are its end.

Ctrl-C (SIGINT), SIGTERM and SIGHUP cancel the run (TERM, grace, KILL, on its whole tree) and we wait until that is
certain; a second one kills at once; a third leaves without waiting. With a terminal in raw mode Ctrl-C is a byte
like any other and the run decides.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from ...client import Client, RunStream
from ...errors import Conflict, ContinueExecError, EngineUnavailable, NotFound, from_wire
from ...protocol.frames import Kind
from ...tasks import Tasks
from . import ndjson, say, terminal
from .descriptors import Input, Output
from .progress import Progress

GRACE_SECONDS = 2.0
"""Between TERM and KILL; what RunCancel has as its default."""

KNOWN_SECONDS = 2.0
"""How long a first signal waits to hear which run it is to end, while the engine is still starting it."""

LAST_WORDS_SECONDS = 5.0
"""After a cancel is certain, for the last output to arrive."""

QUIET_SECONDS = 0.5
"""A cancel that takes longer is explained."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Foreground:
    """Shows one run; `run` returns the exit code for our process."""

    def __init__(self, client: Client, *, as_json: bool = False, stdin: bool = False, tty: bool = False) -> None:
        self._client = client
        self._as_json = as_json
        self._stdin = stdin or tty
        self._tty = tty
        self._tasks = Tasks("foreground")
        self._run_id = ""
        self._signals: list[int] = []
        self._signalled = asyncio.Event()
        self._leave = asyncio.Event()
        self._failure: ContinueExecError | None = None

    @property
    def run_id(self) -> str:
        """Of the run that is or was shown; empty if the engine has not said."""
        return self._run_id

    @property
    def interrupted(self) -> bool:
        """Whether a signal told us to end it."""
        return bool(self._signals)

    async def run(self, method: str, params: Mapping[str, Any]) -> int:
        """Start (`run.stream`) or follow (`run.follow`) a run to its end.

        Raises:
            ContinueExecError: it could not be started, was lost, or lost us.
        """
        loop = asyncio.get_running_loop()
        raw = terminal.Raw() if self._tty else None
        for number in SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        progress = Progress(self._tasks, "preparing the sandbox")
        stdout, stderr = Output(1), Output(2)
        try:
            stream = await self._open(method, params)
            if stream is None:
                return 128 + self._signals[0]
            self._run_id = stream.run_id
            with raw or nullcontext():
                self._begin(raw, resize=method == "run.follow")
                return await self._until_end(stream, progress, stdout, stderr)
        finally:
            progress.clear()
            await self._tasks.close()
            for output in (stdout, stderr):
                output.close()
            for number in (*SIGNALS, signal.SIGWINCH, signal.SIGCONT):
                loop.remove_signal_handler(number)

    async def _open(self, method: str, params: Mapping[str, Any]) -> RunStream | None:
        """The run's stream; None if a signal came before the engine said which run it is."""
        opening = self._tasks.spawn("open", _caught(self._client.open_stream(method, params)))
        interrupted = self._tasks.spawn("signalled", self._signalled.wait())
        await asyncio.wait((opening, interrupted), return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            left = self._tasks.spawn("left", self._leave.wait())
            await asyncio.wait((opening, left), timeout=KNOWN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            return None  # the connection closes with us, and with it what the engine was about to start
        stream: RunStream
        stream, error = opening.result()
        if error is not None:
            raise error
        if self._signals:
            self._run_id = stream.run_id
            self._tasks.spawn("cancel", self._cancel(GRACE_SECONDS))
        return stream

    def _begin(self, raw: terminal.Raw | None, *, resize: bool) -> None:
        loop = asyncio.get_running_loop()
        if raw is not None:
            loop.add_signal_handler(signal.SIGWINCH, self._resize)
            loop.add_signal_handler(signal.SIGCONT, self._continued, raw)
            if resize:
                self._resize()
        if self._stdin:
            self._tasks.spawn("stdin", self._send_stdin())

    async def _until_end(self, stream: RunStream, progress: Progress, stdout: Output, stderr: Output) -> int:
        showing = self._tasks.spawn("show", _caught(self._show(stream, progress, stdout, stderr)))
        left = self._tasks.spawn("left", self._leave.wait())
        await asyncio.wait((showing, left), return_when=asyncio.FIRST_COMPLETED)
        if showing.done():
            _, error = showing.result()
            if isinstance(error, BrokenPipeError):
                await self._client.call("run.cancel", {"run_id": self._run_id, "grace_s": GRACE_SECONDS})
                return 128 + signal.SIGPIPE
            if isinstance(error, OSError):
                await self._client.call("run.cancel", {"run_id": self._run_id, "grace_s": GRACE_SECONDS})
                raise ContinueExecError(f"The run's output could not be written: {error.strerror}.") from error
            if error is not None and not self._signals:
                raise error
        if self._failure is not None:
            raise self._failure
        if self._signals:
            return 128 + self._signals[0]
        final = stream.final or {}
        if final.get("type") == "exited":
            return int(final["exit_code"])
        raise from_wire(final)

    # Output

    async def _show(self, stream: RunStream, progress: Progress, stdout: Output, stderr: Output) -> None:
        outputs = {int(Kind.STDOUT): stdout, int(Kind.STDERR): stderr}
        async for batch in stream.batches():
            progress.clear()
            if self._as_json:
                await stdout.write(b"".join([ndjson.line(*frame) for frame in batch]))
                continue
            pieces: list[bytes] = []
            last = batch[0][0]
            for kind, _, payload in batch:
                if kind != last:
                    await _write(outputs.get(last), pieces)
                    pieces, last = [], kind
                if kind in outputs:
                    pieces.append(payload)
                else:
                    self._remark(json.loads(payload))
            await _write(outputs.get(last), pieces)

    def _remark(self, event: Mapping[str, Any]) -> None:
        """What a person should know besides the output."""
        if event.get("type") in ("notice", "gap") and event.get("code") != "cancelled":
            say.line(str(event.get("message", "")), end="\r\n" if self._tty else "\n")

    # Input

    async def _send_stdin(self) -> None:
        source = Input(0)
        while True:
            stdin = await self._client.open_stdin(self._run_id, eof=not self._tty)
            try:
                await stdin.write_from(source.read)
                await stdin.close()
                return
            except (NotFound, Conflict):
                return  # it has ended, or closed its input, as commands may
            except EngineUnavailable as error:
                if self._tty:
                    continue  # a key was lost, which its user sees
                # How much has arrived is unknown, and half an input must not pass for all of it.
                self._failure = EngineUnavailable(
                    f"Standard input was cut off, so the run was cancelled: {error.message}",
                    hint="Run the command again.",
                )
                await self._cancel(GRACE_SECONDS)
            except ContinueExecError:
                return  # the run's own end says why
            finally:
                stdin.abort()

    def _continued(self, raw: terminal.Raw) -> None:
        # Whoever stopped us (a shell) has made the terminal its own meanwhile.
        raw.enter()
        self._resize()

    def _resize(self) -> None:
        rows, cols = terminal.size()
        request = self._client.call("run.resize", {"run_id": self._run_id, "size": {"rows": rows, "cols": cols}})
        self._tasks.spawn("resize", _caught(request))

    # Ending

    def _on_signal(self, number: int) -> None:
        self._signals.append(number)
        self._signalled.set()
        if len(self._signals) > 2 or (len(self._signals) == 2 and not self._run_id):
            if self._run_id:
                say.line(f"left {self._run_id} to itself; `continue-exec kill {self._run_id}` ends it")
            self._leave.set()
        elif self._run_id:
            self._tasks.spawn("cancel", self._cancel(GRACE_SECONDS if len(self._signals) == 1 else 0.0))

    async def _cancel(self, grace: float) -> None:
        explain = self._tasks.spawn("explain", self._explain(grace))
        try:
            await self._client.call("run.cancel", {"run_id": self._run_id, "grace_s": grace})
            await asyncio.sleep(LAST_WORDS_SECONDS)
        except ContinueExecError as error:
            say.error(error)
        finally:
            explain.cancel()
        self._leave.set()

    async def _explain(self, grace: float) -> None:
        await asyncio.sleep(QUIET_SECONDS)
        if grace:
            say.line(f"ending {self._run_id}; again to kill it", end="\r\n" if self._tty else "\n")


async def _write(output: Output | None, pieces: list[bytes]) -> None:
    if output is not None and pieces:
        await output.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))


async def _caught(work: Any) -> tuple[Any, Exception | None]:
    """The work's result and its error, so that whoever waits decides what the error means."""
    try:
        return await work, None
    except Exception as error:
        return None, error
