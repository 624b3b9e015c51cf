"""One name in an open folder: what stands there, and putting something else there if it is what was expected.

Nothing is overwritten unseen: what stood there is taken out by the same rename that brings the new (renameat2(2)), and
is looked at only then. If it is not what was expected it is put back.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import stat
from contextlib import suppress

from ..errors import Conflict
from .filter import TEMPORARY
from .folder import Gone, digest_of
from .homecoming import NOT_MADE, TAKEN, Note
from .state import digest

_NOREPLACE, _EXCHANGE = 1, 2
_UNABLE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)

_libc = ctypes.CDLL(None, use_errno=True)

Standing = tuple[str, bytes]
"""Kind (`f`, `d`, `l`, `o`; "": nothing) and digest of what stands at a path."""

ABSENT: Standing = ("", b"")
"""Kind and digest of a path that is not there."""

ASIDE = ".old.tmp"
"""Ends the name of what stood there, for a moment, on file systems that cannot exchange two names."""

_UNKNOWN: Standing = ("?", b"")
"""What changes, or cannot be read: never what was expected."""


def temporary() -> str:
    """A name for what is not complete; as short as the shortest that a file system takes, and nobody's guess."""
    return f"{TEMPORARY}{secrets.token_hex(6)}.tmp"


def standing(folder: int, name: str) -> Standing:
    """What is at a name now."""
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
    except OSError:
        return _UNKNOWN
    try:
        return ("f", digest_of(fd)) if stat.S_ISREG(os.fstat(fd).st_mode) else _UNKNOWN
    except (Gone, OSError):
        return _UNKNOWN
    finally:
        os.close(fd)


def put(folder: int, made: str, name: str, path: str, expected: Standing) -> None:
    """Bring `made` to `name`. Afterwards `made`, if it is there, is nobody's and can be discarded.

    Raises:
        Conflict: something else than `expected` stands there. It stays.
        OSError: it cannot be done; nothing has changed.
    """
    if expected[0] in ("", "d"):
        if expected[0]:
            try:
                os.rmdir(name, dir_fd=folder)  # what takes a folder's place must find it empty
            except OSError as error:
                raise Conflict(f"The folder {path} cannot make way: {error.strerror}") from None
        try:
            _rename(folder, made, name, _NOREPLACE)
        except FileExistsError:
            raise Conflict(f"{path} has come into being on the host") from None
        return
    ours = identity(folder, made)
    try:
        _rename(folder, made, name, _EXCHANGE)
    except FileNotFoundError:
        raise Conflict(f"{path} has gone from the host") from None
    if standing(folder, made) == expected:
        return
    try:
        _rename(folder, made, name, _EXCHANGE)
        if identity(folder, made) == ours:
            raise Conflict(f"{path} has changed on the host")
        # Saved over ours meanwhile: the newest belongs there, and what was before it is kept.
        _rename(folder, made, name, _EXCHANGE)
        kept = _keep(folder, made)
    except OSError:
        kept = _keep(folder, made)
    raise Conflict(f"{path} was being changed on the host", hint=f"What stood there before is beside it, as {kept}.")


