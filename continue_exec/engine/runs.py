"""`run.*`: start, follow, stdin, signal, cancel, list. A lost client never ends a run."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import time
from collections.abc import AsyncGenerator, Mapping

from ..config import Settings
from ..errors import Conflict, ContinueExecError, DiskFull, InvalidRequest, NotFound, SandboxLost
from ..model import Run, RunState, TerminalSize
from ..protocol.agent import Exec, Exited, HelloResult
from ..protocol.frames import Stretch
from ..protocol.methods import RunStart
from ..store.ballast import Ballast
from ..store.runlog import RunLog
from ..store.state import State
from ..tasks import Tasks
from . import cancel, workspaces
from .folders import Folders
from .live import Live
from .snippets import prepare
from .streams import ActiveRun

log = logging.getLogger(__name__)

PRUNE_EVERY = 10
"""Ended runs between two looks for old records: not every run pays for it."""

TERMINAL = "xterm-256color"
"""TERM of a run with a terminal, as VS Code's terminal and Continue's own tool set it."""


class Runs:
    """Every run of this user: the active ones in memory, the ended ones in the state file and their logs."""

    def __init__(self, *, settings: Settings, folders: Folders, state: State, ballast: Ballast) -> None:
        self.settings = settings
        self.ballast = ballast
        self.folders = folders
        self.state = state
        self.active: dict[str, tuple[Live, ActiveRun]] = {}
        self._retired = 0
        self._tasks = Tasks("runs")

    # Starting

    async def start(self, live: Live, request: RunStart) -> ActiveRun:
        """Flush the mirror, then start the command; returns once it runs.

        Raises:
            CommandNotFound, ToolchainMissing, NotFound, OutsideWorkspace: it cannot be started as asked.
            SandboxLost: the sandbox ended meanwhile.
        """
        workspace = live.sandbox.workspace
        cwd = workspaces.folder_inside(workspace, request.cwd or ".")
        live.touch()
        if request.sync:
            await live.flush()
        argv, more_env, title = await prepare(live, request, cwd)
        run = Run(
            id=f"run_{secrets.token_hex(6)}",
            sandbox_id=live.sandbox.id,
            argv=argv,
            cwd=cwd,
            title=request.title or title,
            tty=request.tty,
            timeout_s=request.timeout_s or self.settings.run_timeout_s,
            state=RunState.STARTING,
            created_at=time.time(),
        )
        env = {**live.env, **more_env, "PWD": cwd, **({"TERM": TERMINAL} if request.tty else {}), **request.env}
        active = ActiveRun(run, live.agent.new_stream(), self._new_log(run), self._on_exit)
        self.state.save_run(run, active.stream)
        self._register(live, active)
        self._tell(live, active)
        try:
            await live.agent.exec(
                Exec(
                    stream=active.stream,
                    run_id=run.id,
                    argv=argv,
                    cwd=cwd,
                    env=env,
                    tty=request.tty,
                    stdin=request.stdin or request.tty is not None,
                ),
                active,
            )
        except asyncio.CancelledError:
            # The client went before it could learn the run's id: nobody could ever end it.
            self._tasks.spawn("abandoned", self._abandon(live, active))
            raise
        except SandboxLost:
            # Whether the command began is unknown; the sandbox's guard adopts it or reports it lost.
            raise
        except ContinueExecError as error:
            self._end(live, active, RunState.FAILED, error.message, **error.to_wire())
            raise
        self._arm(live, active)
        return active

    @staticmethod
    def _tell(live: Live, active: ActiveRun) -> None:
        """What the user should know of the sandbox, before the command can have ended."""
        while live.news:
            active.notice(*live.news.pop(0))
        if live.mirror.contested:
            active.notice("conflict", _contested(live.mirror.contested))

    async def _abandon(self, live: Live, active: ActiveRun) -> None:
        try:
            await self._cancel(live, active, "abandoned", 0.0)
        except NotFound as error:  # the agent never heard of it
            self._end(live, active, RunState.FAILED, "abandoned", **error.to_wire())

    def _new_log(self, run: Run) -> RunLog:
        folder, keep, lag = self.folders.run(run.id), self.settings.output_keep_bytes, self.settings.output_lag_bytes
        try:
            return RunLog.create(folder, keep, lag)
        except DiskFull:
            if not self.ballast.drop():
                raise
            return RunLog.create(folder, keep, lag)

    def _register(self, live: Live, active: ActiveRun) -> None:
        live.runs[active.run.id] = active
        self.active[active.run.id] = (live, active)

    def _arm(self, live: Live, active: ActiveRun) -> None:
        if active.run.timeout_s is not None and not active.ended.is_set():
            left = max(0.0, (active.run.started_at or time.time()) + active.run.timeout_s - time.time())
            loop = asyncio.get_running_loop()
            active.timer = loop.call_later(left, lambda: self._tasks.spawn("timeout", self._time_out(live, active)))

    async def _time_out(self, live: Live, active: ActiveRun) -> None:
        active.notice("timeout", f"Stopped after {active.run.timeout_s:g} s, the run's time limit.")
        await self._cancel(live, active, "timeout", self.settings.kill_grace_s)

    # Ending

    def _on_exit(self, active: ActiveRun, note: Exited) -> None:
        live, _ = self.active[active.run.id]
        if active.log.bytes_unkept:
            active.notice(
                "output_dropped", f"{active.log.bytes_unkept} bytes of output were not kept: the disk is full."
            )
        active.log.final(
            "exited",
            exit_code=note.exit_code,
            signal=note.signal,
            reason=active.reason,
            duration_ms=note.duration_ms,
            usage=note.usage.model_dump(),
        )
        active.update(
            state=RunState.EXITED,
            exit_code=note.exit_code,
            signal=note.signal,
            reason=active.reason,
            usage=note.usage,
            ended_at=time.time(),
        )
        self._retire(live, active)
        if not active.cancelling:
            self._tasks.spawn("forget", self._forget(live, active))

    def _end(self, live: Live, active: ActiveRun, state: RunState, reason: str, **failed: object) -> None:
        """End a run that never started or was lost."""
        if active.ended.is_set():
            return
        fields = {key: failed.get(key, "") for key in ("code", "message", "hint")}
        active.log.final("failed", **fields)
        active.update(state=state, reason=reason, ended_at=time.time())
        self._retire(live, active)

    def _retire(self, live: Live, active: ActiveRun) -> None:
        if active.timer is not None:
            active.timer.cancel()
        live.runs.pop(active.run.id, None)
        self.active.pop(active.run.id, None)
        active.ended.set()
        active.log.close()
        live.touch()
        self.state.save_run(active.run, active.stream)
        self._prune()
        if live.review is not None and not live.stopping:
            live.review.ended(active.run.id)

    def _prune(self) -> None:
        self._retired += 1
        if self._retired % PRUNE_EVERY == 0:
            self._delete(self.state.surplus_runs(self.settings.runs_kept))

    def _delete(self, ids: list[str]) -> None:
        self.state.delete_runs(ids)
        for run_id in ids:
            self._open_log(run_id).delete()

    def _open_log(self, run_id: str, *, closed: bool = True) -> RunLog:
        keep, lag = self.settings.output_keep_bytes, self.settings.output_lag_bytes
        return RunLog.open(self.folders.run(run_id), keep, lag, closed=closed)

    async def _forget(self, live: Live, active: ActiveRun) -> None:
        try:
            await live.agent.forget(active.stream)
        except ContinueExecError as error:
            log.info("%s could not be forgotten: %s", active.run.id, error)

    def lose(self, sandbox_id: str, reason: str) -> None:
        """Every active run of a sandbox that has ended is lost; followers are told."""
        for live, active in [pair for pair in self.active.values() if pair[1].run.sandbox_id == sandbox_id]:
            error = SandboxLost(f"The run was lost: {reason}.")
            self._end(live, active, RunState.LOST, reason, **error.to_wire())
        for run, stream in self.state.runs(sandbox_id=sandbox_id, active=True):
            lost_log = self._open_log(run.id, closed=False)
            error = SandboxLost(f"The run was lost: {reason}.")
            lost_log.final("failed", code=error.code, message=error.message, hint=error.hint)
            changes = {"state": RunState.LOST, "reason": reason, "ended_at": time.time(), "last_seq": lost_log.last_seq}
            lost_log.close()
            self.state.save_run(run.model_copy(update=changes), stream)

    def move(self, sandbox_id: str, other_id: str) -> None:
        """Ended runs of a sandbox are another's from now on."""
        for run, stream in self.state.runs(sandbox_id=sandbox_id):
            self.state.save_run(run.model_copy(update={"sandbox_id": other_id}), stream)

    def delete_of(self, sandbox_id: str) -> None:
        """Forget the runs of a sandbox that is being removed, with their logs."""
        self._delete([run.id for run, _ in self.state.runs(sandbox_id=sandbox_id, limit=1_000_000)])

    # Adopting

    async def adopt(self, live: Live, hello: HelloResult) -> None:
        """After a connection was made: take over what the agent still has, and settle what it has not."""
        streams = {status.stream: status for status in hello.streams}
        for run, stream in self.state.runs(sandbox_id=live.sandbox.id, active=True):
            pair = self.active.get(run.id)
            active = pair[1] if pair else self._reopened(run, stream)
            self._register(live, active)
            if stream in streams:
                streams.pop(stream)
                # A command that began before the engine could note it has begun all the same.
                active.started()
                if pair is None:
                    active.notice("engine_restarted", "The engine was restarted; the command went on.")
                    self._arm(live, active)
                await live.agent.attach(stream, active.log.output_bytes, active)
            else:
                error = SandboxLost("The run ended while nobody was watching.")
                self._end(live, active, RunState.LOST, "unknown to the agent", **error.to_wire())
        for status in streams.values():
            log.warning("ending a process that belongs to no known run: %s", status)
            await live.agent.signal(status.stream, signal.SIGKILL)
            await live.agent.forget(status.stream)

    def _reopened(self, run: Run, stream: int) -> ActiveRun:
        run_log = self._open_log(run.id, closed=False)
        if run_log.last_seq and run.state is RunState.STARTING:
            run = run.model_copy(update={"state": RunState.RUNNING, "started_at": run.created_at})
        return ActiveRun(run, stream, run_log, self._on_exit)

    # Finding and following

    def get(self, run_id: str) -> Run:
        """The run with this id, or the only one whose id begins so (`run_` may be left out).

        Raises:
            NotFound, InvalidRequest: none, or several.
        """
        if run_id in self.active:
            return self.active[run_id][1].run
        prefix = run_id if run_id.startswith("run_") else f"run_{run_id}"
        found = self.state.runs_matching(prefix)
        if not found or prefix == "run_":
            raise NotFound(f"There is no run {run_id}", hint="`continue-exec ps -a` lists them.")
        if len(found) > 1:
            raise InvalidRequest(f"{run_id} fits several runs", hint="Give more of the id.")
        return self.active[found[0].id][1].run if found[0].id in self.active else found[0]

    def newest(self, *, sandbox_id: str | None, active: bool, limit: int) -> list[Run]:
        """Runs, newest first."""
        rows = self.state.runs(sandbox_id=sandbox_id, active=active, limit=limit)
        return [self.active[run.id][1].run if run.id in self.active else run for run, _ in rows]

    async def follow(self, run_id: str, after: int, *, wait: bool = True) -> AsyncGenerator[bytes | Stretch, None]:
        """The run's events after `after`, as frames in pieces (RunLog.stretches)."""
        run = self.get(run_id)
        if run.id in self.active:
            async for piece in self.active[run.id][1].log.stretches(after, wait=wait):
                yield piece
            return
        ended = self._open_log(run.id)
        try:
            async for piece in ended.stretches(after, wait=wait):
                yield piece
        finally:
            ended.close()

    def _active(self, run_id: str) -> tuple[Live, ActiveRun]:
        run = self.get(run_id)
        if run.id not in self.active:
            raise Conflict(f"{run.id} has ended", hint="`continue-exec logs` shows what it wrote.")
        return self.active[run.id]

    # Acting on an active run

    async def stdin(self, run_id: str, data: bytes, *, eof: bool = False) -> None:
        """Write to its standard input; waits while the command does not read."""
        live, active = self._active(run_id)
        if data:
            await live.agent.stdin(active.stream, data)
        if eof:
            await live.agent.stdin(active.stream, b"")

    async def signal(self, run_id: str, number: int) -> None:
        """Signal its whole process tree."""
        live, active = self._active(run_id)
        await live.agent.signal(active.stream, number)

    async def resize(self, run_id: str, size: TerminalSize) -> None:
        """Tell its terminal's size."""
        live, active = self._active(run_id)
        if active.run.tty is None:
            raise InvalidRequest(f"{active.run.id} has no terminal")
        await live.agent.resize(active.stream, size)

    async def cancel(self, run_id: str, grace_s: float) -> Run:
        """TERM, grace, KILL; returns when nothing of it is left. A run that has ended stays as it is."""
        run = self.get(run_id)
        if run.id not in self.active:
            return run
        live, active = self.active[run.id]
        await self._cancel(live, active, "cancelled", grace_s)
        return active.run

    async def _cancel(self, live: Live, active: ActiveRun, reason: str, grace_s: float) -> None:
        active.reason = active.reason or reason
        active.cancelling += 1
        try:
            await cancel.end_tree(live.agent, active, grace_s)
        finally:
            active.cancelling -= 1
        if not active.cancelling:
            await self._forget(live, active)

    async def close(self) -> None:
        """The engine ends; runs go on and are adopted by the next one."""
        await self._tasks.close()
        for _, active in self.active.values():
            if active.timer is not None:
                active.timer.cancel()
            self.state.save_run(active.run.model_copy(update={"last_seq": active.log.last_seq}), active.stream)
            active.log.close()


def _contested(paths: Mapping[str, str]) -> str:
    some = ", ".join(sorted(paths)[:3]) + (", ..." if len(paths) > 3 else "")
    what = "1 file was" if len(paths) == 1 else f"{len(paths)} files were"
    return f"{what} changed on both sides, and the sandbox has its own version: {some} (`continue-exec diff`)."
