"""Records of a push (protocol/agent.py, Push), cut into chunks. Made in a worker thread: it opens and reads files.

A record's size is announced before its bytes; a file that changes under us must not tear the stream. It is cut or
filled with zero bytes to what was announced, and named in `changed`, so that the mirror looks at it again.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import stat
import struct
from collections.abc import Iterable, Iterator, MutableSequence
from pathlib import Path

from ..protocol.agent import PushEntry, PushItem
from .streams import CHUNK

_LENGTH = struct.Struct(">I")
_encode = json.JSONEncoder(separators=(",", ":")).encode

BATCH = 256
"""Items taken at once from an asynchronous source: one change of thread for all of them."""


def header(entry: PushEntry) -> bytes:
    """A record's first part."""
    body = _encode(entry.__dict__).encode()
    return _LENGTH.pack(len(body)) + body


def chunks(items: Iterable[PushItem], changed: MutableSequence[str]) -> Iterator[bytes]:
    """The records of `items` in pieces of about CHUNK bytes. Paths whose file was not as announced go to `changed`."""
    parts: list[bytes] = []
    held = 0
    for piece in itertools.chain.from_iterable(_record(item, changed) for item in items):
        parts.append(piece)
        held += len(piece)
        if held >= CHUNK:
            yield b"".join(parts)
            parts.clear()
            held = 0
    if parts:
        yield b"".join(parts)


def _record(item: PushItem, changed: MutableSequence[str]) -> Iterator[bytes]:
    entry = item.entry
    yield header(entry)
    if entry.kind != "file":
        return
    missing = entry.size
    source = _file(item.data, entry.size) if isinstance(item.data, Path) else iter([item.data or b""])
    try:
        for piece in source:
            if len(piece) > missing:
                changed.append(entry.path)
                piece = piece[:missing]
                missing = -1
            else:
                missing -= len(piece)
            yield piece
            if missing < 0:
                return
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        # Gone, unreadable or not a file any more: the mirror hears of it.
    if missing:
        changed.append(entry.path)
        while missing:
            count = min(missing, CHUNK)
            yield bytes(count)
            missing -= count


def _file(path: Path, size: int) -> Iterator[bytes]:
    """A regular file's bytes; one more than `size` is looked for, to notice that it grew."""
    # O_NONBLOCK: opening a FIFO that has taken the file's place must not hang.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        left = size + 1
        while left > 0 and (piece := os.read(fd, min(left, CHUNK))):
            left -= len(piece)
            yield piece
    finally:
        os.close(fd)