def take(folder: int, name: str, taken: str, path: str, expected: Standing) -> None:
    """Delete what is at a name: a file or link, or an empty folder. What is not there is deleted already.

    Args:
        taken: a temporary name for it.

    Raises:
        Conflict: something else than `expected` stands there, or the folder is not empty. It stays.
        OSError: it cannot be done.
    """
    if expected[0] == "d":
        try:
            os.rmdir(name, dir_fd=folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise Conflict(f"{path} cannot be removed: {error.strerror}") from None
        return
    try:
        _rename(folder, name, taken, _NOREPLACE)
    except FileNotFoundError:
        return
    if standing(folder, taken) == expected:
        os.unlink(taken, dir_fd=folder)
        return
    try:
        _rename(folder, taken, name, _NOREPLACE)
    except OSError:
        kept = _keep(folder, taken)
        raise Conflict(
            f"{path} was being changed on the host", hint=f"What stood there before is beside it, as {kept}."
        ) from None
    raise Conflict(f"{path} has changed on the host")


def own(folder: int, made: str, name: str) -> None:
    """Give what was made the owner of what it replaces; as root, what is new gets its folder's."""
    with suppress(OSError):
        try:
            like = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            if os.geteuid() != 0:
                return
            like = os.fstat(folder)
        mine = os.stat(made, dir_fd=folder, follow_symlinks=False)
        uid = like.st_uid if os.geteuid() == 0 else -1
        if (mine.st_uid, mine.st_gid) != (like.st_uid, like.st_gid):
            os.chown(made, uid, like.st_gid, dir_fd=folder, follow_symlinks=False)


def discard(folder: int, made: str) -> None:
    """Delete what `put` has left under a temporary name, if anything."""
    try:
        os.unlink(made, dir_fd=folder)
    except (IsADirectoryError, PermissionError):  # POSIX says the latter of a folder
        with suppress(OSError):
            os.rmdir(made, dir_fd=folder)
    except OSError:
        pass


def put_in_order(folder: int, name: str, left: str, note: Note) -> str:
    """What a crash left under the temporary name `left`; returns the name under which it had to be kept, if it had to.

    Raises:
        OSError: it cannot be done.
    """
    try:
        inode = identity(folder, left)[1]
    except FileNotFoundError:
        return ""
    ours = note.inode != TAKEN and note.inode in (NOT_MADE, inode)
    reviewed = standing(folder, left) == (note.kind, bytes.fromhex(note.digest))
    there = identity(folder, name)[1] if standing(folder, name) != ABSENT else 0
    if ours or (reviewed and (note.inode == TAKEN or there)):
        discard(folder, left)
        return ""
    if note.inode != TAKEN and there == note.inode:
        _rename(folder, left, name, _EXCHANGE)
        discard(folder, left)
        return ""
    shown = name
    while True:
        try:
            _rename(folder, left, shown, _NOREPLACE)
        except FileExistsError:
            shown = f"{name}.kept-{secrets.token_hex(3)}"
            continue
        return shown if shown != name else ""


def identity(folder: int, name: str) -> tuple[int, int]:
    """Device and inode.

    Raises:
        OSError: nothing is there.
    """
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    return found.st_dev, found.st_ino


def _keep(folder: int, made: str) -> str:
    """Out of reach of `discard`."""
    kept = f"{made.removesuffix('.tmp')}-kept.tmp"
    with suppress(OSError):
        os.rename(made, kept, src_dir_fd=folder, dst_dir_fd=folder)
    return kept


def _rename(folder: int, old: str, new: str, flag: int) -> None:
    """renameat2(2) within a folder; where the file system has no such thing, the nearest that there is."""
    if hasattr(_libc, "renameat2"):
        if _libc.renameat2(folder, os.fsencode(old), folder, os.fsencode(new), flag) == 0:
            return
        number = ctypes.get_errno()
        if number not in _UNABLE:
            raise OSError(number, os.strerror(number), new)
    if flag == _EXCHANGE:
        # Three renames: for a moment the place is empty, and what comes there then is not replaced.
        aside = old + ASIDE
        os.rename(new, aside, src_dir_fd=folder, dst_dir_fd=folder)
        try:
            _rename_to_nothing(folder, old, new)
        except OSError:
            with suppress(OSError):
                _rename_to_nothing(folder, aside, new)
            raise
        os.rename(aside, old, src_dir_fd=folder, dst_dir_fd=folder)
        return
    _rename_to_nothing(folder, old, new)


def _rename_to_nothing(folder: int, old: str, new: str) -> None:
    try:
        # A hard link is never made over something.
        os.link(old, new, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        raise
    except FileNotFoundError:
        raise
    except OSError:  # a folder, or a file system without hard links
        try:
            os.stat(new, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            os.rename(old, new, src_dir_fd=folder, dst_dir_fd=folder)
            return
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new) from None
    os.unlink(old, dir_fd=folder)
