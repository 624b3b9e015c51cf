"""`changes.*`: what the sandbox changed, shown, brought home, thrown away. Nothing is overwritten unseen.

A change is acted on only as it was looked at (`version`); what came from inside is checked again as it is written
(mirror/home.py), and what the host would execute by itself needs its own yes (mirror/guard.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from ..errors import Conflict, ContinueExecError, InvalidRequest, NotFound, NotSupported, Refused
from ..mirror.changes import Delta, parents
from ..mirror.mirror import in_thread
from ..protocol import changes as c
from . import changes_home, changes_inside, workspaces
from .changes_text import Contents, Picked, short
from .live import Live
from .review import Review

AT_ONCE = 100
"""Changes written home before others get a turn at the mirror: some tens of milliseconds."""


async def find(live: Live, query: c.ChangesQuery) -> c.ChangeList:
    """What differs, sorted by path.

    Raises:
        NotSupported: the driver cannot show the sandbox's files.
        OutsideWorkspace, NotFound: `paths` or `run_id` name what is not there.
    """
    review = review_of(live)
    await live.flush()
    deltas = await review.deltas(_below(live, query.paths))
    if query.run_id is not None:
        await review.settled()
        entry = review.history.of_run(query.run_id)
        if entry is None:
            raise NotFound(f"Nothing is known of what {query.run_id} changed", hint="Only the newest runs are kept.")
        deltas = [delta for delta in deltas if delta.path in entry.steps]
    found = await asyncio.to_thread(lambda: Contents(review).changes(deltas, hunks=query.hunks))
    left_out = tuple(f"{path} ({why})" for path, why in sorted(review.left_out.items())[:100])
    return c.ChangeList(sandbox_id=live.sandbox.id, workspace=live.workspace, changes=tuple(found), left_out=left_out)


async def content(live: Live, query: c.ContentQuery) -> c.Content:
    """One side of one path."""
    review = review_of(live)
    path = _relative(live, query.path)
    await live.flush()
    delta = await review.delta(path)
    return await asyncio.to_thread(lambda: Contents(review).content(path, delta, query.side))


async def apply(live: Live, request: c.ChangesApply) -> c.ChangesApplied:
    """Bring changes home. Each path wholly or not at all; what could not is said."""
    review = review_of(live)
    picked, left = await _picked(live, review, request)
    if request.dry_run:
        return c.ChangesApplied(applied=tuple(change.path for change, _, _ in picked), left=tuple(left))
    ordered = sorted(picked, key=_order)
    done: list[str] = []
    for at in range(0, len(ordered), AT_ONCE):
        some = ordered[at : at + AT_ONCE]
        async with review.mirror.lock:
            results = await in_thread(lambda some=some: changes_home.bring_all(review, some))  # type: ignore[misc]
        for (change, _, deltas), result in zip(some, results, strict=True):
            try:
                if isinstance(result, ContinueExecError):
                    raise result
                if result.merged is not None:
                    await changes_inside.put(live, review, deltas[0], result.merged, change.mode or 0o644)
                done.append(change.path)
            except ContinueExecError as error:
                left.append(_left(change.path, error))
    if done:
        await live.flush()
    return c.ChangesApplied(applied=tuple(done), left=tuple(left))


async def propose(live: Live, request: c.ChangesApply) -> c.ChangesProposed:
    """The same as edits for an editor to make."""
    review = review_of(live)
    picked, left = await _picked(live, review, request, editor=True)
    proposals = await asyncio.to_thread(_proposals, Contents(review), picked, left)
    return c.ChangesProposed(proposals=tuple(proposals), left=tuple(left))


def _proposals(contents: Contents, picked: Sequence[Picked], left: list[c.Left]) -> list[c.Proposal]:
    """What is refused on the way is added to `left`."""
    proposals = []
    for change, pick, deltas in picked:
        try:
            proposals.append(contents.proposal(change, pick, deltas[0]))
        except ContinueExecError as error:
            left.append(_left(change.path, error))
    return proposals


async def discard(live: Live, request: c.ChangesApply) -> c.ChangesApplied:
    """Set paths inside to what the host has. What is thrown away can be gone back to (`changes.rewind`)."""
    review = review_of(live)
    picked, left = await _picked(live, review, request, discard=True)
    if request.dry_run or not picked:
        return c.ChangesApplied(applied=tuple(change.path for change, _, _ in picked), left=tuple(left))
    await review.settled()
    done, failed = await changes_inside.discard(live, review, picked)
    await review.survey(changes_inside.name("discard"))
    await live.flush()
    return c.ChangesApplied(applied=tuple(done), left=(*left, *failed))


async def rewind(live: Live, request: c.Rewind) -> c.ChangesApplied:
    """Set the workspace inside to what it was before a run."""
    review = review_of(live)
    await live.flush()
    await review.settled()
    steps = review.history.since(request.run_id)
    if steps is None:
        raise NotFound(f"Nothing is known of what {request.run_id} changed", hint="Only the newest runs are kept.")
    if request.dry_run:
        return c.ChangesApplied(applied=tuple(sorted(steps)))
    done, failed = await changes_inside.rewind(live, review, steps)
    await review.survey(changes_inside.name("rewind"))
    await live.flush()
    return c.ChangesApplied(applied=tuple(done), left=tuple(failed))


async def of_run(live: Live, run_id: str) -> c.RunChanges:
    """What a run changed; waits until that is known."""
    review = review_of(live)
    await review.settled()
    entry = review.history.of_run(run_id)
    if entry is None:
        return c.RunChanges(run_id=run_id, changes=(), restorable=False)
    beside = (*(other for other in entry.runs if other != run_id), *entry.beside)
    return c.RunChanges(
        run_id=run_id,
        changes=short(entry.steps),
        beside=tuple(dict.fromkeys(beside)),
        restorable=review.history.restorable(run_id),
    )


# Which changes are meant


async def _picked(
    live: Live, review: Review, request: c.ChangesApply, *, editor: bool = False, discard: bool = False
) -> tuple[list[Picked], list[c.Left]]:
    """What is to be acted on, and what is not, with the reason."""
    if not request.all and not request.picks:
        raise InvalidRequest("Say which changes: `picks`, or `all`.")
    await live.flush()
    deltas = await review.deltas()
    picks = {_relative(live, pick.path): pick for pick in request.picks}
    yes = {_relative(live, path) for path in request.yes}
    found = await asyncio.to_thread(_found, Contents(review), deltas, picks, everything=request.all)
    by_path = {delta.path: delta for delta in deltas}
    left: list[c.Left] = []
    if request.all:
        for path in found:
            picks.setdefault(path, c.Pick(path=path))
    by_name = {change.old_path: change for change in found.values() if change.old_path} | found
    chosen: dict[str, Picked] = {}
    for path, pick in sorted(picks.items()):
        named = [by_name[path]] if path in by_name else []
        below = [] if named else [change for change in found.values() if not path or change.path.startswith(path + "/")]
        if not named and not below:
            error = NotFound(f"{path} has no change", hint="`continue-exec diff` shows what has.")
            left.append(_left(path, error))
        for change in (*named, *below):
            try:
                by_all = request.all and pick not in request.picks
                _check(change, pick, yes, by_all=by_all, discard=discard)
                if not editor and not discard:
                    _check_buffer(review, change)
            except ContinueExecError as error:
                left.append(_left(change.path, error))
                continue
            sides = [by_path[name] for name in (change.path, change.old_path) if name in by_path]
            chosen[change.path] = change, pick, sides
    return [chosen[path] for path in sorted(chosen)], left


def _found(
    contents: Contents, deltas: Sequence[Delta], picks: Mapping[str, c.Pick], *, everything: bool
) -> dict[str, c.Change]:
    """The changes that are meant, by path; with their lines only where single hunks are. Blocks."""
    wanted = None
    if not everything and "" not in picks:
        wanted = {delta.path for delta in deltas if not picks.keys().isdisjoint((delta.path, *parents(delta.path)))}
    found = {change.path: change for change in contents.changes(deltas, hunks=False, counts=False, only=wanted)}
    by_hunk = {path for path, pick in picks.items() if pick.hunks is not None}
    if by_hunk:
        found |= {change.path: change for change in contents.changes(deltas, hunks=True, only=by_hunk)}
    return found


def _order(one: tuple[c.Change, c.Pick, Sequence[Delta]]) -> tuple[int, int]:
    """Deletions first and from within, then what comes, last what takes a folder's place: it must find it empty."""
    change = one[0]
    if change.kind == "deleted":
        return 0, -change.path.count("/")
    return (2, -change.path.count("/")) if change.old_type == "folder" else (1, 0)


