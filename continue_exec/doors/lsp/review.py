"""`continueExec/changes`, `content`, `apply`, `discard`, `rewind`, `runChanges`, `fetch`: what the sandbox changed.

Text comes home through the editor, as one `workspace/applyEdit`: unsaved text is respected, and undo takes it back.
What no edit can say (binary files, links, folders) the engine writes, after the editor has accepted the edit; whether
a text file is executable, as soon as the file is saved.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, Protocol

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from ...client import Client
from ...client.methods import given
from ...errors import Conflict, ContinueExecError
from ...protocol import lsp
from ...protocol.changes import (
    Change,
    ChangeList,
    ChangesApplied,
    ChangesProposed,
    Content,
    Left,
    Pick,
    Proposal,
    Side,
)
from ...tasks import Tasks
from .buffers import Buffers
from .documents import Documents, path_of
from .edits import EXECUTABLE, Abilities, EditBuilder, ends_only
from .folders import Folders
from .places import Place

log = logging.getLogger(__name__)

LABEL = "Apply the sandbox's changes"
"""What editors call the edit in their undo list."""


class AsksForEdits(Protocol):
    """The editor, as far as this needs it."""

    async def workspace_apply_edit_async(
        self, params: types.ApplyWorkspaceEditParams
    ) -> types.ApplyWorkspaceEditResult | dict[str, Any]:
        """Have an edit made."""
        ...


class Review:
    """Attributes: `abilities`: what the editor can do, once it has said so."""

    def __init__(
        self, *, client: Client, documents: Documents, folders: Folders, buffers: Buffers, editor: AsksForEdits
    ) -> None:
        self.abilities = Abilities()
        self._client = client
        self._documents = documents
        self._folders = folders
        self._buffers = buffers
        self._editor = editor
        self._applying = asyncio.Lock()
        self._tasks = Tasks("lsp review")
        self._modes: dict[str, str] = {}
        """Files whose text came home and whose mode waits for it to be saved → the folder they belong to."""

    async def changes(self, params: lsp.ChangesParams) -> dict[str, Any]:
        """`continueExec/changes`."""
        folder = await self._ready(params.uri)
        path = path_of(params.uri) if params.uri is not None else None
        query = given(
            workspace={"path": folder},
            hunks=params.hunks,
            run_id=params.run_id,
            paths=[(await self._place(folder)).relative(path)] if path is not None and path != folder else None,
        )
        return await self._client.call("changes.list", query)

    async def content(self, params: lsp.ContentParams) -> Content:
        """`continueExec/content`."""
        folder = await self._ready(params.uri)
        return await self.side(folder, params.uri, params.side)

    async def side(self, folder: str, uri: str, side: Side) -> Content:
        """One side of the file that a URI names by its path.

        Raises:
            OutsideWorkspace: it is not in the folder's workspace.
        """
        place = await self._place(folder)
        path = place.relative(path_of(uri) or folder)
        query = {"workspace": {"path": folder}, "path": path, "side": str(side.value)}
        return Content.model_validate(await self._client.call("changes.content", query))

    async def discard(self, params: lsp.ApplyParams) -> dict[str, Any]:
        """`continueExec/discard`."""
        folder = await self._ready(params.uri)
        return await self._client.call("changes.discard", _params(folder, params.picks, params.all, params.yes))

    async def rewind(self, params: lsp.RewindParams) -> dict[str, Any]:
        """`continueExec/rewind`: in the workspace that the run ran in."""
        run = await self._client.call("run.get", {"run_id": params.run_id})
        box = await self._client.call("sandbox.get", {"sandbox_id": run["sandbox_id"]})
        workspace = {"path": box["workspace"]["path"], "root": True}
        return await self._client.call("changes.rewind", {"workspace": workspace, "run_id": run["id"]})

    async def run_changes(self, params: lsp.RunIdParams) -> dict[str, Any]:
        """`continueExec/runChanges`."""
        return await self._client.call("run.changes", {"run_id": params.run_id})

    async def fetch(self, params: lsp.WorkspaceParams) -> dict[str, Any]:
        """`continueExec/fetch`."""
        return await self._client.call("git.fetch", {"path": self._folders.of(params.uri)})

    # Applying

    async def apply(self, params: lsp.ApplyParams) -> ChangesApplied:
        """`continueExec/apply`."""
        async with self._applying:  # the next one's positions must count what this one did
            folder = await self._ready(params.uri)
            place = await self._place(folder)
            params = params.model_copy(update={"picks": tuple(_named(place, pick) for pick in params.picks)})
            asked = _params(folder, params.picks, params.all, params.yes)
            # Before the proposals, so that a host's text of the same version is the one they were made from.
            changes = await self._changes_of(folder, None if params.all else [pick.path for pick in params.picks])
            proposed = ChangesProposed.model_validate(await self._client.call("changes.propose", asked))
            left = list(proposed.left)
            edit, through_editor, through_engine = await self._divide(place, proposed.proposals, changes, params, left)
            if edit is not None and (refusal := await self._make(edit)) is not None:
                left += [_left(one.path, refusal) for one in (*through_editor, *through_engine)]
                return ChangesApplied(applied=(), left=tuple(left))
            applied = [one.path for one in through_editor]
            if edit is not None:
                await self._buffers.flush(folder)
                left += await self._follow_up(place, through_editor, changes, params.picks)
            if through_engine:
                done = await self._write(folder, _picks_for(through_engine, params.picks, changes), params.yes)
                applied += done.applied
                left += done.left
            return ChangesApplied(applied=tuple(sorted(applied)), left=tuple(left))

    async def _follow_up(
        self, place: Place, proposals: Iterable[Proposal], changes: dict[str, Change], picks: Iterable[Pick]
    ) -> list[Left]:
        """What belongs to an edit and is none: a mode; that a merge is what the sandbox has, too."""
        merged = {pick.path for pick in picks if pick.take is Side.MERGED}
        left = []
        for one in proposals:
            try:
                if one.path in merged:
                    await self._share(place.folder, one)
                elif _mode_differs(changes[one.path]) and not await self._settle_mode(place.folder, one.path):
                    self._modes[place.absolute(one.path)] = place.folder
            except ContinueExecError as error:
                left.append(_left(one.path, error))
        return left

    async def _share(self, folder: str, merged: Proposal) -> None:
        """Give the sandbox the text that was merged. Raises Conflict: the editor does not have it (yet)."""
        held = await self._host(folder, merged.path)
        if held.text != merged.text:
            raise Conflict(
                f"{merged.path} was merged in the editor, but the sandbox still has its own version.",
                hint="Save the file, then discard the sandbox's version.",
            )
        pick = Pick(path=merged.path, version=held.version or None)
        await self._client.call("changes.discard", _params(folder, [pick], False, ()))

    async def _settle_mode(self, folder: str, path: str) -> bool:
        """Have the engine set a file's mode, if nothing else is left of its change; whether that is settled."""
        change = (await self._changes_of(folder, [path])).get(path)
        if change is None or not _mode_differs(change):
            return True
        if change.kind != "modified" or change.insertions or change.deletions or change.binary:
            return False
        pick = Pick(path=path, version=change.version)
        yes = (path,)  # its text, which needed the yes, is home already
        return bool((await self._write(folder, [pick], yes)).applied)

    def saved(self, uri: str) -> None:
        """A document was saved: its mode can follow its text."""
        path = path_of(uri)
        if path is not None and (folder := self._modes.pop(path, None)) is not None:
            self._tasks.spawn(path, self._mode_of_saved(folder, path))

    async def _mode_of_saved(self, folder: str, path: str) -> None:
        try:
            await self._buffers.flush(folder)
            place = await self._place(folder)
            await self._settle_mode(folder, place.relative(path))
        except ContinueExecError as error:
            log.warning("the mode of %s did not come home: %s", path, error)  # it is still listed as a change

    async def close(self) -> None:
        """End what goes on."""
        await self._tasks.close()

    async def _changes_of(self, folder: str, paths: list[str] | None) -> dict[str, Change]:
        """What kind of thing each is, and its version: proposals do not say. None: of all."""
        query = given(workspace={"path": folder}, paths=paths)
        answer = ChangeList.model_validate(await self._client.call("changes.list", query))
        return {change.path: change for change in answer.changes}

    async def _divide(
        self,
        place: Place,
        proposals: Iterable[Proposal],
        changes: dict[str, Change],
        params: lsp.ApplyParams,
        left: list[Left],
    ) -> tuple[types.WorkspaceEdit | None, list[Proposal], list[Proposal]]:
        """The editor's edit, what is in it, and what is the engine's; what fits neither goes to `left`."""
        through_editor: list[Proposal] = []
        through_engine: list[Proposal] = []
        builder = EditBuilder(self.abilities, self._documents, place)
        for one in proposals:
            change = changes.get(one.path)
            if change is not None and not self.abilities.can(one, change):
                through_engine.append(one)
                continue
            base = None if one.kind == "added" else await self._host(place.folder, one.old_path or one.path)
            if change is None or (base is not None and not _same(base, change)):
                left.append(_left(one.path, Conflict(f"{one.path} has just changed.", hint="Look at it again.")))
            elif one.edits and base is not None and ends_only(base.text or "", one.text or ""):
                through_engine.append(one)
            elif builder.add(
                one, None if base is None else base.text, change.needs_yes if one.path in params.yes else ""
            ):
                through_editor.append(one)
            else:
                words = f"The editor's text of {one.path} is not the one that the sandbox's was compared with."
                left.append(_left(one.path, Conflict(words, hint="Save it, or look at the change again.")))
        return builder.build(), through_editor, through_engine

    async def _host(self, folder: str, path: str) -> Content:
        """The host's side of a path, unsaved text included."""
        query = {"workspace": {"path": folder}, "path": path, "side": Side.HOST.value}
        return Content.model_validate(await self._client.call("changes.content", query))

    async def _make(self, edit: types.WorkspaceEdit) -> ContinueExecError | None:
        """Have the editor make it; why it did not, if it did not. No time limit: it may be asking a person."""
        try:
            answer = await self._editor.workspace_apply_edit_async(types.ApplyWorkspaceEditParams(edit, LABEL))
        except JsonRpcException as error:
            return Conflict(f"The editor could not apply it: {error.message}")
        if isinstance(answer, dict):
            applied, reason = answer.get("applied"), answer.get("failureReason")
        else:
            applied, reason = getattr(answer, "applied", False), getattr(answer, "failure_reason", None)
        if applied:
            return None
        return Conflict(
            f"The editor did not apply it{f': {reason}' if reason else '.'}", hint="Look at the changes again."
        )

    async def _write(self, folder: str, picks: list[Pick], yes: Iterable[str]) -> ChangesApplied:
        """What the engine does. The edit stands: whatever fails here is said, not raised."""
        try:
            answer = await self._client.call("changes.apply", _params(folder, picks, False, yes))
            return ChangesApplied.model_validate(answer)
        except ContinueExecError as error:
            return ChangesApplied(applied=(), left=tuple(_left(one.path, error) for one in picks))

    # Where

    async def _ready(self, uri: str | None) -> str:
        """The folder that a URI belongs to, with the engine's view of unsaved texts up to date."""
        folder = self._folders.of(uri)
        await self._buffers.flush(folder)
        return folder

    async def _place(self, folder: str) -> Place:
        workspace = await self._client.call("workspace.resolve", {"path": folder})
        return Place(folder, str(workspace["path"]))


