"""The events of one run, on disk: the file *is* the wire.

A log is a folder of segment files; a segment is a sequence of frames (protocol/frames.py) whose `stream` field is
the event's `seq`. Readers send the bytes as they are, each at its own pace, from the page cache: so there is no
queue per reader, a slow one costs disk instead of memory and never holds up the command, and an engine that
was killed finds all of it again.

Segments are named `<first seq>-<output bytes before it>.log`. Old ones are deleted beyond `keep_bytes`, as soon as
no reader needs them, and beyond `lag_bytes` in any case; whoever still wanted them reads a `gap` event.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ContinueExecError, DiskFull, InternalError
from ..protocol.frames import HEADER, HEADER_SIZE, Kind, Stretch, encode

log = logging.getLogger(__name__)

SEGMENT_BYTES = 4 << 20
"""Small enough that deleting one frees memory soon, large enough that a flood makes few files."""
READ_BYTES = 256 << 10
"""One read by a follower: large enough that a flood costs few system calls."""
STRETCH_BYTES = 1 << 20
"""Largest stretch: a flood then costs few rounds of the event loop, and other runs still get their turns."""
STRETCH_FROM = 32 << 10
"""Less is read into memory at once: up to here that is cheaper than sendfile(2) with all that belongs to it."""
INDEX_EVERY = 64 << 10
"""A reader that begins in the middle scans at most this many bytes of headers."""

OUTPUT_KINDS = frozenset({int(Kind.STDOUT), int(Kind.STDERR)})


@dataclass(eq=False)
class _Segment:
    path: Path
    fd: int
    first_seq: int
    output_before: int
    """Output bytes in all segments before it."""
    output_end: int = 0
    """The same with its own; set when it is full."""
    size: int = 0
    marks: list[tuple[int, int]] = field(default_factory=list)
    """Sparse (seq, offset of its frame)."""
    readers: int = 0
    dropped: bool = False
    """Deleted; the descriptor lives until its last reader leaves."""


class RunLog:
    """One writer (the run's sink), any number of readers, all on one event loop.

    Attributes:
        last_seq: number of the newest event; 0 when there is none.
        output_bytes: payload bytes of output ever appended: where the agent's stream goes on after a crash.
        closed: the final event is in.
        bytes_unkept: output bytes that a full disk did not take.
    """

    def __init__(self, folder: Path, keep_bytes: int, lag_bytes: int) -> None:
        self.folder = folder
        self.keep_bytes = keep_bytes
        self.lag_bytes = lag_bytes
        self.last_seq = 0
        self.output_bytes = 0
        self.closed = False
        self.bytes_unkept = 0
        self._unwritten = bytearray()
        self._closing = False
        self._readers = 0
        self._segments: list[_Segment] = []
        self._total = 0
        self._waiters: set[asyncio.Future[None]] = set()

    @classmethod
    def create(cls, folder: Path, keep_bytes: int, lag_bytes: int) -> RunLog:
        """A new, empty log.

        Raises:
            DiskFull: no room even for that.
        """
        made = cls(folder, keep_bytes, lag_bytes)
        try:
            folder.mkdir(mode=0o700, parents=True)
            made._roll()
        except OSError as error:
            raise _mapped(error, folder) from None
        return made

    @classmethod
    def open(cls, folder: Path, keep_bytes: int, lag_bytes: int, *, closed: bool) -> RunLog:
        """An existing log. A frame that a killed writer left incomplete at the end is cut off."""
        opened = cls(folder, keep_bytes, lag_bytes)
        opened.closed = closed
        for path in sorted(folder.glob("*.log")):
            first, before = path.stem.split("-")
            segment = _Segment(path, os.open(path, os.O_RDWR | os.O_CLOEXEC), int(first), int(before))
            if opened._segments:
                opened._segments[-1].output_end = segment.output_before
            opened._segments.append(segment)
            segment.size = os.fstat(segment.fd).st_size
            opened._total += segment.size
        if opened._segments:
            opened._recover(opened._segments[-1])
        elif not closed:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            opened._roll()
        return opened

    def _recover(self, segment: _Segment) -> None:
        seq, output, at = segment.first_seq - 1, segment.output_before, 0
        view = memoryview(os.pread(segment.fd, segment.size, 0))
        while len(view) - at >= HEADER_SIZE:
            length, kind, seq_found = HEADER.unpack_from(view, at)
            end = at + HEADER_SIZE + length
            if seq_found != seq + 1 or end > len(view):
                break
            if not segment.marks or at - segment.marks[-1][1] >= INDEX_EVERY:
                segment.marks.append((seq_found, at))
            seq = seq_found
            output += length if kind in OUTPUT_KINDS else 0
            at = end
        if at != segment.size:
            os.ftruncate(segment.fd, at)
            self._total -= segment.size - at
            segment.size = at
        self.last_seq, self.output_bytes = seq, output

    # Writing

    def event(self, type: str, **fields: Any) -> int:
        """Append an event that is not output; returns its seq."""
        return self.append(Kind.EVENT, json.dumps({"type": type, "seq": self.last_seq + 1, **fields}).encode())

    def final(self, type: str, **fields: Any) -> int:
        """Append the last event and end every reader once it has read it."""
        self.closed = True
        return self.event(type, **fields)

    def append(self, kind: int, payload: bytes | memoryview) -> int:
        """Append one event; returns its seq.

        Never raises for a full disk: output that cannot be kept is counted in `bytes_unkept`, other events
        are held in memory (they are few and small), so that a follower always learns how the run ended.
        """
        seq = self.last_seq + 1
        is_output = kind in OUTPUT_KINDS
        if self._segments[-1].size >= SEGMENT_BYTES:
            self._try_roll()
        segment = self._segments[-1]
        size = HEADER_SIZE + len(payload)
        if not self._unwritten and self._write(segment, HEADER.pack(len(payload), kind, seq), payload, size):
            if not segment.marks or segment.size - segment.marks[-1][1] >= INDEX_EVERY:
                segment.marks.append((seq, segment.size))
            segment.size += size
            self._total += size
            self.last_seq = seq
        elif is_output:
            if not self.bytes_unkept:
                log.error("disk full: output of %s is not kept", self.folder.name)
            self.bytes_unkept += len(payload)
        else:
            self._unwritten += encode(kind, seq, payload)
            self.last_seq = seq
        if is_output:
            self.output_bytes += len(payload)
        if self._total > self.keep_bytes:
            self._trim()
        if self._waiters:
            self._wake()
        return self.last_seq

    def _write(self, segment: _Segment, header: bytes, payload: bytes | memoryview, size: int) -> bool:
        try:
            if os.pwritev(segment.fd, (header, payload), segment.size) == size:
                return True
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise InternalError(f"The log {segment.path} cannot be written: {error}") from None
        # A short write leaves part of a frame behind.
        os.ftruncate(segment.fd, segment.size)
        return False

    def _roll(self) -> None:
        path = self.folder / f"{self.last_seq + 1:010d}-{self.output_bytes:016d}.log"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        if self._segments:
            self._segments[-1].output_end = self.output_bytes
        self._segments.append(_Segment(path, fd, self.last_seq + 1, self.output_bytes))

    def _try_roll(self) -> None:
        try:
            self._roll()
        except OSError:
            log.warning("no new segment for %s: the last one grows on", self.folder.name)

    def _trim(self) -> None:
        while len(self._segments) > 1 and self._total > self.keep_bytes:
            oldest = self._segments[0]
            if oldest.readers and self._total <= self.lag_bytes:
                return
            self._segments.pop(0)
            self._total -= oldest.size
            oldest.dropped = True
            oldest.path.unlink(missing_ok=True)
            if not oldest.readers:
                os.close(oldest.fd)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # Reading

    async def read(self, after: int = 0, *, wait: bool = True) -> AsyncIterator[bytes]:
        """As `stretches`, as bytes: pieces of at most READ_BYTES."""
        async with aclosing(self.stretches(after, wait=wait, largest=READ_BYTES)) as pieces:
            async for piece in pieces:
                yield bytes(piece)

    async def stretches(
        self, after: int = 0, *, wait: bool = True, largest: int = STRETCH_BYTES
    ) -> AsyncGenerator[bytes | Stretch, None]:
        """Yield frames as they stand on the wire, from event `after + 1` on.

        Pieces are at most `largest` bytes and may end anywhere in a frame; put together they are whole frames. Ends
        after the final event, or with `wait=False` at the newest one. Events that are gone are announced by a `gap`
        first.
        """
        oldest = self._segments[0]
        missing = after + 1 < oldest.first_seq
        segment, offset = (oldest, 0) if missing else self._seek(after)
        segment.readers += 1
        self._readers += 1
        try:
            if missing:
                yield self._gap(after, oldest, oldest.output_before if after == 0 else None)
            while True:
                size = min(largest, segment.size - offset)
                if size:
                    stretch = Stretch(segment.fd, offset, size)
                    yield stretch if size >= STRETCH_FROM else bytes(stretch)
                    offset += size
                elif following := self._after(segment):
                    last, output_end = _last_seq(segment), segment.output_end
                    following.readers += 1
                    _leave(segment)
                    segment, offset = following, 0
                    if last + 1 < segment.first_seq:
                        yield self._gap(last, segment, segment.output_before - output_end)
                elif self.closed or not wait:
                    if self._unwritten:
                        yield bytes(self._unwritten)
                    return
                else:
                    await self._changed()
        finally:
            _leave(segment)
            self._readers -= 1
            if self._closing:
                self.close()

    async def _changed(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def _after(self, segment: _Segment) -> _Segment | None:
        if segment is self._segments[-1]:
            return None
        return next(s for s in self._segments if s.first_seq > segment.first_seq)

    def _seek(self, after: int) -> tuple[_Segment, int]:
        """The segment and offset where event `after + 1` is, or will be."""
        segment = self._segments[0]
        for candidate in self._segments:
            if candidate.first_seq <= after + 1:
                segment = candidate
        offset = 0
        for mark_seq, mark_offset in segment.marks:
            if mark_seq > after + 1:
                break
            offset = mark_offset
        while offset < segment.size:
            length, _, seq = HEADER.unpack(os.pread(segment.fd, HEADER_SIZE, offset))
            if seq > after:
                break
            offset += HEADER_SIZE + length
        return segment, offset

    def _gap(self, after: int, first: _Segment, bytes_missing: int | None) -> bytes:
        event = {
            "type": "gap",
            "seq": first.first_seq - 1,
            "first_missing": after + 1,
            "bytes_missing": bytes_missing,
            "message": f"Events {after + 1} to {first.first_seq - 1} are gone: of each run the newest "
            f"{self.keep_bytes >> 20} MiB are kept (setting output_keep_bytes).",
        }
        return encode(Kind.EVENT, first.first_seq - 1, json.dumps(event).encode())

    def close(self) -> None:
        """Give back the descriptors, as soon as the last reader has left. The files stay."""
        self._closing = self._readers > 0
        if not self._closing:
            for segment in self._segments:
                os.close(segment.fd)
            self._segments = []

    def delete(self) -> None:
        """Close and delete the files."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _leave(segment: _Segment) -> None:
    segment.readers -= 1
    if segment.dropped and not segment.readers:
        os.close(segment.fd)


def _last_seq(segment: _Segment) -> int:
    """Seq of a segment's last frame; its descriptor must be open."""
    seq, offset = segment.marks[-1] if segment.marks else (segment.first_seq - 1, segment.size)
    while offset < segment.size:
        length, _, seq = HEADER.unpack(os.pread(segment.fd, HEADER_SIZE, offset))
        offset += HEADER_SIZE + length
    return int(seq)


def _mapped(error: OSError, path: Path) -> ContinueExecError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"No room to keep a run's output in {path.parent}")
    return InternalError(f"{path} cannot be created: {error}")
