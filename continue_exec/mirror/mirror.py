"""Mirror: keeps the sandbox's copy of a workspace as the host has it."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TypeVar

from ..errors import Conflict, DiskFull, NotFound
from ..protocol.agent import PushResult
from ..protocol.methods import SyncResult
from .batch import LARGE, Batch, Reader
from .blobs import TEXT_LIMIT, Blobs, is_text
from .buffers import Buffers
from .filter import RULE_FILES, Filter, IgnoreRules
from .folder import SafeFolder
from .plan import Plan, Planner
from .reconcile import Contested, Reconciler
from .seed import Seeding
from .state import MirrorState, Seen
from .target import Target
from .walk import LeftOut
from .watch import Changes, Watcher, choose

log = logging.getLogger(__name__)
T = TypeVar("T")

_INLINE_PATHS = 32
"""Up to so many files are looked at on the event loop: a change of thread costs more than reading them."""
_INLINE_BYTES = 1 << 20

_COALESCE_S = 0.002
"""Live: a save is several system calls (truncate, write, close, rename); let them pass."""
_HOLD_S = 0.15
"""Live: deletions and large files wait until it has been quiet for so long. A workspace that is being deleted is then
gone before its deletions are mirrored, and a large file is not sent again for every block written to it."""
_HOLD_LONGEST_S = 10.0
_GONE_S = 1.0
"""Live: how often to look whether a workspace that vanished is back."""

_MAX_LEFT_OUT = 100
_MAX_CONFLICTS = 10
_LOOKED_AT_AGAIN = 100
"""Contested paths that every flush tries again, for some milliseconds; of more, a look at the tree tells."""


class Mirror:
    """One workspace and one sandbox. Only what the target confirmed counts as mirrored."""

    def __init__(
        self,
        workspace: Path,
        rules: IgnoreRules,
        state: MirrorState,
        *,
        watcher: Callable[[str], Watcher] = choose,
        inside: SafeFolder | None = None,
        blobs: Blobs | None = None,
    ) -> None:
        """Watches nothing yet.

        Args:
            workspace: absolute, links resolved (workspace.resolve_workspace).
            watcher: makes one for a folder.
            inside: the sandbox's files, to look at what it changed; None: what both sides changed stays contested.
            blobs: keeps the texts that were mirrored, to merge what both sides changed.
        """
        self.root = str(workspace)
        self.contested: dict[str, str] = {}
        """What both sides changed, and neither side's version was written over: path → how, in words."""
        self.rules = rules
        self.rules_read = 0
        """Grows when ignore files may have changed."""
        self.state = state
        self._state = state
        self.inside = inside
        self.blobs = blobs
        self._make_watcher = watcher
        self._watcher: Watcher | None = None
        self._filter = Filter(self.root, rules)
        self._left_out = LeftOut()
        self._buffers = Buffers(self.root)
        self._lock = asyncio.Lock()
        self._changes = Changes(rescan=True)
        """What is known to have changed and is not mirrored yet."""
        self._repositories: Mapping[str, str] = {}
        self._identity = (0, 0)
        self._stands: Mapping[str, str] = {}
        """While it overwrites: what stands inside at just those paths."""
        self._not_over: dict[str, str] = {}
        """What it could not overwrite then, and why."""
        self._quiet: SyncResult | None = None
        """The answer when nothing changed."""
        self._seeded = (0, 0, 0.0)
        """Files, bytes and milliseconds of `seed`, until a flush has told of them."""

    async def start(self) -> None:
        """Begin to watch. Nothing is pushed before the first `flush` or `live`.

        Raises:
            NotFound: the workspace is not there.
        """
        self._check_root()
        await in_thread(self._state.load)
        self._watcher = self._make_watcher(self.root)

    async def stop(self) -> None:
        """End watching and put the state in order, after a `flush` under way; `live` returns."""
        async with self._lock:
            if self._watcher is None:
                return  # what was never read must not be written
            self._watcher.close()
            self._watcher = None
            await in_thread(self._state.compact)

    def set_buffers(self, client: str, buffers: Mapping[str, str | None]) -> None:
        """Unsaved texts by path; each counts in place of the file until it is cleared (None). Inside after `flush`.

        Raises:
            OutsideWorkspace: a path is; then nothing is set.
        """
        self._changes.paths |= self._buffers.set(client, buffers)

    def drop_client(self, client: str) -> None:
        """Clear all texts of a client that is gone."""
        self._changes.paths |= self._buffers.drop(client)

    @property
    def kept_out(self) -> list[str]:
        """Paths on the host that are not inside although no rule ignores them: secrets, and what cannot be read."""
        return list(self._left_out)

    def reconsider(self, paths: Iterable[str]) -> None:
        """The sandbox changed these: what was contested may not be so any more."""
        self._changes.paths |= self.contested.keys() & set(paths)

    @property
    def lock(self) -> asyncio.Lock:
        """Held by whoever changes one of the two sides together with what is known of it."""
        return self._lock

    async def overwrite(self, target: Target, stands: Mapping[str, str]) -> dict[str, str]:
        """Set paths inside to what the host has, whatever the sandbox made of them.

        Args:
            stands: per path what it was seen to be inside, in the words of `PushEntry.was`; no other.

        Returns:
            The paths that could not be written, and why.

        Raises:
            ContinueExecError: as `flush`.
        """
        if not stands:
            return {}
        async with self._lock:
            watcher = self._watching()
            entries = self._state.entries
            known = {path: entries.pop(path) for path in stands if path in entries}
            try:
                buffers = self._buffers.current()
                planner = Planner(self.root, self._filter, watcher, self._state, self._left_out)
                plan = await in_thread(lambda: planner.some(set(stands), set(), buffers))
                # Deleted while we looked: what is missing below it means nothing.
                self._check_root()
                kept = {path for path, _ in (*plan.files, *plan.folders)}
                makes_way = {path for path, _ in plan.files if stands.get(path) == "d"}
                plan.deletes = sorted({*plan.deletes, *(stands.keys() - kept), *makes_way}, reverse=True)
                self._stands, self._not_over = stands, {}
                await self._push(target, plan, buffers, time.perf_counter())
            finally:
                self._stands = {}
                # What was not confirmed is known no better than before.
                self._state.record({path: seen for path, seen in known.items() if path not in entries})
            failed = {path: why for path, why in self._not_over.items() if path in stands}
            gone = dict.fromkeys(stands.keys() - kept - failed.keys())
            self._state.record(gone)
            for path in stands.keys() - failed.keys():
                self.contested.pop(path, None)
            return failed

    def brought(self, seen: Mapping[str, Seen | None]) -> None:
        """What the sandbox had was written on the host just now: both have it. The lock is held."""
        self._state.record(seen)
        for path in seen:
            self.contested.pop(path, None)

    def buffers(self) -> Mapping[str, tuple[bytes, int]]:
        """Editors' unsaved texts by path, and when each was set (ns)."""
        return self._buffers.current()

    async def seed(self, program: Path, folder: Path) -> None:
        """Write the first mirror into `folder`, which will be the workspace of a sandbox that has never run.

        After `start`, and in place of the first push: the next `flush` has only to do what happened since. If `program`
        (the agent's) cannot be run here, that does everything.

        Raises:
            NotFound: the workspace is gone.
            DiskFull: no room on the host.
            SandboxFailed: the copying failed.
            OSError: the state of an earlier try cannot be deleted.
        """
        started = time.perf_counter()
        async with self._lock:
            watcher = self._watching()
            self._check_root()
            self._merge(watcher.drain())
            self._state.forget()
            # All that is known is worth nothing now; buffers that are set from here on come in between.
            self._changes = Changes()
            remaining = Changes(rescan=True)
            try:
                reader = Reader(self.root, self._filter, self._state, self._left_out)
                seeding = Seeding(reader, watcher, self._buffers.current())
                texts = self.blobs.begin_anew() if self.blobs is not None else None
                done = await in_thread(lambda: seeding.run(program, folder, texts), seeding.stop)
                # Deleted while we looked: what is missing below it means nothing.
                self._check_root()
                if done:
                    await in_thread(lambda: self._state.record(seeding.batch.seen))
                    remaining = Changes(paths=seeding.batch.again)
                    self._seeded = (seeding.files, seeding.batch.size, (time.perf_counter() - started) * 1000)
            finally:
                self._merge(remaining)

    def repositories(self) -> Mapping[str, str]:
        """Work trees at and below the workspace: relative path → absolute. As the last `flush` found them."""
        return self._repositories

    def holds(self, path: str) -> bool:
        """Whether a path of the workspace is known to be inside."""
        return path in self._state.entries

    async def flush(self, target: Target) -> SyncResult:
        """Everything on disk and in buffers up to this call is inside when it returns.

        Raises:
            NotFound: the workspace is gone. The sandbox's copy stays as it is.
            DiskFull: no room inside. What was written counts.
            ContinueExecError: the target's; what it had not confirmed is sent again by the next flush.
        """
        started = time.perf_counter()
        async with self._lock:
            # The sandbox may have given way meanwhile; nothing tells of it.
            self._changes.paths.update(islice(self.contested, _LOOKED_AT_AGAIN))
            result = await self._sync(target, started)
            (files, size, took), self._seeded = self._seeded, (0, 0, 0.0)
            more = {
                "files": result.files + files,
                "bytes": result.bytes + size,
                "duration_ms": result.duration_ms + took,
            }
            return result.model_copy(update=more) if files else result

    async def live(self, target: Target) -> None:
        """Push changes as they happen, until cancelled or stopped. Mirrors everything first if that has not been done.

        Raises:
            ContinueExecError: the target's.
        """
        clock = asyncio.get_running_loop().time
        held_since: float | None = None
        quiet = False
        while self._watcher is not None:
            try:
                async with self._lock:
                    if self._watcher is None:
                        return
                    overdue = held_since is not None and clock() - held_since > _HOLD_LONGEST_S
                    await self._sync(target, time.perf_counter(), live=True, patient=not (quiet or overdue))
                held = bool(self._changes.paths)
            except NotFound:
                await asyncio.sleep(_GONE_S)
                continue
            except DiskFull as error:
                log.warning("%s: %s", self.root, error.message)
                held = False
            held_since = (held_since or clock()) if held else None
            quiet = not await self._wait(_HOLD_S if held else None)
            if not quiet:
                await asyncio.sleep(_COALESCE_S)

    async def _wait(self, timeout: float | None) -> bool:
        """Until something changes on disk; False if nothing did for `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                if self._watcher is not None:
                    await self._watcher.wait()
        except TimeoutError:
            return False
        return True

    def _watching(self) -> Watcher:
        if self._watcher is None:
            raise Conflict(f"The mirror of {self.root} is not started")
        return self._watcher

    def _check_root(self) -> None:
        try:
            found = os.lstat(self.root)
        except OSError as error:
            raise self._missing() from error
        if not stat.S_ISDIR(found.st_mode):
            raise self._missing()
        if (found.st_dev, found.st_ino) != self._identity:
            self._identity = (found.st_dev, found.st_ino)
            self._changes.rescan = True

    def _missing(self) -> NotFound:
        return NotFound(
            f"The workspace {self.root} is gone",
            hint="Restore the folder and try again; the sandbox still has its copy.",
        )

    async def _sync(self, target: Target, started: float, *, live: bool = False, patient: bool = False) -> SyncResult:
        """The lock is held."""
        watcher = self._watching()
        self._check_root()
        self._merge(watcher.drain())
        if not watcher.exact and not live:
            self._changes.rescan = True
        if self._filter.may_be_stale() and await in_thread(self._filter.stale):
            self._changes.rescan = True
        if not self._changes and self._quiet is not None:
            return self._quiet
        taken, self._changes = self._changes, Changes()
        try:
            buffers = self._buffers.current()
            plan = await self._plan(watcher, taken, buffers)
            # Kept, as the filter forgets for a while whenever it looks at everything again.
            self._repositories = self._filter.repositories
            # Deleted while we looked: what is missing below it means nothing.
            self._check_root()
            if patient and not plan.replaces(self._state):
                self._hold(plan)
            result = await self._push(target, plan, buffers, started)
        except BaseException:
            self._merge(taken)
            raise
        self._quiet = result.model_copy(update={"files": 0, "bytes": 0, "deleted": 0, "duration_ms": 0.0})
        return result

    def _merge(self, changes: Changes) -> None:
        if changes:
            self._changes.paths |= changes.paths
            self._changes.trees |= changes.trees
            self._changes.rescan |= changes.rescan

    async def _plan(self, watcher: Watcher, changes: Changes, buffers: Mapping[str, tuple[bytes, int]]) -> Plan:
        if changes.rescan or changes.trees or any(path.rpartition("/")[2] in RULE_FILES for path in changes.paths):
            self.rules_read += 1
        planner = Planner(self.root, self._filter, watcher, self._state, self._left_out)
        if changes.rescan:
            return await in_thread(lambda: planner.full(buffers))
        if changes.trees or len(changes.paths) > _INLINE_PATHS:
            return await in_thread(lambda: planner.some(changes.paths, changes.trees, buffers))
        return planner.some(changes.paths, changes.trees, buffers)

    def _hold(self, plan: Plan) -> None:
        """Put off deletions and large files."""
        large = {path for path, found in plan.files if found is not None and found.st_size > _INLINE_BYTES}
        self._changes.paths |= large
        self._changes.paths.update(plan.deletes)
        plan.files = [(path, found) for path, found in plan.files if path not in large]
        plan.deletes = []

    async def _push(
        self, target: Target, plan: Plan, buffers: Mapping[str, tuple[bytes, int]], started: float
    ) -> SyncResult:
        """Read, push and confirm batch by batch; the next is read while one is pushed."""
        files = sent = deleted = 0
        reader = Reader(self.root, self._filter, self._state, self._left_out, self._stands)
        batches = reader.batches(plan, buffers)
        inline = len(plan.files) <= _INLINE_PATHS and sum(f.st_size for _, f in plan.files if f) <= _INLINE_BYTES

        async def following() -> Batch | None:
            return next(batches, None) if inline else await in_thread(lambda: next(batches, None))

        full_disk = ""
        batch = await following()
        while batch is not None:
            ahead = None if inline else asyncio.get_running_loop().run_in_executor(None, next, batches, None)
            try:
                self._state.announce({item.entry.path: batch.seen[item.entry.path] for item in batch.items})
                result = await target.push(self.root, batch.items) if batch.items else PushResult(written=0)
            finally:
                if ahead is not None:
                    await _finished(ahead)
            failed = await self._confirm(batch, result, target)
            full_disk = full_disk or next((f.message for f in result.failed if f.code == DiskFull.code), "")
            for item in batch.items:
                if item.entry.path not in failed:
                    files += item.entry.kind in ("file", "symlink")
                    deleted += item.entry.kind == "delete"
                    sent += item.entry.size
            batch = await following() if ahead is None else ahead.result()
        if full_disk:
            raise DiskFull(
                f"No room in the sandbox for {self.root}: {full_disk}",
                hint="Make room on the host's disk, or inside: `continue-exec run --no-sync -- rm ...`.",
            )
        return SyncResult(
            files=files,
            bytes=sent,
            deleted=deleted,
            duration_ms=(time.perf_counter() - started) * 1000,
            left_out=tuple(f"{path} ({why})" for path, why in sorted(self._left_out.items())[:_MAX_LEFT_OUT]),
            notes=tuple(note for note in (self._watching().note, *self._filter.notes, *self._conflicts()) if note),
        )

    async def _confirm(self, batch: Batch, result: PushResult, target: Target) -> set[str]:
        """Remember what is inside now; returns the paths that are not."""
        failed = {failure.path for failure in result.failed}
        if result.unlisted:
            failed = set(batch.seen)
        refused = {failure.path for failure in result.failed if failure.code == Conflict.code}
        if self._stands:
            why = {failure.path: failure.message for failure in result.failed}
            self._not_over |= {path: why.get(path, "not written") for path in failed}
            refused = set()
        settled = await self._settle(batch, refused, target) if refused else {}
        failed -= settled.keys()
        for failure in result.failed:
            if failure.path in failed and failure.path not in self.contested and failure.path not in self._stands:
                self._left_out[failure.path] = f"not written: {failure.message}"
        self._changes.paths |= (failed - self.contested.keys() - self._stands.keys()) | batch.again
        for path in batch.seen.keys() - failed:
            self.contested.pop(path, None)
        self._state.record({path: seen for path, seen in batch.seen.items() if path not in failed} | settled)
        if self.blobs is not None:
            self._keep(batch)
        return failed

    def _conflicts(self) -> list[str]:
        some = [f"{path}: {why}; each side keeps its own" for path, why in sorted(self.contested.items())]
        return [
            *some[:_MAX_CONFLICTS],
            *([f"and {len(some) - _MAX_CONFLICTS} more"] if len(some) > _MAX_CONFLICTS else []),
        ]

    async def _settle(self, batch: Batch, refused: set[str], target: Target) -> dict[str, Seen | None]:
        """What the agent refused to write over because the sandbox had changed it."""
        reconciler = Reconciler(self.root, self._state, self.blobs, self.inside, in_thread)
        settled: dict[str, Seen | None] = {}
        stands = await target.look(self.root, sorted(refused))
        for item in [item for item in batch.items if item.entry.path in refused]:
            path = item.entry.path
            try:
                settled[path] = await reconciler.settle(target, item, batch.seen[path], stands[path])
            except Contested as why:
                self.contested[path] = str(why)
                # For certain not written: should the sandbox make the same text, it is its own.
                self._state.record({path: self._state.entries.get(path)})
        return settled

    def _keep(self, batch: Batch) -> None:
        """The texts that both sides have in common now."""
        assert self.blobs is not None
        for item in batch.items:
            data, seen = item.data, batch.seen.get(item.entry.path)
            if isinstance(data, bytes) and seen is not None and len(data) <= TEXT_LIMIT and is_text(data):
                self.blobs.put(seen.digest, data)


async def in_thread(work: Callable[[], T], stop: Callable[[], None] = lambda: None) -> T:
    """Run `work` in a worker thread and never leave it behind: cancelled, this calls `stop` and waits for its end.

    What `work` uses is guarded by the mirror's lock alone, so it must not go on when that is released.
    """
    future = asyncio.get_running_loop().run_in_executor(None, work)
    await _finished(future, stop)
    return future.result()


async def _finished(future: asyncio.Future[T], stop: Callable[[], None] = lambda: None) -> None:
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            cancelled = True
            stop()
    if cancelled:
        raise asyncio.CancelledError


__all__ = ["LARGE", "Mirror", "in_thread"]
