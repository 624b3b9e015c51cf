"""Writes what came out of the sandbox into the workspace: each path wholly or not at all, nothing overwritten unseen.

Every folder is opened from its parent without following links. A file is written beside its place, complete, and then
exchanged with what stands there (swap.py); what was taken out is looked at, and if it is not the version that was
reviewed it is put back. A crash leaves the old file or the new one, and at worst a `.continue-exec-*.tmp` beside it, of
which the next engine knows by the journal (`Home.recover`).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import Conflict, ContinueExecError, DiskFull, HostUnready, Refused
from . import guard, swap
from .folder import Gone, SafeFolder, digest_of, kind_of
from .homecoming import NOT_MADE, TAKEN, Journal, NoJournal, Note
from .swap import ABSENT, Standing

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER_MODE = 0o755
"""Of folders that no change describes, as the agent makes them."""


class Home:
    """One workspace on the host.

    Args:
        root: its path, links resolved.
        journal: tells the next engine what this one was at.
    """

    def __init__(self, root: str, journal: Journal | None = None) -> None:
        self.root = root
        self.journal = journal or NoJournal()
        self.files = SafeFolder(Path(root))
        self._names = _Names()

    def put_file(self, path: str, write: Callable[[int], None], mode: int, expected: Standing) -> None:
        """Make or replace a file. `write` fills the descriptor it is given; `mode` is permission bits, 0o777.

        Raises:
            Conflict: something else than `expected` stands there.
            Refused: the path leads through a link, or its name clashes with another.
            DiskFull, HostUnready: it cannot be written. Nothing was changed.
        """

        def make(folder: int, temporary: str) -> None:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(temporary, flags, 0o600, dir_fd=folder)
            try:
                write(fd)
                os.fchmod(fd, mode & 0o777)
            finally:
                os.close(fd)

        self._put(path, make, expected)

    def put_link(self, path: str, target: str, expected: Standing) -> None:
        """Make or replace a symbolic link.

        Raises:
            Conflict, Refused, DiskFull, HostUnready: as `put_file`.
        """
        if why := self.leads_out(path, target):
            raise Refused(f"{path} cannot come home: {why}")
        self._put(path, lambda folder, temporary: os.symlink(target, temporary, dir_fd=folder), expected)

    def put_folder(self, path: str, mode: int, expected: Standing) -> None:
        """Make a folder, also in the place of a file or link; one that is there gets the mode.

        Raises:
            Conflict, Refused, DiskFull, HostUnready: as `put_file`.
        """
        if expected[0] == "d":
            self.set_mode(path, mode, expected)
        else:
            self._put(path, lambda folder, temporary: os.close(_make_folder(folder, temporary, mode)), expected)

    def set_mode(self, path: str, mode: int, expected: Standing) -> None:
        """Give a file or folder other permission bits. A folder keeps its sticky and set-group-id bits.

        Raises:
            Conflict: something else than `expected` stands there.
        """
        try:
            with self._parent(path) as (folder, name):
                self._set_mode(folder, name, path, mode, expected)
        except _Nowhere:
            raise Conflict(f"{path} has gone from the host") from None

    def _set_mode(self, folder: int, name: str, path: str, mode: int, expected: Standing) -> None:
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except OSError:
            raise Conflict(f"{path} has changed on the host, or cannot be read") from None
        try:
            found = os.fstat(fd).st_mode
            kind = kind_of(os.fstat(fd))
            if (kind, digest_of(fd) if kind == "f" else b"") != expected:
                raise Conflict(f"{path} has changed on the host")
            os.fchmod(fd, mode & 0o777 | (found & 0o7000 if stat.S_ISDIR(found) else 0))
        except Gone:
            raise Conflict(f"{path} is changing on the host") from None
        finally:
            os.close(fd)

    def remove(self, path: str, expected: Standing) -> None:
        """Delete a file or link, or a folder that is empty. What is not there is deleted already.

        Raises:
            Conflict: something else than `expected` stands there, or the folder is not empty.
            Refused, HostUnready: as `put_file`.
        """
        with suppress(_Nowhere), self._parent(path) as (folder, name):
            taken = swap.temporary()
            if expected[0] != "d":
                self._note(path, taken, TAKEN, expected)
            swap.take(folder, name, taken, path, expected)

    def prune(self, path: str, stays: Callable[[str], bool]) -> list[str]:
        """Remove the folders above a deleted path that are empty and that `stays` does not hold; returns them."""
        gone = []
        while (path := path.rpartition("/")[0]) and not stays(path):
            try:
                with self._parent(path) as (folder, name):
                    os.rmdir(name, dir_fd=folder)
            except (ContinueExecError, _Nowhere):
                break
            gone.append(path)
        return gone

    def check_links(self, path: str) -> None:
        """See to it that a path does not lead through a link, for those who will not look themselves.

        Raises:
            Refused: it does, or that cannot be told.
        """
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            try:
                found = self.files.stat("/".join(parts[:depth]))
            except OSError as error:
                raise Refused(f"{path} cannot be looked at on the host: {error.strerror}") from None
            if found is not None and stat.S_ISLNK(found.st_mode):
                raise Refused(f"{parts[depth - 1]}, on the way to {path}, is a link on the host")

    def leads_out(self, path: str, target: str) -> str:
        """Whether a link would lead out of the workspace as it is on the host, by way of links there; in words.

        `guard.refusal` has seen to the target itself: `..` comes first in it or not at all, so that each further
        component goes down, and can lead out only if it is a link.
        """
        seen = 0
        todo = [(path, target)]
        while todo:
            path, target = todo.pop()
            if why := guard.refusal(path, "l", 0, target):
                return why
            parts = [part for part in guard.leads_to(path, target).split("/") if part not in ("", ".")]
            for depth in range(1, len(parts) + 1):
                above = "/".join(parts[:depth])
                try:
                    found = self.files.stat(above)
                    if found is None or not stat.S_ISLNK(found.st_mode):
                        continue
                    seen += 1
                    if seen > _MOST_LINKS:
                        return "it leads through too many links"
                    beyond = self.files.target(above)
                except (Gone, OSError):
                    return f"it leads through {above}, which cannot be looked at"
                if why := guard.refusal(above, "l", 0, beyond):
                    return f"it leads through {above}: {why}"
                todo.append((above, "/".join([beyond, *parts[depth:]])))
                break
        return ""

    def _put(self, path: str, make: Callable[[int, str], None], expected: Standing) -> None:
        try:
            with self._parent(path, make=True) as (folder, name):
                self._check_name(folder, name, expected)
                made = swap.temporary()
                self._note(path, made, NOT_MADE, expected)
                try:
                    make(folder, made)
                    swap.own(folder, made, name)
                    self._note(path, made, swap.identity(folder, made)[1], expected)
                    swap.put(folder, made, name, path, expected)
                finally:
                    swap.discard(folder, made)
                if expected == ABSENT:
                    self._names.add(folder, name)
        except _Nowhere:
            raise HostUnready(f"The workspace {self.root} is not there") from None

    def _note(self, path: str, temporary: str, inode: int, expected: Standing) -> None:
        self.journal.note(Note(path, temporary, inode, expected[0], expected[1].hex()))

    def recover(self) -> str:
        """Put in order what a crash left in the middle of writing one file.

        Ours goes; what stood there and was reviewed goes too, as its successor is in place. What stood there and was
        never seen by anybody comes back, or if that place is taken, beside it under a name that shows.

        Returns:
            That name; empty: nothing had to be kept.
        """
        note = self.journal.read()
        kept = ""
        if note is not None:
            # Where the folder is gone, or no longer ours to write to, nothing of it can be left.
            with suppress(_Nowhere, ContinueExecError), self._parent(note.path) as (folder, name):
                for left in (note.temporary, note.temporary + swap.ASIDE):
                    kept = swap.put_in_order(folder, name, left, note) or kept
        self.journal.clear()
        return kept

    def _check_name(self, folder: int, name: str, expected: Standing) -> None:
        if expected != ABSENT:
            return
        if other := guard.clash(name, self._names.of(folder)):
            raise Refused(
                f"{name} and {other}, which is there already, are one name to some file systems",
                hint="Rename it in the sandbox.",
            )

    @contextmanager
    def _parent(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """The folder of a path, opened from the root on, and the last name."""
        if why := guard.refusal(path, "f", 0):
            raise Refused(f"{path} cannot come home: {why}")
        parent, _, name = path.rpartition("/")
        with _mapped(path):
            fd = os.open(self.root, _FOLDER)
            try:
                for part in filter(None, parent.split("/")):
                    following = self._step(fd, part, path, make)
                    os.close(fd)
                    fd = following
                yield fd, name
            finally:
                os.close(fd)

    def _step(self, fd: int, part: str, path: str, make: bool) -> int:
        """The folder `part` in an open one, made if that is asked for."""
        try:
            return os.open(part, _FOLDER, dir_fd=fd)
        except FileNotFoundError:
            if not make:
                raise
        except OSError as error:
            # Linux says ENOTDIR of a link as well.
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            if stat.S_ISLNK(os.stat(part, dir_fd=fd, follow_symlinks=False).st_mode):
                raise Refused(f"{part}, on the way to {path}, is a link on the host") from None
            raise Conflict(f"{part}, on the way to {path}, is no folder on the host") from None
        self._check_name(fd, part, ABSENT)
        made = _make_folder(fd, part, _FOLDER_MODE)
        swap.own(fd, part, "")
        self._names.add(fd, part)
        return made


class _Nowhere(Exception):
    """A folder on the way is not there."""


_MOST_LINKS = 40
"""As the kernel's own limit, path_resolution(7)."""


