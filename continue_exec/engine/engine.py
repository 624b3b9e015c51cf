"""The table of handlers: one object that doors call by method name.

To add a method: its row in protocol/methods.py, its function in the module of its noun, one line here.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from .. import __version__
from ..config import Settings
from ..drivers.base import Driver
from ..errors import Conflict, InvalidRequest
from ..model import Model, Run, Sandbox, Snapshot, Workspace
from ..protocol import changes as c
from ..protocol import methods as m
from ..protocol import snapshots as sn
from ..protocol.frames import Stretch
from ..protocol.versions import ENGINE_PROTOCOL
from ..store.ballast import Ballast
from ..store.state import State
from . import changes, doctor, workspaces
from .folders import Folders
from .languages import LANGUAGES
from .live import Live
from .networks import Networks
from .previews import Previews
from .runs import Runs
from .sandboxes import Sandboxes
from .snapshots import Snapshots

Handler = Callable[[Any], Awaitable[Model]]


class Engine:
    """Every decision of one user's engine.

    Attributes:
        stopping: called when a client asks the engine to end.
        requests: requests in progress, streams included.
        used_at: when the last one began or ended.
    """

    def __init__(
        self, *, settings: Settings, folders: Folders, driver: Driver, state: State, ballast: Ballast, socket: str
    ) -> None:
        self.settings = settings
        self.folders = folders
        self.driver = driver
        self.state = state
        self.ballast = ballast
        self.socket = socket
        self.started_at = time.time()
        self.requests = 0
        self.used_at = time.time()
        self.on_stop: Callable[[], None] = lambda: None
        self.networks = Networks(settings, folders.home)
        self.runs = Runs(settings=settings, folders=folders, state=state, ballast=ballast)
        self.sandboxes = Sandboxes(
            settings=settings,
            folders=folders,
            driver=driver,
            state=state,
            networks=self.networks,
            runs=self.runs,
        )
        self.previews = Previews(self.sandboxes, self.runs)
        self.snapshots = Snapshots(self.sandboxes)
        self._handlers: dict[str, Handler] = {
            "engine.status": self._status,
            "engine.stop": self._stop,
            "engine.doctor": self._doctor,
            "workspace.resolve": self._resolve,
            "workspace.sync": self._sync,
            "workspace.buffers": self._buffers,
            "sandbox.ensure": self._ensure,
            "sandbox.get": self._sandbox,
            "sandbox.list": self._sandboxes,
            "sandbox.stop": self._stop_sandbox,
            "sandbox.remove": self._remove_sandbox,
            "run.start": self._start,
            "run.stdin": self._stdin,
            "run.signal": self._signal,
            "run.cancel": self._cancel,
            "run.resize": self._resize,
            "run.get": self._run,
            "run.list": self._runs,
            "run.changes": self._run_changes,
            "changes.list": self._changes,
            "changes.content": self._content,
            "changes.apply": self._apply,
            "changes.propose": self._propose,
            "changes.discard": self._discard,
            "changes.rewind": self._rewind,
            "preview.show": self._show_preview,
            "preview.keep": self._keep_preview,
            "preview.discard": self._discard_preview,
            "git.fetch": self._fetch,
            "snapshot.create": self.snapshots.create,
            "snapshot.list": self._snapshots,
            "snapshot.get": self._snapshot,
            "snapshot.rename": self.snapshots.rename,
            "snapshot.restore": self.snapshots.restore,
            "snapshot.remove": self._remove_snapshot,
            "language.list": self._languages,
        }

    async def call(self, method: str, params: Model) -> Model:
        """Carry out one method of the table that answers once."""
        return await self._handlers[method](params)

    async def stream(self, method: str, params: Model) -> tuple[Run, AsyncGenerator[bytes | Stretch, None]]:
        """Carry out one method of the table that answers with a run's events, as frames in pieces."""
        if isinstance(params, m.RunFollow):
            run = self.runs.get(params.run_id)
            return run, self.runs.follow(run.id, params.after, wait=params.wait)
        assert isinstance(params, m.RunStart)
        run = await self._start(params)
        return run, self.runs.follow(run.id, 0)

    async def adopt(self) -> None:
        """Take over what an earlier engine left; before the first request."""
        await self.networks.start()
        await self.sandboxes.adopt()
        await self.snapshots.sweep()

    async def close(self) -> None:
        """End this engine; sandboxes and runs go on."""
        await self.previews.close()
        await self.runs.close()
        await self.sandboxes.close()
        await self.networks.close()
        await asyncio.to_thread(self.state.close)

    # engine.*

    async def _status(self, _: m.Nothing) -> m.EngineStatus:
        return m.EngineStatus(
            version=__version__,
            protocol=ENGINE_PROTOCOL,
            pid=os.getpid(),
            started_at=self.started_at,
            home=str(self.folders.home),
            socket=self.socket,
            sandboxes=len(self.sandboxes.live),
            active_runs=len(self.runs.active),
            log=str(self.folders.home / "engine.log"),
        )

    async def _stop(self, params: m.EngineStop) -> m.Nothing:
        if self.runs.active and not params.force:
            raise Conflict(
                f"{len(self.runs.active)} runs are active",
                hint="They would go on and be adopted by the next engine: send `force` (`engine stop --force`).",
            )
        self.on_stop()
        return m.Nothing()

    async def _doctor(self, _: m.Nothing) -> m.DoctorReport:
        return await doctor.report(self.driver, self.folders)

    # workspace.*

    async def _resolve(self, params: m.WorkspaceRef) -> Workspace:
        return workspaces.resolve(params)

    async def _sync(self, params: m.WorkspaceRef) -> m.SyncResult:
        self._drop_gone_buffers()
        live = await self.sandboxes.ensure(workspaces.resolve(params))
        live.touch()
        return await live.flush()

    async def _buffers(self, params: m.BuffersSet) -> m.Nothing:
        buffers = self.sandboxes.buffers
        for path, texts in buffers.set(params).items():
            if live := self.sandboxes.live.get(path):
                live.mirror.set_buffers(params.client, texts)
        return m.Nothing()

    def _drop_gone_buffers(self) -> None:
        for path, client, texts in self.sandboxes.buffers.drop_gone():
            if live := self.sandboxes.live.get(path):
                live.mirror.set_buffers(client, texts)

    # sandbox.*

    async def _ensure(self, params: m.WorkspaceRef) -> Sandbox:
        live = await self.sandboxes.ensure(workspaces.resolve(params))
        live.touch()
        return live.sandbox

    async def _sandbox(self, params: m.SandboxRef) -> Sandbox:
        return self.sandboxes.get(params)

    async def _sandboxes(self, _: m.Nothing) -> m.SandboxList:
        return m.SandboxList(sandboxes=tuple(self.sandboxes.all()))

    async def _stop_sandbox(self, params: m.SandboxRef) -> Sandbox:
        return await self.sandboxes.stop(params)

    async def _remove_sandbox(self, params: m.SandboxRef) -> m.Nothing:
        await self.sandboxes.remove(params)
        return m.Nothing()

    # run.*

    async def _start(self, params: m.RunStart) -> Run:
        if (params.code is not None and params.file is not None) or not (params.argv or params.code or params.file):
            raise InvalidRequest("Give argv, or code, or a file (argv beside code or a file: its arguments)")
        self._drop_gone_buffers()
        live = await self.sandboxes.ensure(workspaces.resolve(params.workspace))
        if params.preview:
            return await self.previews.start(live, params)
        return (await self.runs.start(live, params)).run

    async def _stdin(self, params: m.RunStdin) -> m.Nothing:
        try:
            data = params.text.encode() + base64.b64decode(params.base64, validate=True)
        except (binascii.Error, UnicodeEncodeError) as error:
            raise InvalidRequest(f"stdin is not readable: {error}") from None
        await self.runs.stdin(params.run_id, data, eof=params.eof)
        return m.Nothing()

    async def _signal(self, params: m.RunSignal) -> m.Nothing:
        await self.runs.signal(params.run_id, params.signal)
        return m.Nothing()

    async def _cancel(self, params: m.RunCancel) -> Run:
        return await self.runs.cancel(params.run_id, params.grace_s)

    async def _resize(self, params: m.RunResize) -> m.Nothing:
        await self.runs.resize(params.run_id, params.size)
        return m.Nothing()

    async def _run(self, params: m.RunRef) -> Run:
        return self.runs.get(params.run_id)

    async def _runs(self, params: m.RunListQuery) -> m.RunList:
        sandbox_id = None
        if params.workspace is not None:
            sandbox_id = self.sandboxes.get(m.SandboxRef(workspace=params.workspace)).id
        found = self.runs.newest(sandbox_id=sandbox_id, active=params.active, limit=params.limit)
        return m.RunList(runs=tuple(found))

    async def _run_changes(self, params: m.RunRef) -> c.RunChanges:
        run = self.runs.get(params.run_id)
        live = self.sandboxes.up(run.sandbox_id)
        return await changes.of_run(live, run.id)

    # changes.*

    async def _reviewed(self, ref: m.WorkspaceRef) -> Live:
        self._drop_gone_buffers()
        live = await self.sandboxes.ensure(workspaces.resolve(ref))
        live.touch()
        return live

    async def _changes(self, params: c.ChangesQuery) -> c.ChangeList:
        return await changes.find(await self._reviewed(params.workspace), params)

    async def _content(self, params: c.ContentQuery) -> c.Content:
        return await changes.content(await self._reviewed(params.workspace), params)

    async def _apply(self, params: c.ChangesApply) -> c.ChangesApplied:
        return await changes.apply(await self._reviewed(params.workspace), params)

    async def _propose(self, params: c.ChangesApply) -> c.ChangesProposed:
        return await changes.propose(await self._reviewed(params.workspace), params)

    async def _discard(self, params: c.ChangesApply) -> c.ChangesApplied:
        return await changes.discard(await self._reviewed(params.workspace), params)

    async def _rewind(self, params: c.Rewind) -> c.ChangesApplied:
        return await changes.rewind(await self._reviewed(params.workspace), params)

    # preview.*

    async def _show_preview(self, params: m.RunRef) -> c.Preview:
        return await self.previews.show(params.run_id)

    async def _keep_preview(self, params: m.RunRef) -> Sandbox:
        return await self.previews.keep(params.run_id)

    async def _discard_preview(self, params: m.RunRef) -> m.Nothing:
        await self.previews.discard(params.run_id)
        return m.Nothing()

    # git.*

    async def _fetch(self, params: m.WorkspaceRef) -> c.GitRefs:
        workspace = workspaces.resolve(params)
        self.sandboxes.get(m.SandboxRef(workspace=params))  # where there is none, nothing was committed
        live = await self.sandboxes.ensure(workspace)
        live.touch()
        return await self.sandboxes.repositories.fetch(live)

    # snapshot.*

    async def _snapshots(self, params: sn.SnapshotQuery) -> sn.SnapshotList:
        return sn.SnapshotList(snapshots=tuple(self.snapshots.all(params)))

    async def _snapshot(self, params: sn.SnapshotRef) -> Snapshot:
        return self.snapshots.get(params)

    async def _remove_snapshot(self, params: sn.SnapshotRef) -> m.Nothing:
        await self.snapshots.remove(params)
        return m.Nothing()

    async def _languages(self, _: m.Nothing) -> m.LanguageList:
        return m.LanguageList(
            languages=tuple(
                m.Language(id=spec.id, aliases=tuple(spec.aliases), extensions=tuple(spec.extensions))
                for spec in LANGUAGES
            )
        )
