"""`ls`, `stop`, `rm`, `sync`: the sandboxes themselves."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

from ...client import Client
from ...errors import InvalidRequest
from . import options as common
from . import say, terminal

WHICH = "the sandbox's id, or the beginning of it (default: that of the current folder)"


def ls_options(parser: common.Parser) -> None:
    """Options of `ls`."""
    parser.about("List this user's sandboxes, last used first.", examples=["ls", "ls --json"])
    common.json_option(parser)


async def ls(options: Namespace) -> int:
    """Print a table of sandboxes."""
    async with Client() as client:
        answer = await client.call("sandbox.list")
    if options.json:
        say.json(answer)
        return 0
    rows = [("SANDBOX", "STATE", "ISOLATION", "USED", "WORKSPACE")]
    rows += [
        (
            box["id"],
            box["state"],
            box["isolation"] + (" (rootless)" if box.get("rootless") else ""),
            say.ago(box["used_at"]),
            say.short(box["workspace"]["path"], 200),
        )
        for box in answer["sandboxes"]
    ]
    if len(rows) > 1:
        say.table(rows)
    else:
        print("No sandboxes.")
    return 0


def stop_options(parser: common.Parser) -> None:
    """Options of `stop`."""
    parser.about(
        "End every process in a sandbox. Its files stay; the next run starts it again.",
        examples=["stop", "stop sb_19c2", "stop --all"],
    )
    parser.add_argument("sandbox", nargs="?", metavar="ID", help=WHICH)
    parser.add_argument("--all", action="store_true", help="every sandbox")
    common.json_option(parser)


async def stop(options: Namespace) -> int:
    """Stop one, or all that are not stopped."""
    async with Client() as client:
        for ref, name in await _which(client, options):
            stopped = await client.call("sandbox.stop", ref)
            if options.json:
                say.json(stopped)
            else:
                print(f"Stopped {name}.")
    return 0


def rm_options(parser: common.Parser) -> None:
    """Options of `rm`."""
    parser.about(
        "Delete a sandbox: its processes, everything installed in it, every file changed in it. The workspace on\n"
        "this machine stays as it is. Asks first, unless --force.",
        examples=["rm", "rm sb_19c2", "rm --all --force"],
    )
    parser.add_argument("sandbox", nargs="?", metavar="ID", help=WHICH)
    parser.add_argument("--all", action="store_true", help="every sandbox")
    parser.add_argument("--force", "-f", action="store_true", help="do not ask")


async def rm(options: Namespace) -> int:
    """Delete one, or all."""
    async with Client() as client:
        found = await _which(client, options)
        if found and not options.force and not _yes(found):
            print("Nothing was deleted.")
            return 1
        for ref, name in found:
            await client.call("sandbox.remove", ref)
            print(f"Deleted {name}.")
    return 0


def _yes(found: list[tuple[dict[str, Any], str]]) -> bool:
    """Ask a person."""
    if not terminal.is_terminal(0):
        raise InvalidRequest("Deleting needs a yes, and nobody can be asked.", hint="Add --force.")
    names = "\n".join(f"  {name}" for _, name in found)
    sys.stderr.write(f"This deletes, with all files inside:\n{names}\nDelete? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


async def _which(client: Client, options: Namespace) -> list[tuple[dict[str, Any], str]]:
    """SandboxRef's JSON and a name for each sandbox that is meant."""
    if options.all:
        if options.sandbox is not None:
            raise InvalidRequest("Name a sandbox or say --all, not both.")
        boxes = (await client.call("sandbox.list"))["sandboxes"]
    else:
        ref = {"workspace": common.workspace_ref()} if options.sandbox is None else {"sandbox_id": options.sandbox}
        boxes = [await client.call("sandbox.get", ref)]
    return [({"sandbox_id": box["id"]}, f"{box['id']}, of {say.short(box['workspace']['path'], 200)}") for box in boxes]


def sync_options(parser: common.Parser) -> None:
    """Options of `sync`."""
    parser.about(
        "Bring the sandbox's copy of the workspace up to date now. Every run does so by itself before it starts.",
        examples=["sync", "sync --json"],
    )
    common.json_option(parser)


async def sync(options: Namespace) -> int:
    """Flush the mirror and say what it brought."""
    async with Client() as client:
        answer = await client.call("workspace.sync", common.workspace_ref())
    if options.json:
        say.json(answer)
        return 0
    files = answer["files"]
    brought = f"{files} file{'' if files == 1 else 's'}, {say.size(answer['bytes'])}"
    deleted = f", {answer['deleted']} deleted" if answer["deleted"] else ""
    print(f"Up to date: {brought}{deleted} in {say.duration(answer['duration_ms'] / 1000)}.")
    if left_out := answer.get("left_out"):
        print("Left out (secrets, or unreadable):")
        for path in left_out:
            print(f"  {say.short(path, 200)}")
    return 0
