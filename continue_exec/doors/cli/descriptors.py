"""Raw bytes from and to file descriptors that belong to someone else, without ever blocking the event loop.

A terminal or pipe is shared with the shell and its other programs, so O_NONBLOCK may not be set on it: that
would be set for them, too (open(2): it belongs to the open file description). Opening it anew through
/proc gives a description of our own. Where that is impossible (another user's terminal after `su`, a
socket) small pieces are written when poll says so: up to PIPE_BUF bytes then fit.
"""

from __future__ import annotations

import asyncio
import os
import select
import stat
from collections.abc import Callable

CHUNK = 64 * 1024


class Output:
    """A descriptor to write to."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._own = -1
        self._piece = 0
        """Bytes per write after waiting; 0: write all at once, it is ours or does not block."""
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            try:
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
                self._fd = self._own = os.open(f"/proc/self/fd/{fd}", flags)
            except OSError:
                self._piece = select.PIPE_BUF

    async def write(self, data: bytes) -> None:
        """Write all of it, however slowly it is read.

        Raises:
            BrokenPipeError: nobody reads any more.
            OSError: the disk is full, the terminal is gone.
        """
        view = memoryview(data)
        while view:
            if self._piece:
                await _ready(self._fd, write=True)
            try:
                written = os.write(self._fd, view[: self._piece] if self._piece else view)
            except BlockingIOError:
                await _ready(self._fd, write=True)
                continue
            view = view[written:]

    def close(self) -> None:
        """Close what was opened here; the descriptor itself stays open."""
        if self._own >= 0:
            os.close(self._own)
            self._own = self._fd = -1


class Input:
    """A descriptor to read from."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    async def read(self) -> bytes:
        """The next bytes, as soon as there are any; empty at the end of file, or when the terminal is gone."""
        await _ready(self._fd, write=False)
        try:
            return os.read(self._fd, CHUNK)
        except OSError:  # EIO: hung up; EBADF: closed by whoever started us
            return b""


async def _ready(fd: int, *, write: bool) -> None:
    """Wait until `fd` can be read or written; at once for what epoll does not know (files, /dev/null)."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    remove: Callable[[int], bool]
    try:
        if write:
            loop.add_writer(fd, ready.set)
            remove = loop.remove_writer
        else:
            loop.add_reader(fd, ready.set)
            remove = loop.remove_reader
    except OSError:
        return
    try:
        await ready.wait()
    finally:
        remove(fd)
