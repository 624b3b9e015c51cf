"""Contents kept for later, by their hash: what both sides last had in common, and what runs changed.

One file, written only at its end; where each content lies is kept in memory and read back from the file when it is
opened. A record that a crash cut off is dropped. `keep_only` rewrites the file when most of it is no longer wanted.
    file    MAGIC, then records
    record  u32 LE length, 16 bytes hash (state.digest), the bytes
"""

from __future__ import annotations

import logging
import os
import struct
import threading
from collections.abc import Set
from contextlib import suppress
from pathlib import Path

from .state import DIGEST, digest

log = logging.getLogger(__name__)

MAGIC = b"cexec-blobs-1\n"
LIMIT = 32 << 20
"""Bytes of one content; larger ones are not kept, so a run that changed one cannot be gone back behind."""
TEXT_LIMIT = 1 << 20
"""Bytes of a text that is kept to be merged; larger ones are data."""

_HEAD = struct.Struct(f"<I{DIGEST}s")


def is_text(data: bytes) -> bool:
    """Whether a merge by lines makes sense, by Git's own test: no NUL byte in the first 8000."""
    return b"\0" not in data[:8000]


class Blobs:
    """One sandbox's contents. Any thread may call it; calls take turns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._at: dict[bytes, tuple[int, int]] | None = None
        """Hash → offset of the bytes, and how many."""
        self._fd = -1
        self._end = 0

    def __contains__(self, key: bytes) -> bool:
        with self._lock:
            return key in self._opened()

    def put(self, key: bytes, data: bytes) -> bool:
        """Keep `data`, whose hash is `key`; whether it is kept. Costs one write; nothing if it is there already."""
        with self._lock:
            at = self._opened()
            if key in at:
                return True
            if len(data) > LIMIT or self._fd < 0:
                return False
            record = _HEAD.pack(len(data), key) + data
            try:
                written = os.pwrite(self._fd, record, self._end)
            except OSError as error:
                log.warning("%s: %s", self.path, error)
                return False
            if written != len(record):
                return False  # a full disk: what was written is written over by the next
            at[key] = (self._end + _HEAD.size, len(data))
            self._end += written
            return True

    def get(self, key: bytes) -> bytes | None:
        """The content with this hash, if it is kept and sound."""
        with self._lock:
            where = self._opened().get(key)
            if where is None:
                return None
            data = os.pread(self._fd, where[1], where[0])
        if digest(data) != key:
            log.warning("%s: a content is damaged", self.path)
            return None
        return data

    @property
    def size(self) -> int:
        """Bytes on disk."""
        with self._lock:
            self._opened()
            return self._end

    def keep_only(self, wanted: Set[bytes]) -> None:
        """Forget the others; the file shrinks if more than half of it is not wanted. Blocks while it is rewritten."""
        with self._lock:
            at = self._opened()
            kept = {key: where for key, where in at.items() if key in wanted}
            live = sum(size + _HEAD.size for _, size in kept.values())
            if self._fd < 0 or self._end <= 2 * live + (1 << 20):
                return
            temporary = self.path.with_name(self.path.name + ".new")
            fresh: dict[bytes, tuple[int, int]] = {}
            end = len(MAGIC)
            try:
                with temporary.open("wb") as file:
                    file.write(MAGIC)
                    for key, (offset, size) in kept.items():
                        file.write(_HEAD.pack(size, key) + os.pread(self._fd, size, offset))
                        fresh[key] = (end + _HEAD.size, size)
                        end += _HEAD.size + size
                os.replace(temporary, self.path)
                os.close(self._fd)
                self._fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
                self._at, self._end = fresh, end
            except OSError as error:
                log.warning("%s could not be rewritten: %s", self.path, error)
                with suppress(OSError):
                    temporary.unlink()

    def begin_anew(self) -> Path | None:
        """Forget everything, and let another program write the file until it is next asked for something.

        Returns its path; None: it cannot be made.
        """
        self.close()
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, MAGIC)
            finally:
                os.close(fd)
        except OSError as error:
            log.warning("%s cannot be used: %s", self.path, error)
            return None
        return self.path

    def close(self) -> None:
        """Close the file; it is opened again when needed."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
            self._fd, self._at = -1, None

    def _opened(self) -> dict[bytes, tuple[int, int]]:
        if self._at is None:
            self._at, self._end = {}, len(MAGIC)
            try:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                self._read(os.fstat(self._fd).st_size)
            except OSError as error:
                log.warning("%s cannot be used: %s", self.path, error)
        return self._at

    def _read(self, size: int) -> None:
        assert self._at is not None
        if os.pread(self._fd, len(MAGIC), 0) != MAGIC:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, MAGIC, 0)
            return
        while self._end + _HEAD.size <= size:
            length, key = _HEAD.unpack(os.pread(self._fd, _HEAD.size, self._end))
            if length > LIMIT or self._end + _HEAD.size + length > size:
                break
            self._at[key] = (self._end + _HEAD.size, length)
            self._end += _HEAD.size + length
        os.ftruncate(self._fd, self._end)  # what a crash cut off is not to be taken for a record later
