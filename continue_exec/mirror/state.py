"""What is known to be inside, kept in one file so that after a restart only differences are pushed.

The file is a row of records, each added when the sandbox's agent has confirmed a batch; `compact` replaces them by one.
    file    MAGIC, then records
    record  u32 LE length of payload, 16 bytes SHA-256 of payload, payload
    payload u32 LE rows, then columns: kinds, digests, modes, sizes, mtimes, ctimes, inodes, insides, and paths
            joined by NUL. A capital as kind: this was about to be pushed, so it may be inside as well.
A record cut off at the end (a crash while it was written) is dropped: what it told is pushed again. Anything else that
does not add up makes the whole file void, and everything is pushed again.
"""

from __future__ import annotations

import logging
import os
import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)

MAGIC = b"cexec-mirror-2\n"
DIGEST = 16
_HEAD = struct.Struct("<I16s")
_ROWS = struct.Struct("<I")
_GONE = "-"


class Seen(NamedTuple):
    """One path as it was when it was last mirrored."""

    kind: str
    """`f`ile, `d`irectory, symbolic `l`ink."""
    mode: int
    """Permission bits, 0o777."""
    size: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0
    """0: the file was so young that a later change might not show in its times, or its text came from an editor."""
    inode: int = 0
    inside_ns: int = 0
    """Time of modification inside, as programs there see it, when the file inside was this one. 0: not known, or
    what is inside is not this one (both sides' changes were merged there)."""
    digest: bytes = bytes(DIGEST)
    """The first bytes of the SHA-256 of a file's bytes or a link's target."""

    @property
    def was(self) -> str:
        """What stands inside, in the words of `PushEntry.was`, if nothing there has changed since."""
        if self.kind == "f":
            return f"f:{self.size}:{self.inside_ns}:{self.mode:o}"
        return "d" if self.kind == "d" else f"l:{self.digest.hex()}"


def digest(data: bytes | memoryview | Iterable[bytes]) -> bytes:
    """The hash that `Seen` keeps: SHA-256, which processors compute themselves, and which the agent has as well."""
    if isinstance(data, bytes | memoryview):
        return sha256(data).digest()[:DIGEST]
    state = sha256()
    for piece in data:
        state.update(piece)
    return state.digest()[:DIGEST]


