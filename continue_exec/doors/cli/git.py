"""`fetch`: commits made in the sandbox come home."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from typing import Any

from ...client import Client
from . import options as common
from . import say

SHORT = 10
"""Digits of a commit that are shown."""


def fetch_options(parser: common.Parser) -> None:
    """Options of `fetch`."""
    parser.about(
        "Bring commits made in the sandbox home. A branch there is refs/continue-exec/SANDBOX/BRANCH here;\n"
        "your own branches and files stay as they are until you merge.",
        examples=["fetch", "fetch --json"],
        codes="0: done; 1: something could not come home",
    )
    common.json_option(parser)


async def fetch(options: Namespace) -> int:
    """Print each ref, and the commands to go on with."""
    async with Client() as client:
        answer = await client.call("git.fetch", common.workspace_ref())
    notes = answer.get("notes", [])
    if options.json:
        say.json(answer)
        return 1 if notes else 0
    refs = answer["refs"]
    for ref in refs:
        print(_line(ref))
    if not refs and not notes:
        print("Nothing was committed in the sandbox.")
    branches = [ref for ref in refs if not ref["name"].startswith("refs/tags/")]
    if branches:
        first = branches[0]
        git = f"git -C {shlex.quote(first['repository'])}" if first["repository"] else "git"
        name = shlex.quote(first["host_name"])
        print(f"\nTo look at it:  {git} log -p HEAD..{name}\nTo take it:     {git} merge {name}")
    for note in notes:
        print(f"continue-exec: {note}", file=sys.stderr)
    return 1 if notes else 0


def _line(ref: dict[str, Any]) -> str:
    where = f"{ref['repository']}: " if ref["repository"] else ""
    old, new = ref["old_commit"], ref["commit"]
    state = "new" if not old else "as before" if old == new else f"was {old[:SHORT]}"
    return f"{where}{ref['host_name']}  {new[:SHORT]} ({state})  {say.short(ref['subject'], 72)}"
