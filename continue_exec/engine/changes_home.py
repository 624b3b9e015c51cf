"""One reviewed change, written into the workspace on the host. Blocks; the mirror's lock is held."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import Conflict, ContinueExecError, NotSupported, Refused
from ..mirror import guard, text
from ..mirror.changes import Delta
from ..mirror.folder import Found, Gone, pieces_of
from ..mirror.state import Seen, digest
from ..protocol import changes as c
from .changes_text import Contents, Picked
from .review import Review


@dataclass(frozen=True)
class Brought:
    """What became of one change."""

    merged: bytes | None = None
    """The text that both sides are to have, if they were merged."""
    seen: Mapping[str, Seen | None] = field(default_factory=dict)
    """What both sides have in common now, as far as it is known; None: it is gone from both."""


def bring_all(review: Review, picked: Sequence[Picked]) -> list[Brought | ContinueExecError]:
    """`bring` each of them, and note what both sides have now; an error stands for the one that it stopped."""
    results: list[Brought | ContinueExecError] = []
    seen: dict[str, Seen | None] = {}
    try:
        for change, pick, deltas in picked:
            try:
                brought = bring(review, change, pick, deltas)
            except ContinueExecError as error:
                results.append(error)
                continue
            results.append(brought)
            seen.update(brought.seen)
    finally:
        review.home.journal.clear()
        review.mirror.brought(seen)
    return results


def bring(review: Review, change: c.Change, pick: c.Pick, deltas: Sequence[Delta]) -> Brought:
    """Write one change; what came out of the sandbox is checked again as it is written.

    Args:
        deltas: of the change's path and, of a rename, of its old one.

    Raises:
        Conflict: one of the sides is no longer what was reviewed.
        Refused: it may not come home.
        DiskFull, HostUnready: it cannot be written.
    """
    delta = deltas[0]
    if pick.hunks is not None or pick.take is c.Side.MERGED:
        return Brought(merged=_text(review, change, pick, delta))
    seen: dict[str, Seen | None] = {}
    match delta.inside.kind:
        case "":
            _remove(review, delta)
            seen[delta.path] = None
        case "d":
            review.home.put_folder(delta.path, delta.inside.mode, delta.host.standing)
            seen[delta.path] = Seen("d", delta.inside.mode & 0o777)
        case "l":
            _link(review, delta)
            seen |= _both(review, delta, 0)
        case "f":
            seen |= _file(review, delta)
        case _:
            raise Refused(f"{delta.path} cannot come home: {guard.refusal(delta.path, 'o', 0)}")
    for old in deltas[1:]:
        _remove(review, old)
        seen[old.path] = None
    return Brought(seen=seen)


def _both(review: Review, delta: Delta, inside_ns: int) -> dict[str, Seen | None]:
    """What both sides have of a path that was written just now."""
    found = review.home.files.look(delta.path)
    if found is None or found.kind != delta.inside.kind:
        return {}
    # No time of the host's proves it unchanged: somebody may have written to it since.
    mode = found.mode & 0o777
    return {
        delta.path: Seen(found.kind, mode, found.size, found.mtime_ns, 0, found.inode, inside_ns, delta.inside.digest)
    }


def _text(review: Review, change: c.Change, pick: c.Pick, delta: Delta) -> bytes | None:
    if change.kind == "renamed":
        raise NotSupported(f"{change.path} was renamed: it can only be taken as a whole")
    contents = Contents(review)
    ours, theirs = contents.lines(delta)
    merged = pick.take is c.Side.MERGED
    data = contents.merged(delta) if merged else text.bytes_of(text.take(ours, theirs, set(pick.hunks or ())))
    mode = delta.host.mode if delta.host.kind else delta.inside.mode or 0o644
    if not merged and not delta.inside.kind and not data:
        _remove(review, delta)
    else:
        review.home.put_file(delta.path, lambda fd: _write(fd, data), mode, delta.host.standing)
    return data if merged else None


def _remove(review: Review, delta: Delta) -> None:
    # Perhaps it was only away for a moment, when it was looked at.
    if _look(review, delta) is not None:
        raise _changed(delta)
    review.home.remove(delta.path, delta.host.standing)
    review.home.prune(delta.path, lambda folder: _stays(review, folder))


def _look(review: Review, delta: Delta) -> Found | None:
    try:
        return review.files.look(delta.path)
    except OSError:
        raise _changed(delta) from None


def _stays(review: Review, folder: str) -> bool:
    try:
        return review.files.look(folder) is not None
    except OSError:
        return True


def _link(review: Review, delta: Delta) -> None:
    try:
        target = review.files.target(delta.path)
    except (Gone, OSError):
        raise _changed(delta) from None
    if digest(os.fsencode(target)) != delta.inside.digest:
        raise _changed(delta)
    if why := guard.refusal(delta.path, "l", 0, target):
        raise Refused(f"{delta.path} cannot come home: {why}")
    review.home.put_link(delta.path, target, delta.host.standing)


def _file(review: Review, delta: Delta) -> dict[str, Seen | None]:
    # The host's own bits stay, unless the sandbox changed them.
    kept = delta.host.kind == "f" and delta.inside.mode == delta.base.mode
    mode = delta.host.mode if kept else delta.inside.mode
    if delta.host.kind == "f" and delta.host.digest == delta.inside.digest:
        review.home.set_mode(delta.path, mode, delta.host.standing)
        return {}
    try:
        with review.files.open(delta.path) as source:
            # As it is before it is read: what is written to it meanwhile is seen by its time.
            inside_ns = os.fstat(source).st_mtime_ns
            review.home.put_file(delta.path, _copy(source, delta), mode, delta.host.standing)
    except (Gone, OSError):
        raise _changed(delta) from None
    review.keep_base(delta.path, delta.inside)
    return _both(review, delta, inside_ns)


def _copy(source: int, delta: Delta) -> Callable[[int], None]:
    """Copies and hashes in one go: what was reviewed is what arrives, whatever happens to the file meanwhile."""

    def write(fd: int) -> None:
        def pieces() -> Iterator[bytes]:
            for piece in pieces_of(source, delta.inside.size):
                _write(fd, piece)
                yield piece

        if digest(pieces()) != delta.inside.digest:
            raise _changed(delta)

    return write


def _changed(delta: Delta) -> Conflict:
    return Conflict(f"{delta.path} changed in the sandbox while it was brought home", hint="Look at it again.")


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
