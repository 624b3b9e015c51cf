"""What becomes of a host's change where the sandbox has changed the same path: nothing is overwritten unseen.

The agent refuses to write over what it does not know (`PushEntry.was`); then this looks at all three: what both last
had in common, what the host has now, what stands inside. The same on both sides, or a change on one side only: settled.
Both changed a text, in different places: merged inside, so that the sandbox has the host's news and its own. Else it
is contested: each side keeps its own until the user decides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from ..protocol.agent import PushEntry, PushItem
from .batch import LARGE
from .blobs import TEXT_LIMIT, Blobs, is_text
from .folder import Gone, SafeFolder
from .state import MirrorState, Seen
from .target import Target
from .text import merge

T = TypeVar("T")


class InThread(Protocol):
    """Runs what reads files in a worker thread."""

    def __call__(self, work: Callable[[], T]) -> Awaitable[T]:
        """What `work` returns."""
        ...


class Contested(Exception):
    """Both sides changed the path; the words say how."""


@dataclass
class Reconciler:
    """For one mirror; its lock is held."""

    root: str
    state: MirrorState
    blobs: Blobs | None
    inside: SafeFolder | None
    in_thread: InThread

    async def settle(self, target: Target, item: PushItem, wanted: Seen | None, stands: str) -> Seen | None:
        """Settle one entry that was refused; returns what is now known of the path.

        Args:
            wanted: the host's version, None if it is gone there.
            stands: what was found inside, in the words of `PushEntry.was`. It is read after that: what is written to
                it meanwhile makes the agent refuse again.

        Raises:
            Contested: the user has to decide. Neither side was touched.
        """
        path = item.entry.path
        old = self.state.entries.get(path)
        now = await self.in_thread(lambda: self._inside(path, stands))
        if now.kind == (wanted.kind if wanted else "") and (now.kind in ("", "d") or now.like(wanted)):
            return await self._same(target, item, old, wanted, now) if wanted else None
        # What was sent and never confirmed, because we died, is no change of the sandbox's.
        ours = [seen for seen in (old, self.state.pushing.get(path)) if seen is not None]
        untouched = next((seen for seen in ours if now.like(seen)), None)
        if not now.kind:
            if old is not None:
                raise Contested("changed on the host, deleted in the sandbox")
            return await self._write(target, item, wanted, now, wanted.mode if wanted else 0)
        if untouched is not None and (wanted is not None or now.mode == untouched.mode or now.kind != "f"):
            return await self._write(target, item, wanted, now, _mode(untouched, wanted, now) if wanted else 0)
        if wanted is None:
            raise Contested("deleted on the host, changed in the sandbox")
        if old is not None and (old.kind, old.digest) == (wanted.kind, wanted.digest):
            # The sandbox's change alone; of the host only the mode may be news.
            return await self._same_text(target, path, old, wanted, now)
        if old is None:
            raise Contested("made on both sides, not alike")
        if not (now.kind == old.kind == wanted.kind == "f"):
            raise Contested("changed on both sides")
        return await self._merge(target, item, old, wanted, now)

    def _inside(self, path: str, stands: str) -> _Now:
        """What stands inside. Blocks."""
        if self.inside is None:
            raise Contested("changed on both sides")
        try:
            found = self.inside.look(path)
            if found is None:
                return _Now("", b"", 0, stands)
            hashed = self.inside.digest(path, found.kind) if found.kind in ("f", "l") else b""
        except (Gone, OSError):
            raise Contested("changed on both sides, and it cannot be read in the sandbox") from None
        return _Now(found.kind, hashed, found.mode, stands)

    async def _write(self, target: Target, item: PushItem, wanted: Seen | None, now: _Now, mode: int) -> Seen | None:
        """The host's version after all: what stands inside is as it came, if under other times."""
        changed = {"was": now.was} | ({"mode": mode} if item.entry.kind == "file" else {})
        result = await target.push(self.root, [PushItem(item.entry.model_copy(update=changed), item.data)])
        if result.failed:
            raise Contested(f"changed on the host, and inside not as it was: {result.failed[0].message}")
        return wanted

    async def _same(self, target: Target, item: PushItem, old: Seen | None, wanted: Seen, now: _Now) -> Seen:
        """Both sides hold the same; of the host the mode may be news."""
        mode = _mode(old, wanted, now)
        if now.kind == "f" and mode != now.mode:
            return await self._write(target, item, wanted, now, mode) or wanted
        return wanted._replace(inside_ns=now.mtime_ns)

    async def _same_text(self, target: Target, path: str, old: Seen, wanted: Seen, now: _Now) -> Seen:
        mode = _mode(old, wanted, now)
        if now.kind == "f" and mode != now.mode:
            theirs = await self.in_thread(lambda: self._bytes(path, LARGE))
            if theirs is not None:
                await self._put(target, path, theirs, mode, now)
        return wanted._replace(inside_ns=0)

    async def _merge(self, target: Target, item: PushItem, old: Seen, wanted: Seen, now: _Now) -> Seen:
        path = item.entry.path
        base = await self.in_thread(lambda: self.blobs.get(old.digest) if self.blobs else None)
        theirs = await self.in_thread(lambda: self._bytes(path, TEXT_LIMIT))
        ours = item.data
        if not isinstance(ours, bytes) or base is None or theirs is None or not is_text(ours) or not is_text(theirs):
            raise Contested("changed on both sides")
        merged, clean = await self.in_thread(lambda: merge(base, ours, theirs))
        if not clean:
            raise Contested("the same lines were changed on both sides")
        mode = _mode(old, wanted, now)
        if (merged != theirs or mode != now.mode) and not await self._put(target, path, merged, mode, now):
            raise Contested("changed on both sides, and being changed in the sandbox just now")
        return wanted._replace(inside_ns=0)

    async def _put(self, target: Target, path: str, data: bytes, mode: int, now: _Now) -> bool:
        entry = PushEntry(path=path, kind="file", mode=mode, size=len(data), was=now.was)
        return not (await target.push(self.root, [PushItem(entry, data)])).failed

    def _bytes(self, path: str, limit: int) -> bytes | None:
        assert self.inside is not None
        try:
            data = self.inside.read(path, limit)
        except (Gone, OSError):
            return None
        return data if len(data) <= limit else None


class _Now(NamedTuple):
    """What stands inside."""

    kind: str
    digest: bytes
    mode: int
    was: str
    """In the words of `PushEntry.was`."""

    @property
    def mtime_ns(self) -> int:
        """0: it has none."""
        return int(self.was.split(":")[2]) if self.kind == "f" and self.was.startswith("f:") else 0

    def like(self, seen: Seen | None) -> bool:
        """Whether both hold the same, modes left out."""
        return seen is not None and self.kind == seen.kind and (self.kind == "d" or self.digest == seen.digest)


def _mode(old: Seen | None, wanted: Seen, now: _Now) -> int:
    """Permission bits that a file is to have: the host's, unless the sandbox has changed its own."""
    return wanted.mode if old is None or now.mode == old.mode else now.mode