class MirrorState:
    """Path (below the workspace) → Seen, of one sandbox. `path` is the file it is kept in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Seen] = {}
        self.pushing: dict[str, Seen] = {}
        """What was sent and not confirmed: perhaps it is inside, perhaps what was there before."""
        self._fd: int | None = None
        self._rows = 0
        self.failed = False
        """The file could not be written: the next engine pushes everything again."""

    def load(self) -> bool:
        """Read the file; whether there was one and it was sound. Blocks for some milliseconds."""
        self.entries, self.pushing = {}, {}
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return False
        except OSError as error:
            log.warning("mirror state %s: %s; everything is pushed again", self.path, error)
            return False
        end = self._parse(data)
        if end is None:
            log.warning("mirror state %s is damaged; everything is pushed again", self.path)
            self.entries, self.pushing = {}, {}
            self._rows = 0
            with suppress(OSError):
                self.path.unlink()
            return False
        if end < len(data):  # a torn last record must not hide the ones that will follow it
            os.truncate(self.path, end)
        return True

    def announce(self, changes: Mapping[str, Seen | None]) -> None:
        """Keep that these are about to be pushed: after a crash what is found inside is known for what it is."""
        sent = {path: seen for path, seen in changes.items() if seen is not None}
        self.pushing.update(sent)
        self._append({path: seen._replace(kind=seen.kind.upper()) for path, seen in sent.items()})

    def forget(self) -> None:
        """Nothing is known to be inside.

        Raises:
            OSError: the file cannot be deleted.
        """
        self.close()
        self.path.unlink(missing_ok=True)
        self.entries, self.pushing = {}, {}
        self._rows = 0

    def record(self, changes: Mapping[str, Seen | None]) -> None:
        """Keep what the agent confirmed; None: it is gone. Some microseconds per row."""
        for path, seen in changes.items():
            self._take(path, seen)
        self._append(changes)
        # Rewrite when most of the file is history.
        if self._rows > 2 * len(self.entries) + 10_000:
            self.compact()

    def compact(self) -> None:
        """Replace the file by one record. Blocks for some milliseconds."""
        self.close()
        if self.failed:
            return
        temporary = self.path.with_name(self.path.name + ".new")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            kept = MAGIC + _record(self.entries)
            if self.pushing:
                kept += _record({path: seen._replace(kind=seen.kind.upper()) for path, seen in self.pushing.items()})
            temporary.write_bytes(kept)
            os.replace(temporary, self.path)
            self._rows = len(self.entries)
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _take(self, path: str, seen: Seen | None) -> None:
        if seen is not None and seen.kind.isupper():
            self.pushing[path] = seen._replace(kind=seen.kind.lower())
            return
        self.pushing.pop(path, None)
        if seen is None:
            self.entries.pop(path, None)
        else:
            self.entries[path] = seen

    def _append(self, changes: Mapping[str, Seen | None]) -> None:
        if self.failed or not changes:
            return
        try:
            if self._fd is None:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                self._fd = os.open(self.path, flags, 0o600)
                if os.fstat(self._fd).st_size == 0:
                    _write(self._fd, MAGIC)
            _write(self._fd, _record(changes))
            self._rows += len(changes)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        # A file that misses a change would later let a stale file pass as mirrored: better none.
        log.warning("mirror state %s cannot be kept: %s", self.path, error)
        self.failed = True
        self.close()
        with suppress(OSError):
            self.path.unlink()

    def _parse(self, data: bytes) -> int | None:
        """Where the sound part ends, or None if the file is void."""
        if not data.startswith(MAGIC):
            return None
        at = len(MAGIC)
        while at < len(data):
            if len(data) - at < _HEAD.size:
                return at
            length, check = _HEAD.unpack_from(data, at)
            payload = memoryview(data)[at + _HEAD.size : at + _HEAD.size + length]
            if len(payload) < length:
                return at
            if digest(payload) != check:
                # The last record may hold a hole where the disk never got its bytes.
                return at if at + _HEAD.size + length == len(data) else None
            try:
                for path, seen in _rows(payload):
                    self._take(path, seen)
                    self._rows += 1
            except (ValueError, IndexError, struct.error):
                return None
            at += _HEAD.size + length
        return at


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _column(code: str, values: Iterable[int]) -> bytes:
    column = array(code, values)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def _record(changes: Mapping[str, Seen | None]) -> bytes:
    rows = [seen or Seen(_GONE, 0) for seen in changes.values()]
    payload = b"".join(
        (
            _ROWS.pack(len(rows)),
            "".join(row.kind for row in rows).encode(),
            b"".join(row.digest for row in rows),
            _column("H", (row.mode for row in rows)),
            *(
                _column("q", values)
                for values in (
                    (row.size for row in rows),
                    (row.mtime_ns for row in rows),
                    (row.ctime_ns for row in rows),
                    (row.inode & 0x7FFF_FFFF_FFFF_FFFF for row in rows),
                    (row.inside_ns for row in rows),
                )
            ),
            "\0".join(changes).encode("utf-8", "surrogateescape"),
        )
    )
    return _HEAD.pack(len(payload), digest(payload)) + payload


def _rows(payload: memoryview) -> Iterator[tuple[str, Seen | None]]:
    (count,) = _ROWS.unpack_from(payload)
    at = _ROWS.size

    def take(size: int) -> memoryview:
        nonlocal at
        at += size
        return payload[at - size : at]

    def column(code: str, width: int) -> array[int]:
        found = array(code)
        found.frombytes(take(width * count))
        if sys.byteorder == "big":
            found.byteswap()
        return found

    kinds = str(take(count), "ascii")
    digests = bytes(take(DIGEST * count))
    modes = column("H", 2)
    sizes, mtimes, ctimes, inodes, insides = (column("q", 8) for _ in range(5))
    paths = str(payload[at:], "utf-8", "surrogateescape").split("\0") if count else []
    hashes = (digests[i : i + DIGEST] for i in range(0, len(digests), DIGEST))
    for path, kind, *rest in zip(paths, kinds, modes, sizes, mtimes, ctimes, inodes, insides, hashes, strict=True):
        yield path, None if kind == _GONE else Seen(kind, *rest)
