"""`preview.*`: a run in a throwaway copy of the sandbox, to be kept or discarded once it is seen what it did.

The copy has the same files and the same workspace path, a network of its own, and none of the processes. The sandbox
itself stands still only while its files are copied. Kept, the copy's files become the sandbox's; discarded, or when the
engine ends, they are deleted.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
import stat
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ..drivers.base import Capability
from ..errors import Conflict, ContinueExecError, NotFound, NotSupported
from ..mirror.filter import Filter, Verdict
from ..model import Run, Sandbox, SandboxState
from ..paths import private
from ..protocol import changes as c
from ..protocol import methods as m
from .live import Live
from .opening import Opening
from .runs import Runs
from .sandboxes import Sandboxes

log = logging.getLogger(__name__)

MOST = 4
"""Copies at a time: each is a sandbox's files and a machine."""
KEPT_S = 3600.0
"""After its run has ended a copy waits this long for a decision; then it is discarded, which its run's record says."""
TOLD = 1000
"""Paths outside the workspace that are named; of others only the number is told."""
_OURS = ("/tmp/continue-exec/", "/tmp/.continue-exec/", "/run/")
"""Where files of ours and of no interest lie inside."""

Files = Mapping[str, tuple[int, ...]]


@dataclass
class _Preview:
    """One copy."""

    origin: Sandbox
    live: Live
    before: Files


class Previews:
    """Every copy that waits for a decision, by its run."""

    def __init__(self, sandboxes: Sandboxes, runs: Runs) -> None:
        self.sandboxes = sandboxes
        self.runs = runs
        self._open: dict[str, _Preview] = {}

    def __len__(self) -> int:
        return len(self._open)

    async def start(self, live: Live, request: m.RunStart) -> Run:
        """Copy the sandbox, as it is with the workspace brought up to date, and start the command in the copy.

        Raises:
            NotSupported: the driver cannot copy.
            Conflict: too many previews wait for a decision.
            DiskFull, SandboxFailed: there is no copy. The sandbox is as it was.
        """
        if Capability.COPY not in self.sandboxes.driver.capabilities():
            raise NotSupported(f"The driver {live.sandbox.driver} cannot copy a sandbox", hint="Run without --preview.")
        if len(self._open) >= MOST:
            waiting = ", ".join(self._open)
            raise Conflict(
                f"{len(self._open)} previews wait for a decision: {waiting}",
                hint="`continue-exec preview keep RUN` or `preview discard RUN`.",
            )
        if request.sync:
            await live.flush()
        async with AsyncExitStack() as undo:
            copy = await self._copy(live, undo)
            before = await asyncio.to_thread(self.sandboxes.driver.files, copy.spec)
            active = await self.runs.start(copy, request.model_copy(update={"sync": False}))
            self._open[active.run.id] = _Preview(live.sandbox, copy, before)
            undo.pop_all()
        return active.run

    async def _copy(self, live: Live, undo: AsyncExitStack) -> Live:
        """The copy, up and connected. `undo` is given what takes it away again."""
        folders, driver = self.sandboxes.folders, self.sandboxes.driver
        sandbox = live.sandbox.model_copy(
            update={"id": f"sb_{secrets.token_hex(6)}", "created_at": time.time(), "state": SandboxState.CREATING}
        )
        binds = await asyncio.to_thread(self.sandboxes.repositories.binds, live.sandbox)
        spec = replace(self.sandboxes.spec(sandbox), binds=binds)
        private(spec.folder)
        private(spec.sockets)
        undo.push_async_callback(self.sandboxes.erase_files, sandbox)
        async with self.sandboxes.lock(live.workspace), live.mirror.lock:
            await driver.copy(live.spec, spec)
            await asyncio.to_thread(_copy_memory, folders.of_mirror(live.sandbox.id), live.sandbox.id, sandbox.id)
        mirror = self.sandboxes.mirror(spec)
        opening = Opening(spec, self.sandboxes.networks)
        undo.push_async_callback(opening.close)
        machine = await driver.start(spec, None, opening.ring)
        copy = await self.sandboxes.connect(sandbox, opening, machine, mirror, None)
        copy.sandbox = copy.sandbox.model_copy(update={"state": SandboxState.RUNNING})
        undo.push_async_callback(self._end, copy)
        return copy

    async def show(self, run_id: str) -> c.Preview:
        """What the run did so far.

        Raises:
            NotFound: no copy of that run waits.
        """
        preview = self._named(run_id)
        files = await self._files(preview)
        rules = Filter(preview.live.workspace, preview.live.mirror.rules)
        changes, elsewhere = await asyncio.to_thread(_differences, preview.live.workspace, preview.before, files, rules)
        return c.Preview(
            run_id=self._id(run_id),
            sandbox_id=preview.live.sandbox.id,
            changes=tuple(changes),
            elsewhere=tuple(elsewhere[:TOLD]),
            elsewhere_total=len(elsewhere),
            hosts=tuple(
                c.HostContact(host=host, port=port, allowed=allowed, requests=count)
                for (host, port, allowed), count in sorted(preview.live.contacts.items())
            ),
        )

    async def _files(self, preview: _Preview) -> Files:
        """The copy's files, while nothing in it can move."""
        driver = self.sandboxes.driver
        pause = Capability.PAUSE in driver.capabilities()
        if pause:
            driver.pause(preview.live.spec)
        try:
            return await asyncio.to_thread(driver.files, preview.live.spec)
        finally:
            if pause:
                driver.resume(preview.live.spec)

    async def keep(self, run_id: str) -> Sandbox:
        """Make the copy's files the sandbox's. What runs in either ends.

        Raises:
            NotFound: no copy of that run waits.
            Conflict: the sandbox has active runs, or its workspace's sandbox is another by now.
        """
        run_id = self._id(run_id)
        preview = self._named(run_id)
        origin, copy = preview.origin, preview.live
        found = self.sandboxes.state.sandbox_of(origin.workspace.path)
        if found is None or found.id != origin.id:
            raise Conflict(f"{origin.id}, which was copied, is gone", hint=f"`continue-exec preview discard {run_id}`.")
        origin_live = self.sandboxes.live.get(origin.workspace.path)
        if origin_live is not None:
            origin_live.check_no_runs("keeping the copy")
        del self._open[run_id]
        await self._end(copy)
        await self.sandboxes.replace_files(origin, copy.sandbox)
        await self.sandboxes.erase_files(copy.sandbox)
        self.runs.move(copy.sandbox.id, origin.id)
        live = await self.sandboxes.ensure(origin.workspace)
        if live.review is not None:
            live.review.ended(run_id)
            await live.review.settled()
        return live.sandbox

    async def discard(self, run_id: str) -> None:
        """End and delete a copy.

        Raises:
            NotFound: no copy of that run waits.
        """
        run_id = self._id(run_id)
        preview = self._named(run_id)
        del self._open[run_id]
        await self._end(preview.live)
        await self.sandboxes.erase_files(preview.live.sandbox)

    async def rest(self) -> None:
        """Discard those that nobody decided on in time."""
        for run_id in list(self._open):
            run = self.runs.get(run_id)
            if run.ended_at is not None and time.time() - run.ended_at > KEPT_S:
                log.info("preview %s was not decided on; discarded", run_id)
                await self.discard(run_id)

    async def close(self) -> None:
        """The engine ends: copies do not outlive it."""
        for run_id in list(self._open):
            try:
                await self.discard(run_id)
            except ContinueExecError as error:
                log.warning("preview %s: %s", run_id, error)

    def _id(self, run_id: str) -> str:
        return self.runs.get(run_id).id

    def _named(self, run_id: str) -> _Preview:
        run_id = self._id(run_id)
        if run_id not in self._open:
            raise NotFound(
                f"No preview of {run_id} waits for a decision", hint="It was kept or discarded, or the engine ended."
            )
        return self._open[run_id]

    async def _end(self, live: Live) -> None:
        """End what runs in a copy, and let go of it."""
        live.stopping = True
        await self.sandboxes.let_go(live)
        await self.sandboxes.driver.stop(live.spec)
        self.runs.lose(live.sandbox.id, "its preview was ended")