class _Names:
    """What is in the folder that was last written to, so that a thousand new files do not list it a thousand times."""

    def __init__(self) -> None:
        self._folder = (0, 0, 0)
        self._names: dict[str, list[str]] = {}

    def of(self, folder: int) -> guard.Names:
        if self._folder != _state(folder):
            self._folder = _state(folder)
            self._names = guard.names(os.listdir(folder))
        return self._names

    def add(self, folder: int, name: str) -> None:
        """We ourselves made a name there."""
        if self._folder[:2] == _state(folder)[:2]:
            self._names.setdefault(guard.folded(name), []).append(name)
            self._folder = _state(folder)


def _state(folder: int) -> tuple[int, int, int]:
    found = os.fstat(folder)
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _make_folder(folder: int, name: str, mode: int) -> int:
    """Make a folder with just these bits, whatever the engine's own umask; returns it, open."""
    os.mkdir(name, 0o700, dir_fd=folder)
    fd = os.open(name, _FOLDER, dir_fd=folder)
    try:
        # In a folder with the set-group-id bit it has that too, and shall.
        os.fchmod(fd, mode & 0o777 | os.fstat(fd).st_mode & 0o2000)
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextmanager
def _mapped(path: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise _Nowhere from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"No room for {path} on the host") from None
        raise HostUnready(
            f"{path} cannot be written on the host: {error.strerror}", hint="Look at its permissions, then try again."
        ) from None
