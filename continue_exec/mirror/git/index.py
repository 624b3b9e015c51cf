"""git's index (gitformat-index(5)): what it says, apart from times; and the host's, made fit for the sandbox.

An index that comes from the sandbox is only ever read here, never by the host's git.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import process

EMPTY = ""
"""The digest where there is no index."""

_HEAD = struct.Struct(">4sII")
_STAT = 40
_LATER = 4_000_000_000
"""A time far away (2096): git then finds no entry that it would have to look into on disk, by way of filters."""


class Unreadable(Exception):
    """It is not an index of a version that is known."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of an index."""

    name: bytes
    mode: int
    oid: bytes
    stage: int
    skipped: bool


def entries(data: bytes, oid_size: int) -> Iterator[Entry]:
    """Every entry. `oid_size`: 20 or 32 bytes.

    Raises:
        Unreadable: at the first that makes no sense.
    """
    for entry, _ in _walk(data, oid_size):
        yield entry


def _walk(data: bytes, oid_size: int) -> Iterator[tuple[Entry, int]]:
    """Entries, each with where the next begins."""
    try:
        magic, version, count = _HEAD.unpack_from(data)
        if magic != b"DIRC" or version not in (2, 3, 4) or count > len(data) // (_STAT + oid_size):
            raise Unreadable(f"version {version} of git's index is not known")
        at, name = _HEAD.size, b""
        for _ in range(count):
            begin = at
            mode = int.from_bytes(data[at + 24 : at + 28], "big")
            at += _STAT
            oid = data[at : at + oid_size]
            at += oid_size
            flags = data[at] << 8 | data[at + 1]
            at += 2
            skipped = False
            if flags & 0x4000:
                skipped = bool(data[at] & 0x40)
                at += 2
            if version == 4:
                cut, at = _offset(data, at)
                end = data.index(b"\0", at)
                name = name[: len(name) - cut] + data[at:end]
                at = end + 1
            else:
                end = data.index(b"\0", at)
                name = data[at:end]
                at = begin + ((end - begin) // 8 + 1) * 8
            yield Entry(name, mode, oid, (flags >> 12) & 3, skipped), at
    except (IndexError, ValueError, struct.error):
        raise Unreadable("git's index is cut off or damaged") from None


def _offset(data: bytes, at: int) -> tuple[int, int]:
    """A number of version 4, as in pack files' offset deltas; and where it ends."""
    byte = data[at]
    value = byte & 0x7F
    while byte & 0x80:
        at += 1
        byte = data[at]
        value = ((value + 1) << 7) | (byte & 0x7F)
    return value, at + 1


def digest(data: bytes | None, oid_size: int) -> str:
    """Of what the index says: names, modes, objects, stages. Not of times, nor of what is skipped.

    Raises:
        Unreadable: see `entries`.
    """
    if not data:
        return EMPTY
    found = hashlib.blake2b(digest_size=16)
    for one in entries(data, oid_size):
        found.update(b"%o %d %b %b\0" % (one.mode, one.stage, one.oid, one.name))
    return found.hexdigest()


def is_split(data: bytes, oid_size: int) -> bool:
    """Whether a part of it is in another file (core.splitIndex)."""
    if b"link" not in data:
        return False
    ends = [end for _, end in _walk(data, oid_size)]
    at = ends[-1] if ends else _HEAD.size
    while at + 8 <= len(data) - oid_size:
        if data[at : at + 4] == b"link":
            return True
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "big")
    return False


def fit(data: bytes, folder: str, oid_size: int, missing: Callable[[str], bool]) -> tuple[bytes, list[str]]:
    """The host's index for the sandbox, in one file, and with what is not inside marked as skipped. Blocks.

    Without the mark, `git status` inside would call a tracked secret deleted, and `git commit -a` would delete it.

    Args:
        data: the index of the work tree `folder`.
        missing: whether a path below `folder` is on the host and not inside.

    Returns: the index, and the paths that are skipped.

    Raises:
        Unreadable, GitFailed: it cannot be read, or not be written anew.
    """
    split = is_split(data, oid_size)
    if split:
        data = _rewrite(data, folder, "--no-split-index")
    absent = sorted(
        {
            one.name
            for one in entries(data, oid_size)
            if not one.skipped and one.mode >> 12 != 0o4 and missing(os.fsdecode(one.name))
        }
    )
    if absent:
        names = b"".join(name + b"\0" for name in absent)
        data = _rewrite(data, folder, "-z", "--skip-worktree", "--stdin", input=names)
    return data, [os.fsdecode(name) for name in absent]


def _rewrite(data: bytes, folder: str, *arguments: str, input: bytes = b"") -> bytes:
    """What `git update-index` makes of a copy of the host's index."""
    with tempfile.TemporaryDirectory(prefix="continue-exec-") as place:
        copy = Path(place, "index")
        copy.write_bytes(data)
        os.utime(copy, (_LATER, _LATER))
        more = {"GIT_INDEX_FILE": str(copy)}
        process.run(folder, "-c", "core.splitIndex=false", "update-index", *arguments, input=input, env=more)
        return copy.read_bytes()
