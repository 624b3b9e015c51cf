"""`diff`: what the sandbox has otherwise than the host; and the line after a run that says so."""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

from ...client import Client
from ...errors import ContinueExecError, InvalidRequest
from . import options as common
from . import patch, review, say, terminal
from .pager import Page

NOTE_SECONDS = 0.2
"""For the engine to say what a run has changed: whoever waits for the prompt does not wait for this."""

AHEAD = 16
"""Changes that the engine is asked about at once."""

T = TypeVar("T")

BAR = 40
"""Characters of the longest bar of --stat."""


def diff_options(parser: common.Parser) -> None:
    """Options of `diff`."""
    parser.about(
        "Show what the sandbox changed in the workspace and the host does not have, as a unified diff: `-` is the\n"
        "host's line, `+` the sandbox's. The id after each @@ names the hunk for `apply --hunk` and `discard --hunk`.\n"
        "Control characters are shown, not sent to the terminal; --patch has every byte as it is.",
        usage="[PATH ...] [--stat | --names | --patch | --json] [OPTIONS]",
        examples=["diff", "diff --stat", "diff src/main.py", "diff --run run_5f2a", "diff --patch | git apply --check"],
        codes="0: done; 1: with --exit-code, there are changes",
    )
    review.paths_argument(parser, "only at and below these")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--stat", action="store_true", help="only how many lines, for each file")
    form.add_argument("--names", action="store_true", help="only the paths, one a line")
    form.add_argument("--patch", action="store_true", help="exactly what `git apply` reads, binary files included")
    form.add_argument("--json", action="store_true", help="print the engine's answer as JSON, with the hunks")
    parser.add_argument("--run", metavar="ID", help="only files that this run changed")
    parser.add_argument(
        "--context", "-U", type=int, default=patch.CONTEXT, metavar="N", help="lines around (default: 3)"
    )
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="default: auto")
    parser.add_argument("--no-pager", action="store_true", help="never show it in $PAGER (only done on a terminal)")
    parser.add_argument("--exit-code", action="store_true", help="exit with 1 if there are changes")


async def diff(options: Namespace) -> int:
    """Print the changes in the form that was asked for."""
    if options.context < 0:
        raise InvalidRequest("--context must not be negative.")
    async with Client() as client:
        lines = not (options.stat or options.names)
        found = await review.fetch(client, options.paths, hunks=lines, run_id=options.run)
        for name in options.paths:
            found.at(name)  # a misspelt path is an error, not an empty diff
        if options.json:
            say.json(found.answer)
        elif options.names:
            _print_names(found)
        elif options.patch:
            await _print_patch(client, found)
        else:
            await _print(client, found, options)
    if not options.json:
        for left_out in found.answer.get("left_out", ()):
            say.line(f"not compared: {patch.visible(left_out)}")
    return 1 if options.exit_code and found.all else 0


def _print_names(found: review.Changes) -> None:
    """For a program as they are; for a person without what a terminal would obey."""
    shown = terminal.is_terminal(1)
    with Page(use=False) as page:
        for change in found:
            page.line(patch.visible(change["path"]) if shown else change["path"])


async def _print(client: Client, found: review.Changes, options: Namespace) -> None:
    colour = options.color == "always" or (options.color == "auto" and say.colour("x", say.RED) != "x")
    paint = patch.Paint(colour=colour)
    with Page(use=not options.no_pager and bool(found.all)) as page:
        if options.stat:
            for line in stat(list(found), paint):
                page.line(line)
            return
        async for change, (host,) in ahead(found.all, lambda change: [review.host_text(client, change)]):
            if page.closed:
                break
            for line in patch.shown(change, host, paint, options.context):
                page.line(line)
            if change.get("conflict") and change.get("hunks"):
                for line in await conflict(client, change, paint):
                    page.line(line)


async def conflict(client: Client, change: review.Change, paint: patch.Paint) -> list[str]:
    """Where the two sides' changes meet, as `apply --merged` would write it."""
    merged = (await review.content(client, change["path"], "merged")).get("text")
    lines = list(patch.markers(merged or ""))
    return [paint(f"! merged, with markers (apply --merged {change['path']}):", say.RED), *lines] if lines else []


