"""One typed method per row of the method table, named `noun_verb`, with the fields of its parameters as keywords.

To add one: the row in protocol/methods.py first (its recipe stands there), then the method here; a test compares
names and keywords with the table. Each raises what the engine answers: see docs/reference/methods.md.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..model import Run, Sandbox, Snapshot, Workspace
    from ..protocol.changes import (
        ChangeList,
        ChangesApplied,
        ChangesProposed,
        Content,
        GitRefs,
        Preview,
        RunChanges,
    )
    from ..protocol.events import RunEvent
    from ..protocol.methods import DoctorReport, EngineStatus, LanguageList, RunList, SandboxList, SyncResult
    from ..protocol.snapshots import SnapshotList
    from .stream import RunStream

Json = Mapping[str, Any]


def given(**fields: Any) -> dict[str, Any]:
    """The fields that were given: those that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


class Methods:
    """The method table as Python methods. `workspace` is WorkspaceRef's JSON: `{"path": "/absolute"}`."""

    async def call(self, method: str, params: Json | None = None) -> dict[str, Any]:
        """One method of the table, as plain dicts."""
        raise NotImplementedError

    async def open_stream(self, method: str, params: Json) -> RunStream:
        """Start or follow a run."""
        raise NotImplementedError

    async def _typed(self, method: str, **fields: Any) -> Any:
        answer = await self.call(method, given(**fields))
        from ..protocol.methods import METHODS  # costs pydantic: only when a typed result is wanted

        return METHODS[method].result.model_validate(answer)

    async def _events(self, method: str, **fields: Any) -> AsyncIterator[RunEvent]:
        stream = await self.open_stream(method, given(**fields))
        from ..protocol.events import from_frame

        async for kind, seq, payload in stream:
            yield from_frame(kind, seq, payload)

    async def engine_status(self) -> EngineStatus:
        """The engine's version, process and load."""
        return await self._typed("engine.status")  # type: ignore[no-any-return]

    async def engine_stop(self, *, force: bool = False) -> None:
        """End the engine; sandboxes and runs go on. Conflict: runs are active and not `force`."""
        await self._typed("engine.stop", force=force)

    async def engine_doctor(self) -> DoctorReport:
        """Check every precondition of the host."""
        return await self._typed("engine.doctor")  # type: ignore[no-any-return]

    async def workspace_resolve(self, path: str, *, root: bool = False) -> Workspace:
        """Which workspace a path belongs to."""
        return await self._typed("workspace.resolve", path=path, root=root)  # type: ignore[no-any-return]

    async def workspace_sync(self, path: str, *, root: bool = False) -> SyncResult:
        """Flush the mirror: the sandbox holds what the host holds."""
        return await self._typed("workspace.sync", path=path, root=root)  # type: ignore[no-any-return]

    async def workspace_buffers(
        self, client: str, buffers: Sequence[Json], *, pid: int | None = None, workspace: Json | None = None
    ) -> None:
        """Set or clear unsaved buffers: `{"path": ..., "text": ... or None}`."""
        await self._typed("workspace.buffers", client=client, buffers=list(buffers), pid=pid, workspace=workspace)

    async def sandbox_ensure(self, path: str, *, root: bool = False) -> Sandbox:
        """The workspace's sandbox, made and started if need be."""
        return await self._typed("sandbox.ensure", path=path, root=root)  # type: ignore[no-any-return]

    async def sandbox_get(self, *, sandbox_id: str | None = None, workspace: Json | None = None) -> Sandbox:
        """One sandbox."""
        return await self._typed("sandbox.get", sandbox_id=sandbox_id, workspace=workspace)  # type: ignore[no-any-return]

    async def sandbox_list(self) -> SandboxList:
        """Every sandbox of this user."""
        return await self._typed("sandbox.list")  # type: ignore[no-any-return]

    async def sandbox_stop(self, *, sandbox_id: str | None = None, workspace: Json | None = None) -> Sandbox:
        """End its processes; files stay."""
        return await self._typed("sandbox.stop", sandbox_id=sandbox_id, workspace=workspace)  # type: ignore[no-any-return]

    async def sandbox_remove(self, *, sandbox_id: str | None = None, workspace: Json | None = None) -> None:
        """Delete it with all its files."""
        await self._typed("sandbox.remove", sandbox_id=sandbox_id, workspace=workspace)

    async def run_start(
        self,
        *,
        workspace: Json,
        argv: Sequence[str] = (),
        code: str | None = None,
        language: str | None = None,
        file: str | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        stdin: bool = False,
        tty: Json | None = None,
        sync: bool = True,
        title: str = "",
        client: str = "",
        preview: bool = False,
    ) -> Run:
        """Start a command and answer at once. `Client.start` takes relative paths."""
        fields = {name: value for name, value in locals().items() if name != "self"}
        return await self._typed("run.start", **fields)  # type: ignore[no-any-return]

    async def run_stream(
        self,
        *,
        workspace: Json,
        argv: Sequence[str] = (),
        code: str | None = None,
        language: str | None = None,
        file: str | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        stdin: bool = False,
        tty: Json | None = None,
        sync: bool = True,
        title: str = "",
        client: str = "",
        preview: bool = False,
    ) -> AsyncIterator[RunEvent]:
        """Start a command and follow it. `Client.run` takes relative paths."""
        fields = {name: value for name, value in locals().items() if name != "self"}
        async for event in self._events("run.stream", **fields):
            yield event

    async def run_follow(self, run_id: str, *, after: int = 0, wait: bool = True) -> AsyncIterator[RunEvent]:
        """A run's events after `after`; `wait=False`: only those there are."""
        async for event in self._events("run.follow", run_id=run_id, after=after, wait=wait):
            yield event

    async def run_stdin(self, run_id: str, *, text: str = "", base64: str = "", eof: bool = False) -> None:
        """Write a little to its standard input; `Client.open_stdin` streams."""
        await self._typed("run.stdin", run_id=run_id, text=text, base64=base64, eof=eof)

    async def run_signal(self, run_id: str, *, signal: int) -> None:
        """Signal its process tree."""
        await self._typed("run.signal", run_id=run_id, signal=signal)

    async def run_cancel(self, run_id: str, *, grace_s: float = 2.0) -> Run:
        """TERM, KILL after `grace_s` seconds; returns when nothing of it is left."""
        return await self._typed("run.cancel", run_id=run_id, grace_s=grace_s)  # type: ignore[no-any-return]

    async def run_resize(self, run_id: str, *, size: Json) -> None:
        """Tell its terminal's size: `{"rows": 24, "cols": 80}`."""
        await self._typed("run.resize", run_id=run_id, size=size)

    async def run_get(self, run_id: str) -> Run:
        """One run."""
        return await self._typed("run.get", run_id=run_id)  # type: ignore[no-any-return]

    async def run_list(self, *, workspace: Json | None = None, active: bool = False, limit: int = 50) -> RunList:
        """Runs, newest first."""
        return await self._typed("run.list", workspace=workspace, active=active, limit=limit)  # type: ignore[no-any-return]

    async def run_changes(self, run_id: str) -> RunChanges:
        """What a run changed in the workspace; waits until that is known."""
        return await self._typed("run.changes", run_id=run_id)  # type: ignore[no-any-return]

    async def changes_list(
        self, workspace: Json, *, paths: Sequence[str] = (), hunks: bool = False, run_id: str | None = None
    ) -> ChangeList:
        """What the sandbox has otherwise than the host, sorted by path."""
        return await self._typed(  # type: ignore[no-any-return]
            "changes.list", workspace=workspace, paths=list(paths), hunks=hunks, run_id=run_id
        )

    async def changes_content(self, workspace: Json, path: str, side: str) -> Content:
        """One side's version of a path: `host`, `sandbox`, `base` or `merged`."""
        return await self._typed("changes.content", workspace=workspace, path=path, side=side)  # type: ignore[no-any-return]

    async def changes_apply(
        self,
        workspace: Json,
        *,
        picks: Sequence[Json] = (),
        all: bool = False,
        yes: Sequence[str] = (),
        dry_run: bool = False,
    ) -> ChangesApplied:
        """Bring changes home, to the host's files. `picks` are Pick's JSON."""
        return await self._picked("changes.apply", workspace, picks, all, yes, dry_run)  # type: ignore[no-any-return]

    async def changes_propose(
        self,
        workspace: Json,
        *,
        picks: Sequence[Json] = (),
        all: bool = False,
        yes: Sequence[str] = (),
        dry_run: bool = False,
    ) -> ChangesProposed:
        """The same as edits, for an editor to make."""
        return await self._picked("changes.propose", workspace, picks, all, yes, dry_run)  # type: ignore[no-any-return]

    async def changes_discard(
        self,
        workspace: Json,
        *,
        picks: Sequence[Json] = (),
        all: bool = False,
        yes: Sequence[str] = (),
        dry_run: bool = False,
    ) -> ChangesApplied:
        """Set paths inside to what the host has."""
        return await self._picked("changes.discard", workspace, picks, all, yes, dry_run)  # type: ignore[no-any-return]

    async def _picked(
        self, method: str, workspace: Json, picks: Sequence[Json], all: bool, yes: Sequence[str], dry_run: bool
    ) -> Any:
        return await self._typed(
            method, workspace=workspace, picks=list(picks), all=all, yes=list(yes), dry_run=dry_run
        )

    async def changes_rewind(self, workspace: Json, run_id: str, *, dry_run: bool = False) -> ChangesApplied:
        """Set the workspace inside to what it was before a run."""
        return await self._typed(  # type: ignore[no-any-return]
            "changes.rewind", workspace=workspace, run_id=run_id, dry_run=dry_run
        )

    async def git_fetch(self, path: str, *, root: bool = False) -> GitRefs:
        """Bring commits made inside home, as refs/continue-exec/SANDBOX/*."""
        return await self._typed("git.fetch", path=path, root=root)  # type: ignore[no-any-return]

    async def preview_show(self, run_id: str) -> Preview:
        """What a preview run did."""
        return await self._typed("preview.show", run_id=run_id)  # type: ignore[no-any-return]

    async def preview_keep(self, run_id: str) -> Sandbox:
        """Make the copy that a preview run ran in the workspace's sandbox."""
        return await self._typed("preview.keep", run_id=run_id)  # type: ignore[no-any-return]

    async def preview_discard(self, run_id: str) -> None:
        """Throw the copy away."""
        await self._typed("preview.discard", run_id=run_id)

    async def snapshot_create(self, workspace: Json, *, name: str = "", memory: bool = False) -> Snapshot:
        """Save a workspace's sandbox: its files, or all that runs too."""
        return await self._typed("snapshot.create", workspace=workspace, name=name, memory=memory)  # type: ignore[no-any-return]

    async def snapshot_list(self, *, workspace: Json | None = None) -> SnapshotList:
        """Snapshots, newest first."""
        return await self._typed("snapshot.list", workspace=workspace)  # type: ignore[no-any-return]

    async def snapshot_get(self, snapshot: str, *, workspace: Json | None = None) -> Snapshot:
        """One snapshot: by id, the beginning of it, or by its name in `workspace`."""
        return await self._typed("snapshot.get", snapshot=snapshot, workspace=workspace)  # type: ignore[no-any-return]

    async def snapshot_rename(self, snapshot: str, name: str, *, workspace: Json | None = None) -> Snapshot:
        """Give a snapshot another name."""
        return await self._typed(  # type: ignore[no-any-return]
            "snapshot.rename", snapshot=snapshot, name=name, workspace=workspace
        )

    async def snapshot_restore(self, snapshot: str, *, workspace: Json | None = None) -> Sandbox:
        """Make the sandbox what it was; what it is now is saved first."""
        return await self._typed("snapshot.restore", snapshot=snapshot, workspace=workspace)  # type: ignore[no-any-return]

    async def snapshot_remove(self, snapshot: str, *, workspace: Json | None = None) -> None:
        """Delete a snapshot."""
        await self._typed("snapshot.remove", snapshot=snapshot, workspace=workspace)

    async def language_list(self) -> LanguageList:
        """Languages that snippets and files can be written in."""
        return await self._typed("language.list")  # type: ignore[no-any-return]
