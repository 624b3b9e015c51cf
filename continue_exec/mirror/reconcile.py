"""What becomes of a host's change where the sandbox has changed the same path: nothing is overwritten unseen.

The agent refuses to write over what it does not know (`PushEntry.was`); then this looks at all three: what both last
had in common, what the host has now, what stands inside. The same on both sides, or a change on one side only: settled.
Both changed a text, in different places: merged inside, so that the sandbox has the host's news and its own. Else it
is contested: each side keeps its own until the user decides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from ..protocol.agent import PushEntry, PushItem
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

    async def settle(self, target: Target, item: PushItem, wanted: Seen | None) -> Seen | None:
        """Settle one entry that was refused; returns what is now known of the path.

        Args:
            wanted: the host's version, None if it is gone there.

        Raises:
            Contested: the user has to decide. Neither side was touched.
        """
        path = item.entry.path
        old = self.state.entries.get(path)
        stands = await target.look(self.root, path)
        now, digest = await self.in_thread(lambda: self._inside(path))
        same = now == (wanted.kind if wanted else "") and (now in ("", "d") or (wanted and digest == wanted.digest))
        if same:
            return wanted._replace(inside_ns=_time(stands)) if wanted else None
        # What was sent and never confirmed, because we died, is no change of the sandbox's.
        ours = [seen for seen in (old, self.state.pushing.get(path)) if seen is not None]
        untouched = any(now == seen.kind and (now == "d" or digest == seen.digest) for seen in ours)
        if untouched or now == "":
            if not now and old is not None:
                raise Contested("changed on the host, deleted in the sandbox")
            return await self._write(target, item, wanted, stands)
        if old is not None and wanted is not None and (old.kind, old.digest) == (wanted.kind, wanted.digest):
            # The sandbox's change alone; of the host only the mode may be news.
            return await self._same_text(target, path, old, wanted, stands)
        if wanted is None:
            raise Contested("deleted on the host, changed in the sandbox")
        if old is None:
            raise Contested("made on both sides, not alike")
        if not (now == old.kind == wanted.kind == "f"):
            raise Contested("changed on both sides")
        return await self._merge(target, item, old, wanted, stands)

    def _inside(self, path: str) -> tuple[str, bytes]:
        """Kind and hash of what stands inside; "": nothing. Blocks."""
        if self.inside is None:
            raise Contested("changed on both sides")
        try:
            found = self.inside.look(path)
            if found is None:
                return "", b""
            return found.kind, self.inside.digest(path, found.kind) if found.kind in ("f", "l") else b""
        except (Gone, OSError):
            raise Contested("changed on both sides, and it cannot be read in the sandbox") from None

    async def _write(self, target: Target, item: PushItem, wanted: Seen | None, stands: str) -> Seen | None:
        """The host's version after all: what stands inside is as it came, if under other times."""
        again = PushItem(item.entry.model_copy(update={"was": stands}), item.data)
        result = await target.push(self.root, [again])
        if result.failed:
            raise Contested(f"changed on the host, and inside not as it was: {result.failed[0].message}")
        return wanted

    async def _same_text(self, target: Target, path: str, old: Seen, wanted: Seen, stands: str) -> Seen:
        theirs = await self.in_thread(lambda: self._text(path)) if old.mode != wanted.mode else None
        if theirs is not None:
            entry = PushEntry(path=path, kind="file", mode=wanted.mode, size=len(theirs), was=stands)
            await target.push(self.root, [PushItem(entry, theirs)])
        return wanted._replace(inside_ns=0)

    async def _merge(self, target: Target, item: PushItem, old: Seen, wanted: Seen, stands: str) -> Seen:
        path = item.entry.path
        base = await self.in_thread(lambda: self.blobs.get(old.digest) if self.blobs else None)
        theirs = await self.in_thread(lambda: self._text(path))
        ours = item.data
        if not isinstance(ours, bytes) or base is None or theirs is None or not is_text(ours) or not is_text(theirs):
            raise Contested("changed on both sides")
        merged, clean = await self.in_thread(lambda: merge(base, ours, theirs))
        if not clean:
            raise Contested("the same lines were changed on both sides")
        if merged != theirs:
            entry = PushEntry(path=path, kind="file", mode=wanted.mode, size=len(merged), was=stands)
            result = await target.push(self.root, [PushItem(entry, merged)])
            if result.failed:
                raise Contested("changed on both sides, and being changed in the sandbox just now")
        return wanted._replace(inside_ns=0)

    def _text(self, path: str) -> bytes | None:
        assert self.inside is not None
        try:
            data = self.inside.read(path, TEXT_LIMIT)
        except (Gone, OSError):
            return None
        return data if len(data) <= TEXT_LIMIT else None


def _time(stands: str) -> int:
    """The time of modification in the words of `PushEntry.was`; 0: it has none."""
    return int(stands.rpartition(":")[2]) if stands.startswith("f:") else 0
