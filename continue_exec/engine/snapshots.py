"""`snapshot.*`: saved sandboxes, and the way back to them.

A snapshot is a folder: the sandbox's files, what its mirror and its review knew, and, if wanted, all that ran. Its
`snapshot.json` is written last, so that one without it was never finished; the next engine deletes it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import shutil
import time
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from ..drivers.base import Capability, SandboxSpec
from ..errors import Conflict, DiskFull, InvalidRequest, NotFound, NotSupported
from ..model import Sandbox, SandboxState, Snapshot
from ..paths import private
from ..protocol import methods as m
from ..protocol import snapshots as s
from . import standby, workspaces
from .live import Live
from .sandboxes import Sandboxes

log = logging.getLogger(__name__)

RECORD = "snapshot.json"
AUTOMATIC = "before-"
"""How names of snapshots begin that were made by `restore`, so that it can be taken back."""
KEPT_AUTOMATIC = 3
"""Of those, per workspace."""


class Snapshots:
    """Every snapshot of this user."""

    def __init__(self, sandboxes: Sandboxes) -> None:
        self.sandboxes = sandboxes
        self.folder = sandboxes.folders.home / "snapshots"

    # Finding

    def all(self, query: s.SnapshotQuery) -> list[Snapshot]:
        """Those of a workspace, or all; newest first. Blocks for some microseconds each."""
        return self._of(workspaces.resolve(query.workspace).path if query.workspace is not None else None)

    def _of(self, path: str | None) -> list[Snapshot]:
        found = [one for one in map(_record, self.folder.glob(f"snap_*/{RECORD}")) if one is not None]
        wanted = [one for one in found if path is None or one.workspace == path]
        return sorted(wanted, key=lambda one: one.created_at, reverse=True)

    def get(self, ref: s.SnapshotRef | s.SnapshotRename) -> Snapshot:
        """The one that `ref` names.

        Raises:
            NotFound, InvalidRequest: none, or several.
        """
        found = self.all(s.SnapshotQuery(workspace=ref.workspace))
        named = [one for one in found if one.name == ref.snapshot and ref.workspace is not None]
        matching = named or [one for one in found if one.id.startswith(ref.snapshot) or one.id[5:] == ref.snapshot]
        if not matching or not ref.snapshot:
            raise NotFound(f"There is no snapshot {ref.snapshot}", hint="`continue-exec snapshot list` lists them.")
        if len(matching) > 1:
            raise InvalidRequest(f"{ref.snapshot} fits {len(matching)} snapshots", hint="Give more of the id.")
        return matching[0]

    # Making

    async def create(self, request: s.SnapshotCreate) -> Snapshot:
        """Save the workspace's sandbox.

        Raises:
            NotSupported: the driver cannot.
            Conflict: the name is taken.
            DiskFull, SandboxFailed: there is no snapshot; the sandbox goes on.
        """
        self._check(memory=request.memory)
        workspace = workspaces.resolve(request.workspace)
        live = await self.sandboxes.ensure(workspace)
        await live.flush()
        return await self._save(live, request.name, memory=request.memory)

    def _check(self, *, memory: bool) -> None:
        capabilities = self.sandboxes.driver.capabilities()
        if Capability.COPY not in capabilities:
            raise NotSupported("This driver cannot save a sandbox's files", hint="Use the driver `runsc`.")
        if memory and Capability.SNAPSHOT_MEMORY not in capabilities:
            raise NotSupported("This driver cannot save what runs", hint="Save the files alone: without `--memory`.")

    async def _save(self, live: Live, name: str, *, memory: bool) -> Snapshot:
        sandbox, workspace = live.sandbox, live.sandbox.workspace
        taken = {one.name for one in self._of(workspace.path)}
        name = name or time.strftime("%Y-%m-%d-%H%M%S")
        if name in taken:
            raise Conflict(f"There is a snapshot {name} of {workspace.path}", hint="Choose another name.")
        snapshot_id = f"snap_{secrets.token_hex(6)}"
        place = self.folder / snapshot_id
        private(self.folder)
        private(place)
        try:
            async with self.sandboxes.lock(workspace.path):
                if memory:
                    await self._with_memory(live, place)
                else:
                    await self._files(live, place)
            size = await asyncio.to_thread(_size, place)
            snapshot = Snapshot(
                id=snapshot_id,
                sandbox_id=sandbox.id,
                workspace=workspace.path,
                name=name,
                memory=memory,
                parent_id=sandbox.snapshot_id,
                size_bytes=size,
                created_at=time.time(),
            )
            await asyncio.to_thread(_write, place, snapshot)
        except OSError as error:
            await asyncio.shield(self._erase(snapshot_id))
            raise DiskFull(f"The snapshot could not be written: {error.strerror}") from None
        except BaseException:
            await asyncio.shield(self._erase(snapshot_id))
            raise
        finally:
            if memory:
                # It sleeps now, whatever became of the snapshot: all that ran goes on.
                await asyncio.shield(self.sandboxes.ensure(workspace))
        self.sandboxes.note_snapshot(workspace.path, snapshot_id)
        return snapshot

    async def _files(self, live: Live, place: Path) -> None:
        async with live.mirror.lock:
            await self.sandboxes.driver.copy(live.spec, self._spec(live.spec, place))
            await asyncio.to_thread(self._copy_memory, live.sandbox.id, place)

    async def _with_memory(self, live: Live, place: Path) -> None:
        """All that runs goes to disk; then nothing can change while it is copied."""
        folders = self.sandboxes.folders
        await standby.save(self.sandboxes, live)
        self.sandboxes.set(live.sandbox, SandboxState.STANDBY, "a snapshot is being made")
        await self.sandboxes.driver.copy(live.spec, self._spec(live.spec, place))
        await asyncio.to_thread(self._copy_memory, live.sandbox.id, place)
        await asyncio.to_thread(shutil.copytree, folders.memory(live.sandbox.id), place / "memory")

    def _copy_memory(self, sandbox_id: str, place: Path) -> None:
        """What the mirror and the review know."""
        private(place / "mirror")
        for path in self.sandboxes.folders.of_mirror(sandbox_id):
            shutil.copyfile(path, place / "mirror" / path.name.removeprefix(sandbox_id))

    def _spec(self, spec: SandboxSpec, place: Path) -> SandboxSpec:
        """The snapshot's files as a sandbox that is never started."""
        return replace(spec, sandbox_id=place.name, folder=place / "files", sockets=place / "sockets")

    # Going back

    async def restore(self, ref: s.SnapshotRef) -> Sandbox:
        """Make the workspace's sandbox what it was. What it is now is saved first, so that this can be taken back.

        Raises:
            NotFound: no such snapshot, or its workspace has no sandbox and never had.
            Conflict: runs are active: they would end.
            DiskFull, SandboxFailed: the sandbox is as it was.
        """
        snapshot = self.get(ref)
        self._check(memory=snapshot.memory)
        workspace = workspaces.resolve(m.WorkspaceRef(path=snapshot.workspace, root=True))
        live = await self.sandboxes.ensure(workspace)
        live.check_no_runs("going back")
        await self._save(live, f"{AUTOMATIC}{snapshot.name}-{time.strftime('%H%M%S')}", memory=False)
        await self._prune(workspace.path)
        await self._put_back(snapshot, live)
        self.sandboxes.note_snapshot(workspace.path, snapshot.id)
        return (await self.sandboxes.ensure(workspace)).sandbox

    async def _put_back(self, snapshot: Snapshot, live: Live) -> None:
        sandboxes, folders = self.sandboxes, self.sandboxes.folders
        place = self.folder / snapshot.id
        fresh = live.sandbox.model_copy(update={"id": f"sb_{secrets.token_hex(6)}"})
        spec = sandboxes.spec(fresh)
        private(spec.folder)
        try:
            await sandboxes.driver.copy(self._spec(live.spec, place), spec)
            for path in (place / "mirror").iterdir():
                await asyncio.to_thread(
                    shutil.copyfile, path, folders.mirror_state(fresh.id).parent / (fresh.id + path.name)
                )
            await sandboxes.replace_files(live.sandbox, fresh)
        finally:
            await sandboxes.erase_files(fresh)
        if snapshot.memory:
            async with sandboxes.lock(snapshot.workspace):
                image = folders.memory(live.sandbox.id)
                private(image.parent)
                await asyncio.to_thread(shutil.copytree, place / "memory", image, dirs_exist_ok=True)
                current = sandboxes.get(m.SandboxRef(sandbox_id=live.sandbox.id))
                sandboxes.set(current, SandboxState.STANDBY, f"restored from {snapshot.name}")

    async def _prune(self, workspace: str) -> None:
        """Delete the oldest of those that `restore` made."""
        automatic = [one for one in self._of(workspace) if one.name.startswith(AUTOMATIC)]
        for old in automatic[KEPT_AUTOMATIC:]:
            await self._erase(old.id)

    # Changing, deleting

    async def rename(self, request: s.SnapshotRename) -> Snapshot:
        """Give one another name.

        Raises:
            Conflict: the name is taken.
        """
        snapshot = self.get(request)
        if any(one.name == request.name and one.id != snapshot.id for one in self._of(snapshot.workspace)):
            raise Conflict(f"There is a snapshot {request.name} of {snapshot.workspace}", hint="Choose another name.")
        snapshot = snapshot.model_copy(update={"name": request.name})
        await asyncio.to_thread(_write, self.folder / snapshot.id, snapshot)
        return snapshot

    async def remove(self, ref: s.SnapshotRef) -> None:
        """Delete one."""
        await self._erase(self.get(ref).id)

    async def _erase(self, snapshot_id: str) -> None:
        place = self.folder / snapshot_id
        # First: from here on it is none.
        (place / RECORD).unlink(missing_ok=True)
        nowhere = SandboxSpec(snapshot_id, place / "files", place / "sockets", Path("/nowhere"), Path("/nowhere"))
        await self.sandboxes.driver.destroy(nowhere)
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)

    async def sweep(self) -> None:
        """Delete what an earlier engine did not finish."""
        for place in self.folder.glob("snap_*"):
            if not (place / RECORD).exists():
                log.warning("deleting the snapshot %s, which was never finished", place.name)
                await self._erase(place.name)


def _record(path: Path) -> Snapshot | None:
    try:
        return Snapshot.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        log.warning("%s: %s", path, error)
        return None


def _write(place: Path, snapshot: Snapshot) -> None:
    temporary = place / f"{RECORD}.new"
    temporary.write_text(snapshot.model_dump_json())
    os.replace(temporary, place / RECORD)


def _size(place: Path) -> int:
    """Bytes on disk. Blocks: some microseconds a file."""
    total = 0
    for folder, _, names in os.walk(place):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except OSError:
                continue
    return total
