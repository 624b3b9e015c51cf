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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from ..errors import DiskFull, SandboxFailed
from ..protocol.agent import PushItem
from . import secrets
from .batch import LARGE, Batch, Reader
from .plan import Plan
from .state import Seen

_RECORD = struct.Struct("<BBHIqQ")
_ANSWER = struct.Struct("<IHBBIIqqqQ16s")

_SOURCE, _DESTINATION, _CHANGED = 1, 2, 3
"""What an answer says went wrong."""

_PIECE = 256 * 1024
"""Bytes of records that are made at a time."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_CANNOT_RUN = (errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.ENOENT)
"""The program cannot be run on this host, though it may be inside: a file system that is mounted `noexec`."""


class Seeding:
    """One first mirror. `batch` holds, once `run` has returned, what is there and what is to be looked at again."""

    def __init__(self, reader: Reader, plan: Plan, buffers: Mapping[str, tuple[bytes, int]]) -> None:
        self._reader = reader
        self._plan = plan
        self._buffers = buffers
        self._sent: list[tuple[str, Seen | None]] = []
        """By number of record; None: what the copy is like is for the answer to say."""
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self.batch = Batch()
        self.files = 0

    def run(self, program: Path, folder: Path) -> bool:
        """Write everything into `folder`, which is empty; False if `program` cannot be run here. Blocks.

        Raises:
            DiskFull: no room; what was written so far counts for nothing.
            SandboxFailed: the program failed, or was ended by `stop`.
        """
        if not self._plan:
            return True
        # Answers and words go to memory, not to pipes: then there is nothing to be read while we write.
        with _memory() as answers, _memory() as words:
            argv = (str(program), "seed", f"--from={self._reader.root}", f"--to={folder}")
            try:
                process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=answers, stderr=words, env={}, cwd="/")
            except OSError as error:
                if error.errno in _CANNOT_RUN:
                    return False
                raise
            self._process = process
            # One that is gone says why by its exit code and its words.
            with process, contextlib.suppress(BrokenPipeError):
                assert process.stdin is not None
                for piece in self._pieces():
                    if self._stopped:
                        process.kill()
                    process.stdin.write(piece)
                process.stdin.close()
            if process.returncode != 0 or answers.tell() != _ANSWER.size * len(self._sent):
                said = _all(words).decode(errors="replace").strip() or f"exit code {process.returncode}"
                raise SandboxFailed(f"The workspace {self._reader.root} could not be copied: {said}")
            self._take(_all(answers))
        return True

    def stop(self) -> None:
        """End `run`, which another thread is in."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()

    def _pieces(self) -> Iterator[bytes]:
        """Every record, some at a time; reads what only its bytes can tell about."""
        piece = bytearray()
        for path, found in self._plan.folders:
            mode = stat.S_IMODE(found.st_mode) & 0o777
            self._add(piece, b"d", path, mode, Seen("d", mode))
            if len(piece) > _PIECE:
                yield bytes(piece)
                piece.clear()
        for path, expected in self._plan.files:
            text = self._buffers.get(path)
            regular = expected is not None and stat.S_ISREG(expected.st_mode)
            if regular and text is None and not self._looked_into(path, expected):
                self._add(piece, b"c", path, 0, None)
            else:
                one = Batch()
                self._reader.look(path, expected, text, one)
                self.batch.again |= one.again
                for item in one.items:
                    self._item(piece, item, one.seen[item.entry.path])
            if len(piece) > _PIECE:
                yield bytes(piece)
                piece.clear()
        # Without it the program has lost us, and ends at once.
        yield bytes(piece + _RECORD.pack(ord("e"), 0, 0, 0, 0, 0))

    @staticmethod
    def _looked_into(path: str, expected: os.stat_result | None) -> bool:
        """Whether a file's bytes decide if it may come in. As in batch.py, large ones are data."""
        return secrets.depends_on_content(path) and expected is not None and expected.st_size <= LARGE

    def _item(self, piece: bytearray, item: PushItem, seen: Seen | None) -> None:
        entry = item.entry
        if entry.kind == "symlink":
            self._add(piece, b"l", entry.path, 0, seen, os.fsencode(entry.target))
        elif isinstance(item.data, bytes):
            self._add(piece, b"b", entry.path, entry.mode, seen, item.data, entry.mtime_ns)
        else:
            self._add(piece, b"c", entry.path, 0, None)

    def _add(
        self, piece: bytearray, kind: bytes, path: str, mode: int, seen: Seen | None, extra: bytes = b"", mtime: int = 0
    ) -> None:
        raw = os.fsencode(path)
        piece += _RECORD.pack(kind[0], 0, mode, len(raw), mtime, len(extra))
        piece += raw
        piece += extra
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