def _below(live: Live, paths: Sequence[str]) -> list[str]:
    return [_relative(live, path) for path in paths]


def _relative(live: Live, path: str) -> str:
    """Below the workspace, as it is named: what the path is a link to does not matter."""
    return workspaces.below(live.sandbox.workspace, path)


def review_of(live: Live) -> Review:
    """The sandbox's review.

    Raises:
        NotSupported: its driver cannot show its files.
    """
    if live.review is None:
        raise NotSupported(
            f"The driver {live.sandbox.driver} keeps no copy of the workspace", hint="Use the driver `runsc`."
        )
    return live.review


def _check(change: c.Change, pick: c.Pick, yes: set[str], *, by_all: bool, discard: bool) -> None:
    if pick.version is not None and pick.version != change.version:
        raise Conflict(
            f"{change.path} has changed since it was looked at", hint="Look at it again: `continue-exec diff`."
        )
    known = {hunk.id for hunk in change.hunks}
    if pick.hunks is not None and not known.issuperset(pick.hunks):
        missing = ", ".join(sorted(set(pick.hunks) - known))
        raise NotFound(f"{change.path} has no hunk {missing}", hint="`continue-exec diff` shows their ids.")
    if discard:
        if by_all and change.conflict:
            raise Conflict(f"{change.path}: {change.conflict}", hint="Name it to throw the sandbox's version away.")
        return
    if change.refused:
        raise Refused(f"{change.path} cannot come home: {change.refused}")
    if change.needs_yes and change.path not in yes:
        raise Refused(
            f"{change.path} needs a yes of its own: {change.needs_yes}",
            hint=f"Look at it, then: `continue-exec apply --yes {change.path}`.",
        )
    if change.conflict and pick.take is not c.Side.MERGED and pick.version is None:
        raise Conflict(
            f"{change.path}: {change.conflict}",
            hint="`continue-exec apply --merged PATH` writes both with markers; `discard PATH` keeps the host's.",
        )


def _check_buffer(review: Review, change: c.Change) -> None:
    for path in filter(None, (change.path, change.old_path)):
        if path in review.mirror.buffers():
            raise Conflict(
                f"{path} has unsaved text in an editor", hint="Save it first, or apply the change from the editor."
            )


def _left(path: str, error: ContinueExecError) -> c.Left:
    return c.Left(path=path, code=error.code, message=error.message, hint=error.hint)
