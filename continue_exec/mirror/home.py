"""Writes what came out of the sandbox into the workspace: each path wholly or not at all, nothing overwritten unseen.

Every folder is opened from its parent without following links. A file is written beside its place, complete, and then
exchanged with what stands there (renameat2(2)); what was taken out is looked at, and if it is not the version that was
reviewed it is put back. A crash leaves the old file or the new one, and at worst a `.continue-exec-*.tmp` beside it, of
which the next engine knows by the journal (`Home.recover`).
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import Conflict, ContinueExecError, DiskFull, HostUnready, Refused
from . import guard
from .filter import TEMPORARY
from .folder import SafeFolder, digest_of
from .homecoming import NOT_MADE, TAKEN, Journal, NoJournal, Note
from .state import digest

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER_MODE = 0o755
"""Of folders that no change describes, as the agent makes them."""
_NOREPLACE, _EXCHANGE = 1, 2
_UNABLE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)

ASIDE = ".old.tmp"
"""What stood at the path, for a moment, on file systems that cannot exchange two names."""

_libc = ctypes.CDLL(None, use_errno=True)

ABSENT = ("", b"")
"""Kind and digest of a path that is not there."""

Standing = tuple[str, bytes]
"""Kind (`f`, `d`, `l`, `o`; "": nothing) and digest of what stands at a path."""


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

    def standing(self, path: str) -> Standing:
        """What is at a path now."""
        found = self.files.look(path)
        if found is None:
            return ABSENT
        return found.kind, self.files.digest(path, found.kind) if found.kind in ("f", "l") else b""

    def put_file(self, path: str, write: Callable[[int], None], mode: int, expected: Standing) -> None:
        """Make or replace a file. `write` fills the descriptor it is given; `mode` is permission bits, 0o777.

        Raises:
            Conflict: something else than `expected` stands there.
            Refused: the path leads through a link, or its name clashes with another.
            DiskFull, HostUnready: it cannot be written. Nothing was changed.
        """
        with self._parent(path, make=True) as (folder, name):
            self._check_name(folder, name, expected)
            temporary = f"{TEMPORARY}{secrets.token_hex(6)}.tmp"
            self._note(path, temporary, NOT_MADE, expected)
            fd = os.open(
                temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
            )
            try:
                try:
                    self._note(path, temporary, os.fstat(fd).st_ino, expected)
                    write(fd)
                    os.fchmod(fd, mode & 0o777)
                finally:
                    os.close(fd)
                self._into_place(folder, temporary, name, path, expected)
            finally:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)

    def put_link(self, path: str, target: str, expected: Standing) -> None:
        """Make or replace a symbolic link.

        Raises:
            Conflict, Refused, DiskFull, HostUnready: as `put_file`.
        """
        with self._parent(path, make=True) as (folder, name):
            self._check_name(folder, name, expected)
            temporary = f"{TEMPORARY}{secrets.token_hex(6)}.tmp"
            self._note(path, temporary, NOT_MADE, expected)
            os.symlink(target, temporary, dir_fd=folder)
            try:
                made = os.stat(temporary, dir_fd=folder, follow_symlinks=False)
                self._note(path, temporary, made.st_ino, expected)
                self._into_place(folder, temporary, name, path, expected)
            finally:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)

    def put_folder(self, path: str, mode: int) -> None:
        """Make a folder, or give one that is there the mode.

        Raises:
            Conflict: something else stands there.
        """
        with self._parent(path, make=True) as (folder, name):
            self._check_name(folder, name, ABSENT)
            try:
                os.mkdir(name, dir_fd=folder)
            except FileExistsError:
                pass
            try:
                fd = os.open(name, _FOLDER, dir_fd=folder)
            except OSError:
                raise Conflict(f"{path} is no folder on the host") from None
            try:
                os.fchmod(fd, mode & 0o777)
            finally:
                os.close(fd)

    def set_mode(self, path: str, mode: int, expected: Standing) -> None:
        """Give a file or folder other permission bits.

        Raises:
            Conflict: something else than `expected` stands there.
        """
        with self._parent(path) as (folder, name):
            try:
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            except OSError:
                raise Conflict(f"{path} has changed on the host") from None
            try:
                kind = "d" if stat.S_ISDIR(os.fstat(fd).st_mode) else "f"
                if (kind, b"" if kind == "d" else digest_of(fd)) != expected:
                    raise Conflict(f"{path} has changed on the host")
                os.fchmod(fd, mode & 0o777)
            finally:
                os.close(fd)

    def remove(self, path: str, expected: Standing) -> None:
        """Delete a file or link, or a folder that is empty. What is not there is deleted already.

        Raises:
            Conflict: something else than `expected` stands there, or the folder is not empty.
        """
        try:
            with self._parent(path) as (folder, name):
                if expected[0] == "d":
                    self._remove_folder(folder, name, path)
                    return
                taken = f"{TEMPORARY}{secrets.token_hex(6)}.tmp"
                self._note(path, taken, TAKEN, expected)
                _rename(folder, name, taken, _NOREPLACE)
                if _standing(folder, taken) != expected:
                    _rename(folder, taken, name, _NOREPLACE)
                    raise Conflict(f"{path} has changed on the host")
                os.unlink(taken, dir_fd=folder)
        except FileNotFoundError:
            pass

    def prune(self, path: str, stays: Callable[[str], bool]) -> list[str]:
        """Remove the folders above a deleted path that are empty and that `stays` does not hold; returns them."""
        gone = []
        while (path := path.rpartition("/")[0]) and not stays(path):
            try:
                with self._parent(path) as (folder, name):
                    os.rmdir(name, dir_fd=folder)
            except (OSError, Conflict, Refused):
                break
            gone.append(path)
        return gone

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
        if note is not None and note.temporary.startswith(TEMPORARY) and "/" not in note.temporary:
            try:
                with self._parent(note.path) as (folder, name):
                    for left in (note.temporary, note.temporary + ASIDE):
                        kept = self._put_in_order(folder, name, left, note) or kept
            except (OSError, ContinueExecError):
                # The folder is gone, or no longer ours to write to: nothing of it can be left there.
                pass
        self.journal.clear()
        return kept

    def _put_in_order(self, folder: int, name: str, left: str, note: Note) -> str:
        try:
            inode = os.stat(left, dir_fd=folder, follow_symlinks=False).st_ino
        except FileNotFoundError:
            return ""
        ours = note.inode != TAKEN and (note.inode == NOT_MADE or inode == note.inode)
        reviewed = _standing(folder, left) == (note.kind, bytes.fromhex(note.digest))
        if ours or (reviewed and (note.inode == TAKEN or _inode(folder, name) != 0)):
            os.unlink(left, dir_fd=folder)
            return ""
        if note.inode != TAKEN and _inode(folder, name) == note.inode:
            _rename(folder, left, name, _EXCHANGE)
            os.unlink(left, dir_fd=folder)
            return ""
        shown = name
        while True:
            try:
                _rename(folder, left, shown, _NOREPLACE)
            except FileExistsError:
                shown = f"{name}.kept-{secrets.token_hex(3)}"
                continue
            return shown if shown != name else ""

    def _remove_folder(self, folder: int, name: str, path: str) -> None:
        try:
            os.rmdir(name, dir_fd=folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise Conflict(f"{path} cannot be removed: {error.strerror}") from None

    def _into_place(self, folder: int, temporary: str, name: str, path: str, expected: Standing) -> None:
        if expected == ABSENT:
            try:
                _rename(folder, temporary, name, _NOREPLACE)
            except FileExistsError:
                raise Conflict(f"{path} has come into being on the host") from None
            return
        if expected[0] == "d":
            # A folder in the place of which a file comes must be empty; the exchange brings it here.
            try:
                os.rmdir(name, dir_fd=folder)
            except OSError as error:
                raise Conflict(f"The folder {path} cannot make way: {error.strerror}") from None
            _rename(folder, temporary, name, _NOREPLACE)
            return
        try:
            _rename(folder, temporary, name, _EXCHANGE)
        except FileNotFoundError:
            raise Conflict(f"{path} has gone from the host") from None
        if _standing(folder, temporary) != expected:
            _rename(folder, temporary, name, _EXCHANGE)
            raise Conflict(f"{path} has changed on the host")

    def _check_name(self, folder: int, name: str, expected: Standing) -> None:
        if expected != ABSENT:
            return
        if other := guard.clash(name, os.listdir(folder)):
            raise Refused(
                f"{name} and {other}, which is there already, are one name to some file systems",
                hint="Rename it in the sandbox.",
            )

    @contextmanager
    def _parent(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """The folder of a path, opened from the root on, and the last name."""
        parent, _, name = path.rpartition("/")
        fd = os.open(self.root, _FOLDER)
        try:
            for part in filter(None, parent.split("/")):
                fd = self._step(fd, part, path, make)
            with _mapped(path):
                yield fd, name
        finally:
            os.close(fd)

    def _step(self, fd: int, part: str, path: str, make: bool) -> int:
        try:
            try:
                following = os.open(part, _FOLDER, dir_fd=fd)
            except FileNotFoundError:
                if not make:
                    raise
                self._check_name(fd, part, ABSENT)
                os.mkdir(part, dir_fd=fd)
                following = os.open(part, _FOLDER, dir_fd=fd)
                os.fchmod(following, _FOLDER_MODE)  # not as the engine's own umask would have it
        except NotADirectoryError:
            raise Conflict(f"{part}, on the way to {path}, is no folder on the host") from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise Refused(f"{part}, on the way to {path}, is a link on the host") from None
            raise
        os.close(fd)
        return following


@contextmanager
def _mapped(path: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"No room for {path} on the host") from None
        raise HostUnready(
            f"{path} cannot be written on the host: {error.strerror}", hint="Look at its permissions, then try again."
        ) from None


def _standing(folder: int, name: str) -> Standing:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            return "l", digest(os.fsencode(os.readlink(name, dir_fd=folder)))
        if stat.S_ISDIR(found.st_mode):
            return "d", b""
        if not stat.S_ISREG(found.st_mode):
            return "o", b""
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return ABSENT
    try:
        return "f", digest_of(fd)
    finally:
        os.close(fd)


def _inode(folder: int, name: str) -> int:
    """0: nothing is there."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_ino
    except OSError:
        return 0


def _rename(folder: int, old: str, new: str, flag: int) -> None:
    """renameat2(2) within a folder; where the file system has no such thing, the nearest that there is."""
    if hasattr(_libc, "renameat2"):
        if _libc.renameat2(folder, os.fsencode(old), folder, os.fsencode(new), flag) == 0:
            return
        number = ctypes.get_errno()
        if number not in _UNABLE:
            raise OSError(number, os.strerror(number), new)
    if flag == _EXCHANGE:
        # Three renames: for a moment the place is empty.
        aside = old + ASIDE
        os.rename(new, aside, src_dir_fd=folder, dst_dir_fd=folder)
        os.rename(old, new, src_dir_fd=folder, dst_dir_fd=folder)
        os.rename(aside, old, src_dir_fd=folder, dst_dir_fd=folder)
        return
    try:
        os.stat(new, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(old, new, src_dir_fd=folder, dst_dir_fd=folder)
        return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