async def _print_patch(client: Client, found: review.Changes) -> None:
    def sides(change: review.Change) -> list[Awaitable[dict[str, Any] | None]]:
        old = change.get("old_path") or change["path"]
        lines = bool(change.get("hunks"))
        # What the hunks tell need not be asked for.
        host = change["kind"] != "added" and not (lines and change["kind"] == "deleted")
        inside = change["kind"] != "deleted" and not lines
        return [
            review.content(client, old, "host") if host else _nothing(),
            review.content(client, change["path"], "sandbox") if inside else _nothing(),
        ]

    with Page(use=False) as page:
        async for change, (host, inside) in ahead(found.all, sides):
            if "folder" in (change["type"], change.get("old_type")):
                say.line(f"not in the patch, for git keeps no folders: {patch.visible(change['path'])}")
            for line in patch.patch(change, host, inside):
                page.line(line)


async def _nothing() -> None:
    return None


async def ahead(
    changes: Sequence[review.Change], ask: Callable[[review.Change], Sequence[Awaitable[T]]]
) -> AsyncIterator[tuple[review.Change, Sequence[T]]]:
    """Each change with the answers to what is asked about it: some changes ahead, for thousands are not rare."""
    for at in range(0, len(changes), AHEAD):
        some = changes[at : at + AHEAD]
        answers = await asyncio.gather(*(asyncio.gather(*ask(change)) for change in some))
        for pair in zip(some, answers, strict=True):
            yield pair


# --stat


def stat(changes: list[review.Change], paint: patch.Paint) -> Iterator[str]:
    """How many lines, for each file, as git has it."""
    names = [_name(change) for change in changes]
    width = max((len(name) for name in names), default=0)
    most = max((change["insertions"] + change["deletions"] for change in changes), default=0)
    for change, name in zip(changes, names, strict=True):
        yield f" {name.ljust(width)} | {_extent(change, most, paint)}"
    insertions, deletions = (sum(change[key] for change in changes) for key in ("insertions", "deletions"))
    total = f" {review.count(len(changes), 'file')} changed"
    if insertions:
        total += f", {review.count(insertions, 'insertion')}(+)"
    if deletions:
        total += f", {review.count(deletions, 'deletion')}(-)"
    yield total if changes else "No changes."


def _name(change: review.Change) -> str:
    new = patch.visible(change["path"])
    return f"{patch.visible(change['old_path'])} => {new}" if change.get("old_path") else new


def _extent(change: review.Change, most: int, paint: patch.Paint) -> str:
    marks = [
        word
        for word, key in (("conflict", "conflict"), ("yes?", "needs_yes"), ("refused", "refused"))
        if change.get(key)
    ]
    plus, minus = change["insertions"], change["deletions"]
    if change.get("binary"):
        what = f"Bin {say.size(change.get('size', 0))}"
    elif plus or minus:
        scale = min(1.0, BAR / most)
        bar = [
            paint(mark * (max(1, round(n * scale)) if n else 0), code)
            for mark, n, code in (("+", plus, say.GREEN), ("-", minus, say.RED))
        ]
        what = f"{plus + minus} {''.join(bar)}"
    else:
        what = change["kind"] if change["type"] == "file" else f"{change['kind']} {change['type']}"
    return f"{what}{paint(f'  [{chr(44).join(marks)}]', say.YELLOW) if marks else ''}"


# After a run


async def note(client: Client, run_id: str) -> None:
    """One line on a terminal if the run changed something. Never late, never an error."""
    if not terminal.is_terminal(2):
        return
    try:
        async with asyncio.timeout(NOTE_SECONDS):
            answer: dict[str, Any] = await client.call("run.changes", {"run_id": run_id})
    except (ContinueExecError, TimeoutError):
        return
    if changed := len(answer.get("changes", ())):
        text = f"{review.count(changed, 'file')} changed in the sandbox: continue-exec diff"
        sys.stderr.write(say.colour(text, say.DIM, sys.stderr) + "\n")
