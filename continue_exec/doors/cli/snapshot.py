"""`snapshot`: save the sandbox as it is, and go back to what was saved."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ...client import Client
from ...errors import InvalidRequest
from . import options as common
from . import say

VERBS = ("create", "list", "show", "rename", "restore", "rm")


def snapshot_options(parser: common.Parser) -> None:
    """Options of `snapshot`."""
    parser.about(
        "Save this workspace's sandbox (files, installed packages, and with --memory all that runs), and go back to\n"
        "what was saved. `restore` saves what is there first, as `before-NAME-TIME`, so it can be taken back.\n"
        "The files of this machine are not touched by any of it.",
        usage="create [NAME] [--memory]\n       continue-exec snapshot list [--all]\n"
        "       continue-exec snapshot show|restore|rm NAME\n       continue-exec snapshot rename NAME NEW",
        examples=["snapshot create before-upgrade", "snapshot create --memory", "snapshot restore before-upgrade"],
    )
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help=", ".join(VERBS))
    parser.add_argument("name", nargs="?", metavar="NAME", help="the snapshot's name, or its id")
    parser.add_argument("new", nargs="?", metavar="NEW", help="its new name")
    parser.add_argument("--memory", action="store_true", help="with all that runs: it stands still for a moment")
    parser.add_argument("--all", "-a", action="store_true", help="list those of every workspace")
    common.json_option(parser)


async def snapshot(options: Namespace) -> int:
    """Carry out one verb."""
    _check(options)
    async with Client() as client:
        answer = await client.call(f"snapshot.{_METHODS[options.verb]}", _params(options))
    if options.json:
        say.json(answer)
    elif options.verb == "list":
        _table(answer["snapshots"])
    else:
        for line in _said(options, answer):
            print(line)
    return 0


_METHODS = {"create": "create", "list": "list", "show": "get", "rename": "rename", "restore": "restore", "rm": "remove"}


def _check(options: Namespace) -> None:
    if options.verb in ("show", "restore", "rm", "rename") and options.name is None:
        raise InvalidRequest(f"Which snapshot? `snapshot {options.verb} NAME`.", hint="`snapshot list` shows them.")
    if (options.verb == "rename") != (options.new is not None):
        raise InvalidRequest("`rename` takes two names, the others one at most.")
    if options.memory and options.verb != "create":
        raise InvalidRequest("--memory is for `snapshot create`.")


def _params(options: Namespace) -> dict[str, Any]:
    here = {"workspace": common.workspace_ref()}
    if options.verb == "create":
        return {**here, "name": options.name or "", "memory": options.memory}
    if options.verb == "list":
        return {} if options.all else here
    ref = {"snapshot": options.name} if options.name.startswith("snap_") else {**here, "snapshot": options.name}
    return {**ref, "name": options.new} if options.verb == "rename" else ref


def _said(options: Namespace, answer: dict[str, Any]) -> list[str]:
    match options.verb:
        case "restore":
            return [f"Restored {options.name}. What was there is saved: `continue-exec snapshot list`."]
        case "rm":
            return [f"Deleted {options.name}."]
        case "rename":
            return [f"{options.name} is {answer['name']} now."]
        case "create":
            return [f"Saved as {answer['name']} ({_kind(answer)}, {say.size(answer['size_bytes'])})."]
    return [
        f"{answer['name']}  {answer['id']}",
        f"of:      {answer['workspace']} ({answer['sandbox_id']})",
        f"holds:   {_kind(answer)}, {say.size(answer['size_bytes'])}",
        f"made:    {say.ago(answer['created_at'])}",
        f"after:   {answer['parent_id'] or 'nothing'}",
    ]


def _kind(snapshot: dict[str, Any]) -> str:
    return "files and memory" if snapshot["memory"] else "files"


def _table(snapshots: list[dict[str, Any]]) -> None:
    rows = [
        (
            say.plain(one["name"]),
            one["id"],
            _kind(one),
            say.size(one["size_bytes"]),
            say.ago(one["created_at"]),
            say.short(one["workspace"]),
        )
        for one in snapshots
    ]
    say.table([("NAME", "ID", "HOLDS", "SIZE", "MADE", "WORKSPACE"), *rows])
