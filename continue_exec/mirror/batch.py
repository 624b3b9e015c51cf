"""Files → records with their bytes, in batches. Runs in a worker thread when there is much to read.

Content decides: what was only touched is not pushed, and what is pushed is hashed as it is pushed.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..protocol.agent import PushEntry, PushItem
from . import secrets
from .filter import Filter
from .folder import Gone, digest_of
from .plan import Plan
from .state import MirrorState, Seen, digest
from .walk import LeftOut

LARGE = 4 << 20
"""Bytes. A larger file is streamed by whoever pushes; up to here it is read at once."""

BATCH_ITEMS = 500
BATCH_BYTES = 8 << 20
"""A batch is pushed and confirmed while the next is read; two of them are in memory at a time."""

_YOUNG_NS = 50_000_000
"""A file that changed less than this before it was read may change again within the resolution of its times
(a timer tick, at most 10 ms on Linux; some network file systems are coarser and get a hash more often)."""

NOTHING = "-"
"""`PushEntry.was` where nothing is known to be."""

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def was(seen: Seen | None) -> str:
    """What stands inside if it is as it was mirrored: the agent writes over nothing else."""
    return seen.was if seen is not None else NOTHING


@dataclass
class Batch:
    """Records, and what is known once the target has confirmed them."""

    items: list[PushItem] = field(default_factory=list)
    seen: dict[str, Seen | None] = field(default_factory=dict)
    """None: gone. May hold paths that need no record: their content is as it was."""
    again: set[str] = field(default_factory=set)
    """Changed while they were looked at."""
    size: int = 0
    """Bytes of files."""

    def add(self, entry: PushEntry, seen: Seen | None, data: bytes | Path | None = None) -> None:
        """One record."""
        self.items.append(PushItem(entry, data))
        self.seen[entry.path] = seen
        self.size += entry.size

    def full(self) -> bool:
        """Time for the next."""
        return len(self.items) >= BATCH_ITEMS or self.size >= BATCH_BYTES


@dataclass
class Reader:
    """Reads the files of a plan."""

    root: str
    rules: Filter
    state: MirrorState
    left_out: LeftOut
    stands: Mapping[str, str] = field(default_factory=dict)
    """What stands inside where that is known better than by the state, in the words of `PushEntry.was`."""
    _deleted: frozenset[str] = frozenset()
    """What the plan deletes before it writes."""

    def batches(self, plan: Plan, buffers: Mapping[str, tuple[bytes, int]]) -> Iterator[Batch]:
        """Everything of `plan`, in its order."""
        batch = Batch()
        self._deleted = frozenset(plan.deletes)
        for path in plan.deletes:
            stands = self.stands.get(path) or was(self.state.entries.get(path))
            batch.add(PushEntry(path=path, kind="delete", was=stands), None)
            if batch.full():
                yield batch
                batch = Batch()
        for path, found in plan.folders:
            mode = stat.S_IMODE(found.st_mode) & 0o777
            entry = PushEntry(path=path, kind="dir", mode=mode, mtime_ns=found.st_mtime_ns, was=self._was(path))
            batch.add(entry, Seen("d", mode))
            if batch.full():
                yield batch
                batch = Batch()
        for path, expected in plan.files:
            self.look(path, expected, buffers.get(path), batch)
            if batch.full():
                yield batch
                batch = Batch()
        if batch.items or batch.seen or batch.again:
            yield batch

    def look(self, path: str, expected: os.stat_result | None, text: tuple[bytes, int] | None, batch: Batch) -> None:
        """One file or link: what there is to be pushed of it is added to `batch`."""
        try:
            self._file(path, expected, text, batch)
        except OSError as error:
            self.unread(path, error.errno or errno.EIO, batch)

    def unread(self, path: str, code: int, batch: Batch) -> None:
        """A file could not be read: it is gone, or it stays out."""
        if code in _GONE:
            batch.again.add(path)
        else:
            self.left_out[path] = f"unreadable: {os.strerror(code)}"

    def _file(self, path: str, expected: os.stat_result | None, text: tuple[bytes, int] | None, batch: Batch) -> None:
        if expected is not None and stat.S_ISLNK(expected.st_mode):
            self._link(path, expected, batch)
        elif text is not None:
            mode = stat.S_IMODE(expected.st_mode) & 0o777 if expected else 0o644
            data, set_ns = text
            self._content(path, Seen("f", mode, len(data), set_ns, inside_ns=set_ns), data, batch)
        elif expected is not None:
            full = f"{self.root}/{path}"
            # O_NONBLOCK: a named pipe that took the file's place must not hang us.
            fd = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
            try:
                self._open_file(path, full, fd, batch)
            finally:
                os.close(fd)

    def _open_file(self, path: str, full: str, fd: int, batch: Batch) -> None:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            batch.again.add(path)
            return
        seen = _seen("f", found)
        if found.st_size > LARGE:
            self._large(path, Path(full), fd, seen, batch)
            return
        data = os.read(fd, found.st_size + 1)
        while len(data) > found.st_size or (len(data) < found.st_size and data):
            # Longer or shorter than it was a moment ago: on to the end.
            more = os.read(fd, LARGE)
            if not more:
                break
            data += more
            if len(data) > LARGE:
                batch.again.add(path)
                return
        self._content(path, seen, data, batch)

    def _content(self, path: str, seen: Seen, data: bytes, batch: Batch) -> None:
        if secrets.by_content(path, data) and not self.rules.named(path):
            self.left_out[path] = "secret"
            if path in self.state.entries:
                batch.add(PushEntry(path=path, kind="delete", was=self._was(path)), None)
            return
        seen = Seen(*seen[:-1], digest(data))
        if not self._known(path, seen, batch):
            batch.add(self._entry(path, seen, len(data)), seen, data)

    def _entry(self, path: str, seen: Seen, size: int) -> PushEntry:
        return PushEntry(path=path, kind="file", mode=seen.mode, mtime_ns=seen.mtime_ns, size=size, was=self._was(path))

    def _was(self, path: str) -> str:
        if path in self._deleted:
            return NOTHING
        return self.stands.get(path) or was(self.state.entries.get(path))

    def _large(self, path: str, full: Path, fd: int, seen: Seen, batch: Batch) -> None:
        try:
            seen = seen._replace(digest=digest_of(fd))
        except Gone:  # it grows
            batch.again.add(path)
            return
        after = os.fstat(fd)
        if (after.st_size, after.st_mtime_ns) != (seen.size, seen.mtime_ns):
            batch.again.add(path)
        elif not self._known(path, seen, batch):
            batch.add(self._entry(path, seen, seen.size), seen, full)

    def _link(self, path: str, found: os.stat_result, batch: Batch) -> None:
        target = os.readlink(os.path.join(self.root, path))
        seen = _seen("l", found)._replace(digest=digest(os.fsencode(target)))
        if not self._known(path, seen, batch):
            entry = PushEntry(path=path, kind="symlink", mode=0o777, target=target, was=self._was(path))
            batch.add(entry, seen)

    def _known(self, path: str, seen: Seen, batch: Batch) -> bool:
        """Whether it is inside already; then only its times are noted."""
        old = self.state.entries.get(path)
        if old is None or (old.kind, old.mode, old.digest) != (seen.kind, seen.mode, seen.digest):
            return False
        seen = seen._replace(inside_ns=old.inside_ns)
        if old != seen:
            batch.seen[path] = seen
        return True


def _seen(kind: str, found: os.stat_result) -> Seen:
    young = time.time_ns() - found.st_ctime_ns < _YOUNG_NS
    ctime_ns = 0 if young else found.st_ctime_ns
    mode = stat.S_IMODE(found.st_mode) & 0o777
    # The agent gives the file inside the time that it has here.
    return Seen(kind, mode, found.st_size, found.st_mtime_ns, ctime_ns, found.st_ino, found.st_mtime_ns)
