"""What the engine holds for one sandbox to review what it changed: both sides' files, and its history."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ..mirror import changes
from ..mirror.blobs import TEXT_LIMIT, Blobs, is_text
from ..mirror.changes import Delta, HostSide, Inside, Version
from ..mirror.filter import Filter
from ..mirror.folder import Found, Gone, SafeFolder
from ..mirror.home import Home
from ..mirror.mirror import Mirror
from ..mirror.state import Seen, digest
from ..tasks import Tasks
from .history import Entry, History, now, steps_between

log = logging.getLogger(__name__)

QUIET_S = 0.05
"""A run that follows another at once is not slowed by a look at the tree: the look waits for this much quiet."""
LONGEST_S = 2.0
"""It does not wait for ever: then it is taken although something runs."""
KEPT_AT_ONCE = 100
"""Files whose texts are kept in one go: some milliseconds."""
BASES_GROWTH = 16 << 20
"""Bytes of texts kept for merges after which those that nobody needs any more are thrown out."""
CONTENT_LIMIT = 32 << 20
"""Bytes; of larger files the history keeps the hash alone, so that they cannot be gone back to."""


@dataclass
class Review:
    """One sandbox's review.

    Attributes:
        active: ids of the runs that go on.
    """

    mirror: Mirror
    files: SafeFolder
    home: Home
    history: History
    active: Callable[[], Iterable[str]]
    tasks: Tasks
    left_out: Mapping[str, str] = field(default_factory=dict)
    """What the last `deltas` could not compare, and why."""
    _due: list[str] = field(default_factory=list)
    """Runs that ended since the last look, oldest first."""
    _dirty: dict[str, Version] = field(default_factory=dict)
    """What was not as mirrored at the last look."""
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _hurry: asyncio.Event = field(default_factory=asyncio.Event)
    _waiting: bool = False
    _rules_read: int = -1
    _turn: threading.RLock = field(default_factory=threading.RLock)
    """Of the worker threads: a look at the tree for the history does not wait for the mirror's lock."""
    _bases_size: int = 0
    """Bytes of `bases` when what is not wanted was last thrown out."""

    def __post_init__(self) -> None:
        self.inside = Inside(self.files)
        assert self.mirror.blobs is not None
        self.bases: Blobs = self.mirror.blobs
        self.rules = Filter(self.mirror.root, self.mirror.rules)

    def load(self) -> None:
        """Read what an earlier engine knew. Blocks."""
        self.history.load()
        self._dirty = {
            path: version
            for path, version in self.history.latest().items()
            if not version.like(changes.base_of(self.mirror.state.entries.get(path)))
        }

    async def begin(self) -> None:
        """What is to be done once it is quiet after the start: what changed while nobody looked is no later run's
        doing; texts that were mirrored without passing through us are kept."""
        await self._quiet()
        await self.survey()
        await asyncio.to_thread(self._tidy, 0)
        await self.keep_bases()

    async def keep_bases(self) -> None:
        """Keep the texts that were mirrored without passing through us, so that they can be merged with later ones.

        Little by little, and not while something runs: only what both sides change before it was kept is not merged.
        """
        todo = [
            path
            for path, seen in self.mirror.state.entries.items()
            if seen.kind == "f" and seen.size <= TEXT_LIMIT and seen.digest not in self.bases
        ]
        while todo:
            if list(self.active()):
                await asyncio.sleep(QUIET_S)
                continue
            some, todo = todo[:KEPT_AT_ONCE], todo[KEPT_AT_ONCE:]
            await asyncio.to_thread(self._keep_bases, some)

    def _keep_bases(self, paths: Iterable[str]) -> None:
        for path in paths:
            seen = self.mirror.state.entries.get(path)
            if seen is not None:
                self.keep_base(path, changes.base_of(seen))

    def keep_base(self, path: str, version: Version) -> None:
        """Keep a text of the host's that both sides have. Blocks."""
        if version.kind != "f" or version.size > TEXT_LIMIT or version.digest in self.bases:
            return
        try:
            data = self.home.files.read(path, TEXT_LIMIT)
        except (Gone, OSError):
            return
        if is_text(data) and digest(data) == version.digest:
            self.bases.put(version.digest, data)

    def _tidy(self, grown: int) -> None:
        """Throw out texts that neither side has any more, if the file grew by so much."""
        if self.bases.size >= self._bases_size + grown:
            self.bases.keep_only({seen.digest for seen in list(self.mirror.state.entries.values())})
            self._bases_size = self.bases.size

    def close(self) -> None:
        """Let go of the files."""
        self.bases.close()
        self.history.blobs.close()

    # Differences between the sides

    async def deltas(self, only: Iterable[str] = ()) -> list[Delta]:
        """What the sandbox has otherwise than the host. After a flush."""
        async with self.mirror.lock:
            return await asyncio.to_thread(self._deltas, tuple(only))

    async def delta(self, path: str) -> Delta | None:
        """What just this path has otherwise, without a look at the rest of the tree. After a flush."""
        async with self.mirror.lock:
            return await asyncio.to_thread(self._delta, path)

    def _delta(self, path: str) -> Delta | None:
        there, seen = self.files.look(path), self.mirror.state.entries.get(path)
        host = HostSide(self.home.files, self.mirror.buffers())
        with self._turn:
            found = changes.compare(
                {} if there is None else {path: there}, {} if seen is None else {path: seen}, self.inside, host, (path,)
            )
        return found[0] if found else None

    def _deltas(self, only: tuple[str, ...]) -> list[Delta]:
        with self._turn:
            self._fresh_rules()
            found = self.inside.scan(self.rules, known=len(self.mirror.state.entries))
            host = HostSide(self.home.files, self.mirror.buffers())
            deltas = changes.compare(found, self.mirror.state.entries, self.inside, host, only)
            self.left_out = dict(self.inside.left_out)
        return deltas

    def version(self, path: str, found: Found | None) -> Version:
        """What stands inside at a path where `found` was found. Blocks.

        Raises:
            Gone, OSError: it is changing, or cannot be read.
        """
        with self._turn:
            return self.inside.version(path, found, self.mirror.state.entries.get(path))

    def last(self, path: str) -> Version:
        """What stood inside at the last look."""
        return self._dirty.get(path) or changes.base_of(self.mirror.state.entries.get(path))

    def _fresh_rules(self) -> None:
        if self._rules_read != self.mirror.rules_read or self.rules.stale():
            self._rules_read = self.mirror.rules_read
            self.rules.drop("")

    # What runs changed

    def ended(self, run_id: str) -> None:
        """A run ended: look at what it changed, when it is quiet."""
        self._due.append(run_id)
        if not self._waiting:
            self._waiting = True
            self.tasks.spawn("survey", self._when_quiet())

    async def _when_quiet(self) -> None:
        try:
            await self._quiet()
        finally:
            self._waiting = False
        await self.survey()

    async def _quiet(self) -> None:
        until = now() + LONGEST_S
        while now() < until:
            ended = len(self._due)
            try:
                async with asyncio.timeout(QUIET_S):
                    await self._hurry.wait()
                return
            except TimeoutError:
                if len(self._due) == ended and not list(self.active()):
                    return

    async def settled(self) -> None:
        """When this returns, what every run has changed that had ended by now is in the history."""
        self._hurry.set()
        try:
            await self.survey()
        finally:
            self._hurry.clear()

    async def survey(self, name: str = "") -> None:
        """Look at the tree, and write down what changed since the last time.

        Args:
            name: of what was done to it, if that was no run.
        """
        async with self._looking:
            due, self._due = self._due, []
            going = list(self.active())
            async with self.mirror.lock:
                entries = dict(self.mirror.state.entries)
            found = await asyncio.to_thread(self._look, entries)
            async with self.mirror.lock:
                # What was mirrored meanwhile looked like a change: compare it again with what is known now.
                dirty = await asyncio.to_thread(self._again, found)
                mirrored = {
                    path: changes.base_of(self.mirror.state.entries.get(path))
                    for path in dirty.keys() | self._dirty.keys()
                }
            steps = steps_between(self._dirty, dirty, mirrored)
            self._dirty = dirty
            runs = (name,) if name else tuple(due)
            if steps or runs:
                # Also those that ended while we looked: part of what they changed may be in this already.
                beside = dict.fromkeys(run for run in (*going, *self._due, *self.active()) if run not in runs)
                entry = Entry(runs or ("background",), tuple(beside), now(), steps)
                await asyncio.to_thread(self._keep, entry)
            self.mirror.reconsider({*steps, *(self.mirror.contested.keys() - dirty.keys())})
            await asyncio.to_thread(self._tidy, BASES_GROWTH)

    def _look(self, entries: dict[str, Seen]) -> set[str]:
        """Paths that seem to be other than mirrored."""
        with self._turn:
            return self._suspects(entries)

    def _suspects(self, entries: dict[str, Seen]) -> set[str]:
        self._fresh_rules()
        found = self.inside.scan(self.rules, known=len(entries))
        suspects = {path for path, there in found.items() if not changes.plainly_same(there, entries.get(path))}
        return suspects | {
            path for path in entries.keys() - found.keys() if not changes.unknown(path, self.inside.left_out)
        }

    def _again(self, suspects: Iterable[str]) -> dict[str, Version]:
        with self._turn:
            return self._versions(suspects)

    def _versions(self, suspects: Iterable[str]) -> dict[str, Version]:
        dirty = {}
        for path in suspects:
            seen = self.mirror.state.entries.get(path)
            try:
                version = self.version(path, self.files.look(path))
            except (Gone, OSError):
                continue
            if not version.like(changes.base_of(seen)):
                dirty[path] = version
        return dirty

    def _keep(self, entry: Entry) -> None:
        """Write an entry down, and the contents that it tells of."""
        blobs = self.history.blobs
        for path, step in entry.steps.items():
            if step.after.kind in ("f", "l") and step.after.digest not in blobs:
                self._store(self.files, path, step.after)
            if step.before.kind == "l":
                self._store(self.home.files, path, step.before)
            if step.before.kind == "f" and step.before.digest not in blobs:
                data = self.bases.get(step.before.digest)
                if data is not None:
                    blobs.put(step.before.digest, data)
                else:
                    self._store(self.home.files, path, step.before)
        self.history.add(entry)

    def _store(self, files: SafeFolder, path: str, version: Version) -> None:
        if version.size > CONTENT_LIMIT:
            return
        try:
            data = os.fsencode(files.target(path)) if version.kind == "l" else files.read(path, CONTENT_LIMIT)
        except (Gone, OSError):
            return
        if digest(data) == version.digest:
            self.history.blobs.put(version.digest, data)
