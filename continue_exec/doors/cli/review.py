"""What `diff`, `apply` and `discard` share: which changes are meant, and how the engine's answer reads."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...client import Client
from ...errors import InvalidRequest, NotFound
from . import options as common
from . import patch, say

Change = Mapping[str, Any]
"""A Change of `changes.list`, as JSON."""

SHORTEST_HUNK_ID = 4
"""Digits of a hunk's id that must at least be typed."""


def paths_argument(parser: common.Parser, help: str) -> None:
    """PATH ..., files or folders."""
    parser.add_argument("paths", nargs="*", metavar="PATH", help=help)


class Changes:
    """The answer of `changes.list`, and what is meant by the names that a person types."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.answer = answer
        self.root = str(answer["workspace"])
        self.all: Sequence[Change] = answer["changes"]

    def __iter__(self) -> Iterator[Change]:
        return iter(self.all)

    def at(self, name: str) -> list[Change]:
        """Changes at and below a path.

        Raises:
            NotFound: nothing is there, neither changed nor unchanged.
        """
        where = relative(self.root, name)
        found = [change for change in self.all if _is_at(change, where)]
        if not found and not os.path.lexists(os.path.join(self.root, where)):
            raise NotFound(
                f"{name} has no change, and is no file here.", hint="`continue-exec diff --names` lists the changes."
            )
        return found

    def one(self, name: str) -> Change:
        """The change of just this path.

        Raises:
            InvalidRequest: it is a folder with changes below it.
            NotFound: it has no change.
        """
        where = relative(self.root, name)
        for change in self.all:
            if change["path"] == where:
                return change
        if self.at(name):
            raise InvalidRequest(f"{name} is a folder: each file needs its own yes.", hint="Name the files.")
        raise NotFound(f"{name} has no change.", hint="`continue-exec diff --names` lists the changes.")

    def of_hunk(self, id: str) -> tuple[Change, str]:
        """The change that a hunk belongs to, and the hunk's whole id.

        Raises:
            NotFound, InvalidRequest: none, or more than one, begins like this.
        """
        found = [
            (change, str(hunk["id"]))
            for change in self.all
            for hunk in change.get("hunks") or ()
            if hunk["id"].startswith(id.lower())
        ]
        if len(id) < SHORTEST_HUNK_ID or len(found) > 1:
            raise InvalidRequest(f"More than one hunk may begin with {id}.", hint="Write more of its id.")
        if not found:
            raise NotFound(
                f"There is no hunk {id} among these changes.",
                hint="`continue-exec diff` shows their ids; they are others once the lines have changed.",
            )
        return found[0]


def _is_at(change: Change, where: str) -> bool:
    names = (change["path"], change.get("old_path") or change["path"])
    return where == "." or any(name == where or name.startswith(where + "/") for name in names)


async def fetch(client: Client, names: Sequence[str] = (), *, hunks: bool, run_id: str | None = None) -> Changes:
    """`changes.list` of the current folder's workspace. Raises what the engine answers."""
    query: dict[str, Any] = {"workspace": common.workspace_ref(), "hunks": hunks}
    if names:
        query["paths"] = [absolute(name) for name in names]
    if run_id is not None:
        query["run_id"] = (await client.call("run.get", {"run_id": run_id}))["id"]
    return Changes(await client.call("changes.list", query))


async def content(client: Client, path: str, side: str) -> dict[str, Any]:
    """`changes.content` of one side of one path."""
    return await client.call("changes.content", {"workspace": common.workspace_ref(), "path": path, "side": side})


async def host_text(client: Client, change: Change) -> str | None:
    """The host's text beneath a change's hunks; None if it has none, or nothing of it is left unchanged."""
    if not change.get("hunks") or change["kind"] not in ("modified", "renamed"):
        return None
    found = await content(client, change.get("old_path") or change["path"], "host")
    return found.get("text")


def absolute(name: str) -> str:
    """A path as typed, from the root. A link at its end is itself what is meant."""
    return os.path.normpath(os.path.join(common.here(), name))


def relative(root: str, name: str) -> str:
    """A path as typed, from the workspace; `.`: the workspace itself.

    Raises:
        InvalidRequest: it lies outside.
    """
    path = absolute(name)
    for found in (path, os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))):
        if found == root:
            return "."
        if found.startswith(root.rstrip("/") + "/"):
            return found[len(root.rstrip("/")) + 1 :]
    raise InvalidRequest(f"{name} is not in the workspace {root}.", hint="Go to the workspace it belongs to.")


def report(answer: Mapping[str, Any], done: str, *, dry_run: bool = False) -> int:
    """Say what was done and what was left, and why; the exit code."""
    applied, left = answer.get("applied", ()), answer.get("left", ())
    if applied:
        print(f"{'Would be ' + done.lower() if dry_run else done}:")
        for path in applied:
            print(f"  {patch.visible(path)}")
    if left:
        print("Left:")
        for one in left:
            print(f"  {patch.visible(one['path'])}: {patch.visible(one['message'])}")
            if one.get("hint"):
                print(f"    {say.colour('→ ' + patch.visible(one['hint']), say.DIM)}")
    return 1 if left else 0


def count(number: int, noun: str) -> str:
    """`1 file`, `3 files`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
