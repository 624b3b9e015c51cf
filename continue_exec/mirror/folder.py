"""A tree of files that somebody else may be changing, read without being led astray.

The sandbox's copy of a workspace is plain files in the sandbox's folder on the host, and code inside may change any of
them at any moment; so may others change the workspace itself. Every folder is opened from its parent without
following links, files are opened without following links or waiting (a pipe may have taken a file's place), and
what was opened is looked at again by its descriptor.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .filter import Filter, Verdict
from .state import digest
from .walk import LeftOut

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class Found(NamedTuple):
    """One path as it stands there."""

    kind: str
    """`f`ile, `d`irectory, symbolic `l`ink; `o`ther: a device, a pipe, a socket."""
    mode: int
    """Permission bits with set-user-id and its like, 0o7777."""
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    verdict: Verdict = Verdict.IN

    def was(self, hashed: bytes) -> str:
        """In the words of `PushEntry.was`. `hashed`: of a link, the hash of its target."""
        match self.kind:
            case "f":
                return f"f:{self.size}:{self.mtime_ns}:{self.mode:o}"
            case "l":
                return f"l:{hashed.hex()}"
            case "d":
                return "d"
        return "other"


class Gone(Exception):
    """The path is not there, or became something else while it was looked at."""


class SafeFolder:
    """The files below a folder, by their paths below it.

    Args:
        top: a folder that can be trusted not to be a link: the sandbox's own, or the workspace.
        below: path of the tree below it; none of its components is followed if it is a link.
    """

    def __init__(self, top: Path, below: str = "") -> None:
        self._top = top
        self._below = [part for part in below.split("/") if part]

    def scan(self, rules: Filter, left_out: LeftOut, stopped: Callable[[], bool] = lambda: False) -> dict[str, Found]:
        """Everything that the mirror's rules let in, and secrets, by path. Blocks: 3 µs a file.

        Raises:
            Gone: `stopped` said so.
        """
        found: dict[str, Found] = {}
        try:
            top = self._open_folder("")
        except Gone:
            return found
        todo = [("", top)]
        while todo:
            rel, fd = todo.pop()
            try:
                if stopped():
                    raise Gone
                for path in self._folder(rel, fd, rules, left_out, found):
                    try:
                        todo.append((path, os.open(path.rpartition("/")[2], _FOLDER, dir_fd=fd)))
                    except OSError as error:
                        if error.errno not in _GONE:
                            left_out[path] = f"unreadable: {error.strerror}"
            except BaseException:
                for _, other in todo:
                    os.close(other)
                raise
            finally:
                os.close(fd)
        return found

    def _folder(self, rel: str, fd: int, rules: Filter, left_out: LeftOut, found: dict[str, Found]) -> Iterator[str]:
        """Add what is in one folder; yields the folders in it that are to be looked into."""
        # The host's own rules decide: an ignore file that was written inside hides nothing.
        scope = rules.scope(rel)
        with os.scandir(fd) as listing:
            entries = list(listing)
        for entry in entries:
            name = entry.name
            try:
                looked = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            folder = stat.S_ISDIR(looked.st_mode)
            verdict = rules.decide(scope, name, folder)
            if verdict is Verdict.OUT:
                continue
            path = scope.prefix + name
            if verdict is not Verdict.THROUGH:
                found[path] = _found(looked, verdict)
            if folder and verdict is not Verdict.SECRET:
                yield path

    def look(self, rel: str) -> Found | None:
        """What stands at a path; None: nothing."""
        try:
            with self._parent(rel) as (fd, name):
                return _found(os.stat(name, dir_fd=fd, follow_symlinks=False))
        except (Gone, OSError):
            return None

    @contextmanager
    def open(self, rel: str) -> Iterator[int]:
        """A regular file's descriptor for reading.

        Raises:
            Gone: there is none.
            OSError: it cannot be read.
        """
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        with self._parent(rel) as (folder, name):
            try:
                fd = os.open(name, flags, dir_fd=folder)
            except OSError as error:
                if error.errno in (*_GONE, errno.ENXIO):
                    raise Gone from None
                raise
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise Gone
            yield fd
        finally:
            os.close(fd)

    def read(self, rel: str, limit: int) -> bytes:
        """A regular file's bytes, at most `limit` and one more.

        Raises:
            Gone, OSError: as `open`.
        """
        with self.open(rel) as fd:
            return read_up_to(fd, limit)

    def target(self, rel: str) -> str:
        """Of a symbolic link.

        Raises:
            Gone: there is none.
        """
        with self._parent(rel) as (fd, name):
            try:
                return os.readlink(name, dir_fd=fd)
            except OSError:
                raise Gone from None

    def digest(self, rel: str, kind: str) -> bytes:
        """Of a file's bytes or a link's target, as the mirror's state keeps it.

        Raises:
            Gone, OSError: as `open`.
        """
        if kind == "l":
            return digest(os.fsencode(self.target(rel)))
        with self.open(rel) as fd:
            return digest_of(fd)

    def _open_folder(self, rel: str) -> int:
        parts = [*self._below, *rel.split("/")] if rel else self._below
        fd = os.open(self._top, _FOLDER)
        for part in parts:
            try:
                following = os.open(part, _FOLDER, dir_fd=fd)
            except OSError:
                raise Gone from None
            finally:
                os.close(fd)
            fd = following
        return fd

    @contextmanager
    def _parent(self, rel: str) -> Iterator[tuple[int, str]]:
        parent, _, name = rel.rpartition("/")
        fd = self._open_folder(parent)
        try:
            yield fd, name
        finally:
            os.close(fd)


CHUNK = 1 << 20
"""Bytes read at a time."""


def read_up_to(fd: int, limit: int) -> bytes:
    """What can be read, at most `limit` bytes and one more."""
    pieces, left = [], limit + 1
    while left > 0 and (piece := os.read(fd, min(left, CHUNK))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def digest_of(fd: int) -> bytes:
    """The hash of all that can be read."""
    return digest(iter(lambda: os.read(fd, CHUNK), b""))


_KINDS = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l"}


def _found(looked: os.stat_result, verdict: Verdict = Verdict.IN) -> Found:
    return Found(
        _KINDS.get(stat.S_IFMT(looked.st_mode), "o"),
        stat.S_IMODE(looked.st_mode),
        looked.st_size,
        looked.st_mtime_ns,
        looked.st_ctime_ns,
        looked.st_ino,
        verdict,
    )
