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
from .changes_text import Contents
from .history import Step
from .live import Live
from .review import Review

Picked = tuple[c.Change, c.Pick, Sequence[Delta]]


def name(what: str) -> str:
    """Of an entry of the history that is no run's."""
    return f"{what}_{secrets.token_hex(6)}"


async def put(live: Live, path: str, data: bytes, mode: int = 0o644) -> None:
    """Write a text over what stands inside now.

    Raises:
        Conflict: it is being changed there just now.
    """
    was = await live.look(live.workspace, path)
    entry = PushEntry(path=path, kind="file", mode=mode, size=len(data), was=was)
    result = await live.push(live.workspace, [PushItem(entry, data)])
    if result.failed:
        raise Conflict(f"{path} could not be written in the sandbox: {result.failed[0].message}")


async def discard(live: Live, review: Review, picked: Sequence[Picked]) -> tuple[list[str], list[c.Left]]:
    """Set what was picked to what the host has; returns what was done and what was not."""
    done, left = [], []
    whole: dict[str, str] = {}
    for change, pick, deltas in picked:
        try:
            if pick.hunks is not None:
                await _without(live, review, pick.hunks, deltas[0])
                done.append(change.path)
                continue
            for delta in deltas:
                whole[delta.path] = await _unchanged(live, review, delta)
                # The folders that came with it go, if nothing else is in them.
                whole |= {above: "d" for above in parents(delta.path) if review.home.files.look(above) is None}
            done.append(change.path)
        except ContinueExecError as error:
            left.append(c.Left(path=change.path, code=error.code, message=error.message, hint=error.hint))
    failed = await review.mirror.overwrite(live, whole)
    left += [c.Left(path=path, code=Conflict.code, message=why) for path, why in sorted(failed.items())]
    return [path for path in done if path not in failed], left


async def _without(live: Live, review: Review, hunks: Sequence[str], delta: Delta) -> None:
    """Take some hunks out of a file inside."""
    ours, theirs = await asyncio.to_thread(Contents(review).lines, delta)
    kept = {one.id for one in text.differences(ours, theirs)} - set(hunks)
    await _unchanged(live, review, delta)
    await put(live, delta.path, text.bytes_of(text.take(ours, theirs, kept)), delta.inside.mode or delta.host.mode)


async def _unchanged(live: Live, review: Review, delta: Delta) -> str:
    """What stands inside, in the words of `PushEntry.was`, if it still is what was reviewed."""
    was = await live.look(live.workspace, delta.path)

    def version() -> Version:
        seen = review.mirror.state.entries.get(delta.path)
        return review.inside.version(delta.path, review.files.look(delta.path), seen)

    try:
        same = (await asyncio.to_thread(version)).like(delta.inside)
    except (Gone, OSError):
        same = False
    if not same:
        raise Conflict(f"{delta.path} is changing in the sandbox just now", hint="Look at it again.")
    return was


async def rewind(live: Live, review: Review, steps: Mapping[str, Step]) -> tuple[list[str], list[c.Left]]:
    """Set paths to what they were before the first of `steps`; what had come from the host gets what is there now."""
    done, left = [], []
    from_host: dict[str, str] = {}
    items: list[PushItem] = []
    for path, step in sorted(steps.items()):
        try:
            was = await live.look(live.workspace, path)
            if step.mirrored:
                from_host[path] = was
            else:
                items.append(_item(review, path, step.before, was))
            done.append(path)
        except ContinueExecError as error:
            left.append(c.Left(path=path, code=error.code, message=error.message, hint=error.hint))
    failed = await review.mirror.overwrite(live, from_host)
    # Deletions first and from within, so that what takes a folder's place finds it empty.
    deletions = [item for item in reversed(items) if item.entry.kind == "delete"]
    async with review.mirror.lock:
        result = await live.push(live.workspace, [*deletions, *(item for item in items if item.entry.kind != "delete")])
    failed |= {failure.path: failure.message for failure in result.failed}
    left += [c.Left(path=path, code=Conflict.code, message=why) for path, why in sorted(failed.items())]
    return [path for path in done if path not in failed], left


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
