"""What the sandbox has otherwise than the host: both sides' trees against what they last had in common.

Blocks, all of it: run it in a worker thread, with the mirror's lock held, after a flush.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .filter import Filter, Verdict
from .folder import Found, Gone, SafeFolder, kind_of
from .plan import same
from .state import Seen, digest
from .swap import Standing
from .walk import LeftOut


class Version(NamedTuple):
    """One path on one side."""

    kind: str = ""
    """`f`, `d`, `l`, `o` (a device, a pipe, a socket); "": nothing."""
    mode: int = 0
    """Permission bits, 0o7777; 0 of a link."""
    digest: bytes = b""
    size: int = 0

    def like(self, other: Version) -> bool:
        """Whether both hold the same. Sizes follow from the rest."""
        return self[:3] == other[:3]

    @property
    def standing(self) -> Standing:
        """What `Home` is to find there before it writes."""
        return self.kind, self.digest


ABSENT = Version()

LARGEST = 4 << 30
"""Bytes that are hashed at one look, some seconds: a sparse file of a terabyte costs its maker nothing."""


class Delta(NamedTuple):
    """One path that is not the same on both sides, because the sandbox changed it."""

    path: str
    host: Version
    inside: Version
    base: Version
    secret: bool
    """A name that stays out of the sandbox; one was made there all the same."""

    @property
    def both(self) -> bool:
        """The host changed it as well, since both had the same."""
        return not self.host.like(self.base)

    @property
    def version(self) -> str:
        """Names what was compared; another content or mode on either side has another name."""
        words = repr((self.path, self.host[:3], self.inside[:3]))
        return digest(words.encode("utf-8", "surrogateescape")).hex()[:16]


def base_of(seen: Seen | None) -> Version:
    """What both sides last had in common."""
    if seen is None:
        return ABSENT
    size = seen.size if seen.kind == "f" else 0
    return Version(seen.kind, 0 if seen.kind == "l" else seen.mode, b"" if seen.kind == "d" else seen.digest, size)


@dataclass
class Inside:
    """The sandbox's side, with what was hashed before: a look at 10,000 files that nobody changed reads none."""

    files: SafeFolder
    left_out: LeftOut = field(default_factory=LeftOut)
    _hashed: dict[str, tuple[Found, bytes]] = field(default_factory=dict)
    _unread: int = LARGEST
    """Bytes that may still be hashed at this look."""

    def scan(self, rules: Filter, stopped: Callable[[], bool] = lambda: False, *, known: int = 0) -> dict[str, Found]:
        """Everything that is there, as far as the mirror's rules see it; `known`: files that were mirrored."""
        self.left_out.clear()
        self._unread = LARGEST
        found = self.files.scan(rules, self.left_out, stopped, known=known)
        for path in self._hashed.keys() - found.keys():
            del self._hashed[path]
        return found

    def version(self, path: str, found: Found | None, seen: Seen | None) -> Version:
        """What stands at a path, by what a scan found there.

        Raises:
            OSError: it cannot be read.
            Gone: it changed since.
        """
        if found is None:
            return ABSENT
        if found.kind == "d":
            # Sticky and set-group-id bits of folders stay where they are: neither side's reach the other.
            return Version("d", found.mode & 0o777)
        if found.kind == "o":
            return Version("o", found.mode)
        mode = 0 if found.kind == "l" else found.mode
        size = found.size if found.kind == "f" else 0
        if seen is not None and found.kind == "f" == seen.kind and unchanged(found, seen):
            return Version("f", mode, seen.digest, size)
        known = self._hashed.get(path)
        if known is None or known[0] != found:
            self._budget(size)
            known = self._hashed[path] = found, self.files.digest(path, found.kind)
        return Version(found.kind, mode, known[1], size)

    def _budget(self, size: int) -> None:
        """What was hashed stays known, so that a later look comes further."""
        if size > LARGEST:
            raise OSError(errno.EFBIG, f"larger than {LARGEST >> 30} GiB")
        self._unread -= size
        if self._unread < 0:
            raise OSError(errno.EFBIG, f"more than {LARGEST >> 30} GiB changed; look again for the rest")


