"""`preview`, and what follows a `run --preview`: what a run did in its copy of the sandbox, to be kept or discarded."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from ...client import Client
from . import ask, patch, review, say
from . import options as common

SHOWN = 20
"""Paths of each kind that are listed before the question; `preview show` lists all."""

MARKS = {"added": "+", "modified": "~", "deleted": "-"}


def preview_options(parser: common.Parser) -> None:
    """Options of `preview`."""
    parser.about(
        "What becomes of a run that was started with `run --preview`, in a throwaway copy of the sandbox: show what\n"
        "it did there, keep the copy as this workspace's sandbox, or throw it away.",
        examples=["preview show run_5f2a", "preview keep run_5f2a", "preview discard run_5f2a"],
    )
    verbs = ("show", "keep", "discard")
    parser.add_argument("verb", choices=verbs, metavar="VERB", help=", ".join(verbs))
    parser.add_argument("run", metavar="ID", help="the run's id, or the beginning of it")
    common.json_option(parser)


async def preview(options: Namespace) -> int:
    """Show, keep or discard."""
    async with Client() as client:
        answer = await client.call(f"preview.{options.verb}", {"run_id": options.run})
    if options.json:
        say.json(answer)
    elif options.verb == "show":
        for line in lines(answer):
            print(line)
    else:
        print(_done(options.verb))
    return 0


async def decide(client: Client, run_id: str) -> None:
    """After a preview run: show what it did on standard error, and ask; without a terminal, say how to decide.

    Raises:
        ContinueExecError: the copy cannot be looked at, kept or discarded.
    """
    shown = await client.call("preview.show", {"run_id": run_id})
    for line in lines(shown, SHOWN):
        sys.stderr.write(f"{line}\n")
    if not ask.possible():
        say.line("keep it:     " + f"continue-exec preview keep {run_id}")
        say.line("throw away:  " + f"continue-exec preview discard {run_id}")
        return
    while True:
        answer = await ask.line("Keep what it did in the sandbox, or discard it [k,d,?]? ")
        if answer in ("k", "keep", "d", "discard"):
            verb = "keep" if answer.startswith("k") else "discard"
            await client.call(f"preview.{verb}", {"run_id": run_id})
            say.line(_done(verb))
            return
        if answer is None:
            say.line(f"not decided: continue-exec preview keep|discard {run_id}")
            return
        say.line("k - the copy becomes the sandbox; nothing comes to this machine's files without `apply`")
        say.line("d - the copy is thrown away; the sandbox is as before the run")


def _done(verb: str) -> str:
    return "Kept: the copy is the sandbox now." if verb == "keep" else "Discarded: the sandbox is as before the run."


def lines(shown: Mapping[str, Any], most: int | None = None) -> Iterator[str]:
    """A Preview for a person, at most so many paths of each kind."""
    changes, elsewhere, hosts = shown["changes"], shown.get("elsewhere", ()), shown.get("hosts", ())
    yield f"In the workspace: {review.count(len(changes), 'file')} changed."
    yield from _paths(changes, len(changes), most)
    total = max(shown.get("elsewhere_total", 0), len(elsewhere))
    yield f"Elsewhere in the sandbox: {review.count(total, 'file')} changed."
    yield from _paths(elsewhere, total, most)
    yield f"Hosts asked for: {'none' if not hosts else ''}".rstrip()
    for one in hosts:
        verdict = "allowed" if one["allowed"] else "refused"
        requests = review.count(one["requests"], "request")
        yield f"  {patch.visible(one['host'])}:{one['port']}  {verdict}, {requests}"


def _paths(changes: Any, total: int, most: int | None) -> Iterator[str]:
    listed = changes if most is None else changes[:most]
    for change in listed:
        yield f"  {MARKS[change['kind']]} {patch.visible(change['path'])}"
    if total > len(listed):
        yield f"  … and {total - len(listed)} more"
