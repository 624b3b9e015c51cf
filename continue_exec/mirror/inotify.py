"""inotify(7), read directly.

The kernel queues an event before the system call that caused it returns. So what is in the queue now is all that
happened, and a flush need not wait for a polling thread (docs/decisions/0003-watching-and-ignore-rules.md). Only what
is mirrored is watched. What it does not see: writes through mmap(2) until the file is closed, and changes by other
hosts on network file systems.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import logging
import os
import struct
from collections.abc import Callable

from .watch import Changes

log = logging.getLogger(__name__)

# sys/inotify.h
_MODIFY, _ATTRIB, _CLOSE_WRITE = 0x2, 0x4, 0x8
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF = 0x400, 0x800
_UNMOUNT, _Q_OVERFLOW, _IGNORED, _ISDIR = 0x2000, 0x4000, 0x8000, 0x4000_0000
_ONLYDIR, _DONT_FOLLOW, _EXCL_UNLINK = 0x0100_0000, 0x0200_0000, 0x0400_0000
_MASK = (
    _MODIFY
    | _ATTRIB
    | _CLOSE_WRITE
    | _MOVED_FROM
    | _MOVED_TO
    | _CREATE
    | _DELETE
    | _DELETE_SELF
    | _MOVE_SELF
    | _ONLYDIR
    | _DONT_FOLLOW
    | _EXCL_UNLINK
)

_EVENT = struct.Struct("iIII")
_BUFFER = 256 * 1024


class InotifyWatcher:
    """Exact.

    Raises:
        OSError: the user's number of inotify instances is used up.
    """

    def __init__(self, root: str) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._add_watch = libc.inotify_add_watch
        self._add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
        self._remove_watch = libc.inotify_rm_watch
        self._remove_watch.argtypes = (ctypes.c_int, ctypes.c_int)
        self._fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code) + ": see fs.inotify.max_user_instances")
        self._root = root
        self._folders: dict[int, str] = {}
        self._watches: dict[str, int] = {}
        self.exact = True
        self.note = ""
        self._closed = asyncio.Event()
        self._wake: Callable[[], None] | None = None

    def add(self, folder: str) -> None:
        """Watch a folder. When the kernel has no watches left, `exact` becomes false and `note` says why."""
        if not self.exact:
            return
        path = os.fsencode(os.path.join(self._root, folder) if folder else self._root)
        watch = self._add_watch(self._fd, path, _MASK)
        if watch < 0:
            code = ctypes.get_errno()
            if code in (errno.ENOSPC, errno.ENOMEM):
                self._give_up(code)
            # Gone, replaced or unreadable: reading it, which follows, says the same.
            return
        # The same inode under another name (it was moved, and the news is still in the queue): the new name counts.
        old = self._folders.get(watch)
        if old is not None and old != folder:
            self._watches.pop(old, None)
        # Another inode under the same name: whatever watched the old one no longer speaks for this name.
        stale = self._watches.get(folder)
        if stale is not None and stale != watch:
            self._forget(stale)
        self._folders[watch] = folder
        self._watches[folder] = watch

    def watching(self, folder: str) -> bool:
        """Whether the folder is watched; one that was replaced is not, once that has been drained."""
        return folder in self._watches

    def drain(self) -> Changes:
        """Everything up to this call."""
        changes = Changes()
        if not self.exact:
            return changes
        while True:
            try:
                data = os.read(self._fd, _BUFFER)
            except BlockingIOError:
                return changes
            self._read(data, changes)
            if len(data) < _BUFFER // 2:
                # Events are never split: a short read emptied the queue. Later events belong to the next call.
                return changes

    async def wait(self) -> None:
        """Until the queue holds something. Costs nothing meanwhile."""
        if not self.exact:
            await self._closed.wait()
            return
        loop = asyncio.get_running_loop()
        ready = loop.create_future()

        def wake() -> None:
            if not ready.done():
                ready.set_result(None)

        loop.add_reader(self._fd, wake)
        self._wake = wake
        try:
            await ready
        finally:
            self._wake = None
            if self._fd >= 0:
                loop.remove_reader(self._fd)

    def close(self) -> None:
        """Close the queue."""
        if self._fd >= 0:
            if self._wake is not None:
                asyncio.get_running_loop().remove_reader(self._fd)
                self._wake()
            os.close(self._fd)
            self._fd = -1
        self.exact = False
        self._closed.set()

    def _read(self, data: bytes, changes: Changes) -> None:
        at = 0
        while at < len(data):
            watch, mask, _, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size
            name = data[at : at + length].rstrip(b"\0") if length else b""
            at += length
            if mask & _Q_OVERFLOW:
                changes.rescan = True
                continue
            folder = self._folders.get(watch)
            if folder is None:
                continue  # of a watch given up meanwhile; its folder was reported by its parent
            if mask & _IGNORED:
                self._forget(watch)
            elif not name:
                changes.paths.add(folder)
                if mask & _UNMOUNT or (not folder and mask & (_DELETE_SELF | _MOVE_SELF)):
                    changes.rescan = True
            else:
                path = f"{folder}/{os.fsdecode(name)}" if folder else os.fsdecode(name)
                changes.paths.add(path)
                if mask & _ISDIR:
                    if mask & _MOVED_FROM:
                        self._leave(path)
                    elif mask & (_CREATE | _MOVED_TO):
                        changes.trees.add(path)

    def _leave(self, path: str) -> None:
        """A folder was moved away: its watches would report under the old name."""
        below = path + "/"
        for folder in [key for key in self._watches if key == path or key.startswith(below)]:
            watch = self._watches[folder]
            self._forget(watch)
            self._remove_watch(self._fd, watch)

    def _forget(self, watch: int) -> None:
        folder = self._folders.pop(watch, None)
        if folder is not None and self._watches.get(folder) == watch:
            del self._watches[folder]

    def _give_up(self, code: int) -> None:
        words = "no inotify watches are left" if code == errno.ENOSPC else os.strerror(code)
        self.note = (
            f"{words} (fs.inotify.max_user_watches): every run looks at all files, live updates are off; "
            "`sysctl fs.inotify.max_user_watches=1048576` mends it"
        )
        log.warning("%s: %s", self._root, self.note)
        self.exact = False
        self._folders.clear()
        self._watches.clear()
        os.close(self._fd)
        self._fd = -1
