"""The other direction of a review: paths inside set to what the host has, or to what they were before a run.

The agent writes, and only over what was looked at.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Mapping, Sequence

from ..errors import Conflict, ContinueExecError, NotFound
from ..mirror import text
from ..mirror.changes import Delta, Version, parents
from ..mirror.folder import Gone
from ..protocol import changes as c
from ..protocol.agent import PushEntry, PushItem
from .changes_text import Contents, Picked
from .history import Step
from .live import Live
from .review import Review


def name(what: str) -> str:
    """Of an entry of the history that is no run's."""
    return f"{what}_{secrets.token_hex(6)}"


async def put(live: Live, review: Review, delta: Delta, data: bytes, mode: int) -> None:
    """Write a text over what was reviewed inside.

    Raises:
        Conflict: something else stands there, or comes just now.
    """
    stands = await live.look(live.workspace, [delta.path])
    was = await asyncio.to_thread(_if_like, review, delta.path, delta.inside, stands)
    entry = PushEntry(path=delta.path, kind="file", mode=mode & 0o777, size=len(data), was=was)
    result = await live.push(live.workspace, [PushItem(entry, data)])
    if result.failed:
        raise Conflict(f"{delta.path} could not be written in the sandbox: {result.failed[0].message}")


async def discard(live: Live, review: Review, picked: Sequence[Picked]) -> tuple[list[str], list[c.Left]]:
    """Set what was picked to what the host has; returns what was done and what was not."""
    done, left = [], []
    for change, pick, deltas in picked:
        if pick.hunks is not None:
            try:
                await _without(live, review, pick.hunks, deltas[0])
                done.append(change.path)
            except ContinueExecError as error:
                left.append(_left(change.path, error))
    some = [(change.path, deltas) for change, pick, deltas in picked if pick.hunks is None]
    stands = await live.look(live.workspace, [delta.path for _, deltas in some for delta in deltas])
    whole, failed = await asyncio.to_thread(_stands, review, some, stands)
    left += [_left(path, error) for path, error in sorted(failed.items())]
    done += [path for path, _ in some if path not in failed]
    refused = await review.mirror.overwrite(live, whole)
    left += [c.Left(path=path, code=Conflict.code, message=why) for path, why in sorted(refused.items())]
    return sorted(path for path in done if path not in refused), left


def _stands(
    review: Review, some: Sequence[tuple[str, Sequence[Delta]]], stands: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, ContinueExecError]]:
    """What is to be there still when changes are thrown away, in the words of `PushEntry.was`. Blocks."""
    whole: dict[str, str] = {}
    failed: dict[str, ContinueExecError] = {}
    for path, deltas in some:
        try:
            for delta in deltas:
                whole[delta.path] = _if_like(review, delta.path, delta.inside, stands)
                # The folders that came with it go, if nothing else is in them.
                whole |= {above: "d" for above in parents(delta.path) if review.home.files.look(above) is None}
        except ContinueExecError as error:
            failed[path] = error
    return whole, failed


async def _without(live: Live, review: Review, hunks: Sequence[str], delta: Delta) -> None:
    """Take some hunks out of a file inside."""
    ours, theirs = await asyncio.to_thread(Contents(review).lines, delta)
    kept = {one.id for one in text.differences(ours, theirs)} - set(hunks)
    data = text.bytes_of(text.take(ours, theirs, kept))
    await put(live, review, delta, data, delta.inside.mode or delta.host.mode)


def _if_like(review: Review, path: str, expected: Version, stands: Mapping[str, str]) -> str:
    """What was found inside, in the words of `PushEntry.was`, if it still is what was reviewed. Blocks.

    It is read after it was found, and the agent compares it again as it writes.
    """
    try:
        version = review.version(path, review.files.look(path))
    except (Gone, OSError):
        version = None
    if version is None or not version.like(expected):
        raise Conflict(f"{path} is changing in the sandbox just now", hint="Look at it again.")
    return stands[path]


async def rewind(live: Live, review: Review, steps: Mapping[str, Step]) -> tuple[list[str], list[c.Left]]:
    """Set paths to what they were before the first of `steps`; what had come from the host gets what is there now."""
    stands = await live.look(live.workspace, steps)
    from_host, items, left = await asyncio.to_thread(_plan, review, steps, stands)
    failed = await review.mirror.overwrite(live, from_host)
    # Deletions first and from within, so that what takes a folder's place finds it empty.
    deletions = [item for item in reversed(items) if item.entry.kind == "delete"]
    others = [item for item in items if item.entry.kind != "delete"]
    async with review.mirror.lock:
        result = await live.push(live.workspace, [*deletions, *others])
    failed |= {failure.path: failure.message for failure in result.failed}
    left += [c.Left(path=path, code=Conflict.code, message=why) for path, why in sorted(failed.items())]
    done = {*from_host, *(item.entry.path for item in items)}
    return sorted(done - failed.keys()), left


def _plan(
    review: Review, steps: Mapping[str, Step], stands: Mapping[str, str]
) -> tuple[dict[str, str], list[PushItem], list[c.Left]]:
    """Blocks."""
    from_host: dict[str, str] = {}
    items: list[PushItem] = []
    left: list[c.Left] = []
    for path, step in sorted(steps.items()):
        try:
            # What is not as it was at the last look is not kept yet: it would be lost.
            was = _if_like(review, path, review.last(path), stands)
            if step.mirrored:
                from_host[path] = was
            else:
                items.append(_item(review, path, step.before, was))
        except ContinueExecError as error:
            left.append(_left(path, error))
    return from_host, items, left


def _left(path: str, error: ContinueExecError) -> c.Left:
    return c.Left(path=path, code=error.code, message=error.message, hint=error.hint)


def _item(review: Review, path: str, version: Version, was: str) -> PushItem:
    mode = version.mode & 0o777
    match version.kind:
        case "":
            return PushItem(PushEntry(path=path, kind="delete", was=was))
        case "d":
            return PushItem(PushEntry(path=path, kind="dir", mode=mode, was=was))
    data = review.history.blobs.get(version.digest)
    if data is None:
        raise NotFound(f"What {path} was before is not kept: it was larger than 32 MiB, or changed too fast")
    if version.kind == "l":
        return PushItem(PushEntry(path=path, kind="symlink", mode=0o777, target=os.fsdecode(data), was=was))
    return PushItem(PushEntry(path=path, kind="file", mode=mode, size=len(data), was=was), data)