def _copy_memory(paths: list[Path], old: str, new: str) -> None:
    """The mirror's own files; nothing writes to them."""
    for path in paths:
        shutil.copyfile(path, path.with_name(path.name.replace(old, new)))


def _differences(
    workspace: str, before: Files, after: Files, rules: Filter
) -> tuple[list[c.RunChange], list[c.RunChange]]:
    """What differs in the workspace, as far as it is mirrored, and elsewhere."""
    changes: list[c.RunChange] = []
    elsewhere: list[c.RunChange] = []
    top = workspace.rstrip("/") + "/"
    for path in sorted(before.keys() | after.keys()):
        was, now = before.get(path), after.get(path)
        if was == now or path.startswith(_OURS):
            continue
        gone = now is None or _whiteout(now)
        there = was is not None and not _whiteout(was)
        kind: Literal["added", "modified", "deleted"] = "deleted" if gone else "modified" if there else "added"
        if path.startswith(top) and rules.decide_path(path.removeprefix(top), False) is not Verdict.OUT:
            changes.append(c.RunChange(path=path.removeprefix(top), kind=kind))
        else:
            elsewhere.append(c.RunChange(path=path, kind=kind))
    return changes, elsewhere


def _whiteout(what: tuple[int, ...]) -> bool:
    """How overlayfs keeps that a file of the layer below was deleted (Documentation/filesystems/overlayfs.rst)."""
    return stat.S_ISCHR(what[0]) and what[1] == 0