def unchanged(found: Found, seen: Seen) -> bool:
    """Whether a file inside has the size and the time that it was mirrored with. Git trusts no more than that."""
    return found.size == seen.size and found.mtime_ns == seen.inside_ns != 0


class HostSide:
    """The host's side: files, with editors' unsaved texts in their place."""

    def __init__(self, files: SafeFolder, buffers: Mapping[str, tuple[bytes, int]]) -> None:
        self.files = files
        self._buffers = buffers

    def version(self, path: str, seen: Seen | None) -> Version:
        """What stands at a path.

        Raises:
            OSError: it cannot be read.
            Gone: it is changing.
        """
        looked = self.files.stat(path)
        text = self._buffers.get(path)
        if text is not None and (looked is None or stat.S_ISREG(looked.st_mode)):
            mode = stat.S_IMODE(looked.st_mode) & 0o777 if looked else 0o644
            return Version("f", mode, digest(text[0]), len(text[0]))
        if looked is None:
            return ABSENT
        kind = kind_of(looked)
        mode = stat.S_IMODE(looked.st_mode) & 0o777
        if kind in ("d", "o"):
            return Version(kind, mode)
        if kind == "f" and seen is not None and same(seen, looked):
            return Version("f", seen.mode, seen.digest, seen.size)
        return Version(kind, 0 if kind == "l" else mode, self.files.digest(path, kind), looked.st_size)


def compare(
    found: Mapping[str, Found],
    entries: Mapping[str, Seen],
    inside: Inside,
    host: HostSide,
    only: Iterable[str] = (),
) -> list[Delta]:
    """Every path that differs, sorted.

    A folder is named only if nothing below it tells of it: new and empty, or gone and empty on the host.

    Args:
        found: what a scan found inside.
        entries: what was mirrored.
        only: at and below these; empty: everything.
    """
    wanted = _below(only)
    deltas = []
    for path in found.keys() | entries.keys():
        if not wanted(path):
            continue
        seen, there = entries.get(path), found.get(path)
        if there is not None and plainly_same(there, seen):
            continue
        if there is None and unknown(path, inside.left_out):
            continue
        try:
            now = inside.version(path, there, seen)
            base = base_of(seen)
            if now.like(base):
                continue
            outside = host.version(path, seen)
        except Gone:
            continue  # it is changing right now: the next look will tell
        except OSError as error:
            inside.left_out[path] = f"unreadable: {error.strerror}"
            continue
        if not now.like(outside):
            secret = there is not None and there.verdict is Verdict.SECRET
            deltas.append(Delta(path, outside, now, base, secret))
    return sorted(_without_implied(deltas, found))


def unknown(path: str, left_out: Mapping[str, str]) -> bool:
    """Whether a scan that did not find a path may just not have come so far."""
    return bool(left_out) and (path in left_out or "." in left_out or any(above in left_out for above in parents(path)))


def plainly_same(there: Found, seen: Seen | None) -> bool:
    """Whether what is inside is what was mirrored, as far as that can be told without reading it."""
    if seen is None or there.kind != seen.kind or there.verdict is Verdict.SECRET:
        return False
    if there.kind == "d":
        return there.mode & 0o777 == seen.mode
    return there.kind == "f" and there.mode == seen.mode and unchanged(there, seen)


def _without_implied(deltas: list[Delta], found: Mapping[str, Found]) -> list[Delta]:
    """Without folders that come or go by themselves with what is in them."""
    told = {
        parent for delta in deltas if "d" not in (delta.inside.kind, delta.host.kind) for parent in parents(delta.path)
    }
    full = {parent for path in found for parent in parents(path)}
    return [
        delta
        for delta in deltas
        if not (delta.inside.kind == "d" and delta.host.kind == "" and (delta.path in told or delta.path in full))
        and not (delta.inside.kind == "" and delta.host.kind == "d" and delta.path in told)
    ]


def parents(path: str) -> Iterable[str]:
    """The folders above a path, nearest first."""
    while path := path.rpartition("/")[0]:
        yield path


def _below(only: Iterable[str]) -> Callable[[str], bool]:
    tops = set(only)
    if not tops or "" in tops:
        return lambda path: True
    return lambda path: path in tops or any(parent in tops for parent in parents(path))