def _params(folder: str, picks: Iterable[Pick], all: bool, yes: Iterable[str]) -> dict[str, Any]:
    return {
        "workspace": {"path": folder},
        "picks": [pick.model_dump(mode="json") for pick in picks],
        "all": all,
        "yes": list(yes),
    }


def _named(place: Place, pick: Pick) -> Pick:
    return pick.model_copy(update={"path": place.relative(pick.path)}) if pick.path.startswith("/") else pick


def _same(base: Content, change: Change) -> bool:
    """Whether a host's text is the one that a change was made from. A rename is of two paths, and of no lines."""
    return change.kind == "renamed" or base.version in ("", change.version)


def _picks_for(proposals: Iterable[Proposal], picks: Iterable[Pick], changes: dict[str, Change]) -> list[Pick]:
    """The picks that were asked for, of some of the proposals; made up for those that `all` meant."""
    asked = {pick.path: pick for pick in picks}
    return [asked.get(one.path) or Pick(path=one.path, version=changes[one.path].version) for one in proposals]


def _mode_differs(change: Change) -> bool:
    """Whether a file is executable on one side only: no edit can say that."""
    if change.kind == "deleted" or change.mode is None:
        return False
    return bool((change.mode ^ (change.old_mode or 0)) & EXECUTABLE)


def _left(path: str, error: ContinueExecError) -> Left:
    return Left(path=path, code=error.code, message=error.message, hint=error.hint)
