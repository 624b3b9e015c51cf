"""The first mirror of a sandbox that has never run, written on the host.

Before its first boot a sandbox's files are plain files of the host, and there they are written several times faster
than through gVisor (docs/decisions/0005-first-mirror-from-the-host.md). This module decides what is written; `agent
seed`, a subcommand of the agent's program that is run on the host, copies (sandbox_images/agent/seed.go has the
format). Only what it copied whole counts. What changes or fails meanwhile is left to the next flush.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from ..errors import DiskFull, SandboxFailed
from ..protocol.agent import PushItem
from . import secrets
from .batch import LARGE, Batch, Reader
from .state import Seen
from .walk import Tree, walk
from .watch import Watcher

_RECORD = struct.Struct("<BBHIqQ")
_ANSWER = struct.Struct("<IHBBIIqqqQ16s")

_SOURCE, _DESTINATION, _CHANGED = 1, 2, 3
"""What an answer says went wrong."""

_PIECE = 8 * 1024
"""Bytes of records that are sent at a time: some hundred files."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_CANNOT_RUN = (errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.ENOENT)
"""The program cannot be run on this host, though it may be inside: a file system that is mounted `noexec`."""


class Seeding:
    """One first mirror. `batch` holds, once `run` has returned, what is there and what is to be looked at again."""

    def __init__(self, reader: Reader, watcher: Watcher, buffers: Iterable[str]) -> None:
        """`buffers`: paths that an editor has texts for, which are left to the flush."""
        self._reader = reader
        self._watcher = watcher
        self._buffers = set(buffers)
        self._tree = Tree()
        self._sent: list[tuple[str, Seen | None]] = []
        """By number of record; None: what the copy is like is for the answer to say."""
        self._piece = bytearray()
        self._spawn: Callable[[], subprocess.Popen[bytes]]
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self.batch = Batch(again=self._buffers.copy())
        self.files = 0

    def run(self, program: Path, folder: Path, texts: Path | None = None) -> bool:
        """Write everything into `folder`, which is empty; False if `program` cannot be run here. Blocks.

        What is found is copied while the rest is looked for. `texts`: a file of Blobs, which gets the texts as well, so
        that what both sides change at once can be merged from the first moment on.

        Raises:
            DiskFull: no room; what was written so far counts for nothing.
            SandboxFailed: the program failed, or was ended by `stop`.
        """
        reader = self._reader
        # Answers and words go to memory, not to pipes: then there is nothing to be read while we write.
        with _memory() as answers, _memory() as words:
            kept = () if texts is None else (f"--texts={texts}",)
            argv = (str(program), "seed", f"--from={reader.root}", f"--to={folder}", *kept)
            self._spawn = lambda: subprocess.Popen(
                argv, bufsize=0, stdin=subprocess.PIPE, stdout=answers, stderr=words, env={}, cwd="/"
            )
            try:
                reader.rules.drop("")
                reader.left_out.drop("")
                # A program that is gone says why by its exit code and its words.
                with contextlib.suppress(BrokenPipeError):
                    walk(reader.root, "", reader.rules, self._watcher, reader.left_out, self._tree, self._folder)
                    self._end()
            except OSError as error:
                if self._process is None and error.errno in _CANNOT_RUN:
                    return False
                raise
            finally:
                code = self._ended()
            if code != 0 or answers.tell() != _ANSWER.size * len(self._sent):
                said = _all(words).decode(errors="replace").strip() or f"exit code {code}"
                raise SandboxFailed(f"The workspace {reader.root} could not be copied: {said}")
            self._take(_all(answers))
        return True

    def stop(self) -> None:
        """End `run`, which another thread is in."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()

    def _folder(self) -> None:
        """One folder has been read: records of what is in it."""
        folders, self._tree.folders = self._tree.folders, {}
        files, self._tree.files = self._tree.files, {}
        for path, found in folders.items():
            mode = stat.S_IMODE(found.st_mode) & 0o777
            self._add(b"d", path, mode, Seen("d", mode))
        for path, found in files.items():
            if path in self._buffers:
                continue
            if stat.S_ISREG(found.st_mode) and not self._looked_into(path, found):
                self._add(b"c", path, 0, None)
                continue
            one = Batch()
            self._reader.look(path, found, None, one)
            self.batch.again |= one.again
            for item in one.items:
                self._item(item, one.seen[item.entry.path])
        if len(self._piece) > _PIECE:
            self._write()

    def _write(self) -> None:
        if self._stopped:
            raise BrokenPipeError
        if self._process is None:
            self._process = self._spawn()
        assert self._process.stdin is not None
        view = memoryview(self._piece)
        while view:
            view = view[self._process.stdin.write(view) :]
        self._piece = bytearray()

    def _end(self) -> None:
        """All has been found. Without the last record the program has lost us, and ends at once."""
        if self._piece or self._process is not None:
            self._piece += _RECORD.pack(ord("e"), 0, 0, 0, 0, 0)
            self._write()

    def _ended(self) -> int:
        """Wait for the program's exit code."""
        if self._process is None:
            return 0 if not self._stopped else -1
        with self._process as process:  # closes its stdin
            if self._stopped:
                process.kill()
        return process.returncode

    @staticmethod
    def _looked_into(path: str, found: os.stat_result) -> bool:
        """Whether a file's bytes decide if it may come in. As in batch.py, large ones are data."""
        return secrets.depends_on_content(path) and found.st_size <= LARGE

    def _item(self, item: PushItem, seen: Seen | None) -> None:
        entry = item.entry
        if entry.kind == "symlink":
            self._add(b"l", entry.path, 0, seen, os.fsencode(entry.target))
        elif isinstance(item.data, bytes):
            self._add(b"b", entry.path, entry.mode, seen, item.data, entry.mtime_ns)
        else:
            self._add(b"c", entry.path, 0, None)

    def _add(self, kind: bytes, path: str, mode: int, seen: Seen | None, extra: bytes = b"", mtime: int = 0) -> None:
        raw = os.fsencode(path)
        self._piece += _RECORD.pack(kind[0], 0, mode, len(raw), mtime, len(extra))
        self._piece += raw
        self._piece += extra
        self._sent.append((path, seen))

    def _take(self, answers: bytes) -> None:
        for number, code, part, _, mode, _, size, mtime, ctime, inode, digest in _ANSWER.iter_unpack(answers):
            path, seen = self._sent[number]
            if part:
                self._failed(path, code, part)
                continue
            if seen is None:
                seen = Seen("f", mode & 0o777, size, mtime, ctime, inode, mtime, digest)
            self.batch.seen[path] = seen
            if seen.kind != "d":
                self.files += 1
                self.batch.size += seen.size if seen.kind == "f" else 0

    def _failed(self, path: str, code: int, part: int) -> None:
        if part == _DESTINATION and code in _NO_ROOM:
            raise DiskFull(f"No room on the host for a copy of {self._reader.root}: {os.strerror(code)}")
        if part == _SOURCE:
            self._reader.unread(path, code, self.batch)
        else:
            self.batch.again.add(path)


def _memory() -> BinaryIO:
    """A file in memory."""
    return open(os.memfd_create("seed"), "r+b", buffering=0)


def _all(file: BinaryIO) -> bytes:
    return os.pread(file.fileno(), file.seek(0, os.SEEK_END), 0)
