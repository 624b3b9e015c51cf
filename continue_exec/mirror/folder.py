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
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .filter import Filter, Verdict
from .state import digest
from .walk import LeftOut

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)

DEEPEST = 128
"""Folders below one another that a scan goes down; one descriptor each. No tool makes so many."""
MOST = 500_000
"""Files that a scan looks at besides those that were mirrored: about 200 MB and 2 s."""


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

    def scan(
        self, rules: Filter, left_out: LeftOut, stopped: Callable[[], bool] = lambda: False, *, known: int = 0
    ) -> dict[str, Found]:
        """Everything that the mirror's rules let in, and secrets, by path. Blocks: 3 µs a file.

        What is below a path that is put into `left_out` (`.`: all of it) is not known, which is not the same as gone.

        Args:
            known: files that are expected there; MOST more are looked at.

        Raises:
            Gone: `stopped` said so.
        """
        scan = _Scan(rules, left_out, MOST + 2 * known, {})
        open_folders: list[tuple[int, list[str]]] = []  # on the way down, each with the folders in it still to come
        try:
            try:
                open_folders.append((self._open_folder(""), []))
                open_folders[0][1].extend(scan.folder("", open_folders[0][0]))
            except (Gone, OSError):
                left_out["."] = "the workspace's folder is not there, or cannot be read"
            while open_folders and not scan.full:
                fd, folders = open_folders[-1]
                if not folders:
                    os.close(open_folders.pop()[0])
                    continue
                if stopped():
                    raise Gone
                path = folders.pop()
                if len(open_folders) > DEEPEST:
                    left_out[path] = f"more than {DEEPEST} folders deep"
                    continue
                try:
                    open_folders.append((os.open(path.rpartition("/")[2], _FOLDER, dir_fd=fd), []))
                    open_folders[-1][1].extend(scan.folder(path, open_folders[-1][0]))
                except OSError as error:
                    # Gone or replaced since it was listed: nor is it known what becomes of it.
                    left_out[path] = "it is changing" if error.errno in _GONE else f"unreadable: {error.strerror}"
        finally:
            for fd, _ in open_folders:
                os.close(fd)
            rules.trim()
        return scan.found

    def stat(self, rel: str) -> os.stat_result | None:
        """Of what stands at a path, links not followed; None: nothing.

        Raises:
            OSError: that cannot be told.
        """
        try:
            with self._parent(rel) as (fd, name):
                return os.stat(name, dir_fd=fd, follow_symlinks=False)
        except Gone:
            return None
        except OSError as error:
            if error.errno in (*_GONE, errno.ENAMETOOLONG):
                return None
            raise

    def look(self, rel: str) -> Found | None:
        """What stands at a path; None: nothing.

        Raises:
            OSError: that cannot be told.
        """
        looked = self.stat(rel)
        return None if looked is None else _found(looked)

    def names(self, rel: str) -> list[str]:
        """What is in a folder; nothing in what is none.

        Raises:
            OSError: it cannot be read.
        """
        try:
            fd = self._open_folder(rel)
        except Gone:
            return []
        try:
            return os.listdir(fd)
        finally:
            os.close(fd)

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
            OSError: it cannot be read.
        """
        with self._parent(rel) as (fd, name):
            try:
                return os.readlink(name, dir_fd=fd)
            except OSError as error:
                if error.errno in (*_GONE, errno.EINVAL):
                    raise Gone from None
                raise

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
            except OSError as error:
                if error.errno in (*_GONE, errno.ENAMETOOLONG):
                    raise Gone from None
                raise
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


@dataclass
class _Scan:
    """One scan under way. The host's own rules decide: an ignore file that was written inside hides nothing."""

    rules: Filter
    left_out: LeftOut
    most: int
    found: dict[str, Found]
    _names: int = 0
    full: bool = False

    def folder(self, rel: str, fd: int) -> list[str]:
        """Add what is in one folder; returns the folders in it that are to be looked into."""
        scope = self.rules.scope(rel)
        inner = []
        with os.scandir(fd) as listing:
            for entry in listing:
                name = entry.name
                self._names += 1
                # Names that the rules leave out take no memory, only time.
                if len(self.found) >= self.most or self._names > 4 * self.most:
                    self.left_out["."] = f"more than {self.most} files: not all were looked at"
                    self.full = True
                    break
                try:
                    looked = entry.stat(follow_symlinks=False)
                except OSError as error:
                    if error.errno not in _GONE:
                        self.left_out[scope.prefix + name] = f"unreadable: {error.strerror}"
                    continue
                folder = stat.S_ISDIR(looked.st_mode)
                verdict = self.rules.decide(scope, name, folder)
                if verdict is Verdict.OUT:
                    continue
                path = scope.prefix + name
                if verdict is not Verdict.THROUGH:
                    self.found[path] = _found(looked, verdict)
                if folder and verdict is not Verdict.SECRET:
                    inner.append(path)
        return inner


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
    """The hash of a file's bytes, from where it stands.

    Raises:
        Gone: it grew meanwhile. A file that somebody appends to without end keeps nobody busy without end.
    """
    return digest(pieces_of(fd, os.fstat(fd).st_size))


def pieces_of(fd: int, size: int) -> Iterator[bytes]:
    """A file's bytes in pieces.

    Raises:
        Gone: there are more than `size`; nothing beyond was read.
    """
    while piece := os.read(fd, min(CHUNK, size + 1)):
        size -= len(piece)
        if size < 0:
            raise Gone
        yield piece


_KINDS = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l"}


def kind_of(looked: os.stat_result) -> str:
    """`f`, `d`, `l` or `o`, as in Found."""
    return _KINDS.get(stat.S_IFMT(looked.st_mode), "o")


def _found(looked: os.stat_result, verdict: Verdict = Verdict.IN) -> Found:
    return Found(
        kind_of(looked),
        stat.S_IMODE(looked.st_mode),
        looked.st_size,
        looked.st_mtime_ns,
        looked.st_ctime_ns,
        looked.st_ino,
        verdict,
    )
