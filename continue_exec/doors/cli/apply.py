"""`apply`, `discard` and `rewind`: what becomes of the sandbox's changes."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from ...client import Client
from ...errors import InvalidRequest
from . import ask, patch, review, say
from . import options as common
from .picking import Picker


def apply_options(parser: common.Parser) -> None:
    """Options of `apply`."""
    parser.about(
        "Bring changes that the sandbox made home, to this machine's files. Without a PATH or --all, on a terminal:\n"
        "each hunk is shown and asked about. Nothing of yours is overwritten: where both sides changed the same\n"
        "lines, say --merged or --sandbox. Files that this machine executes by itself need a --yes with their name.",
        usage="[PATH ...] [OPTIONS]",
        examples=[
            "apply",
            "apply --all",
            "apply src README.md",
            "apply --hunk 3f2a9c01",
            "apply --yes .vscode/tasks.json",
            "apply --merged main.py",
        ],
        codes="0: everything that was named came home; 1: something was left",
    )
    review.paths_argument(parser, "files, or folders with everything below them")
    _hunk_option(parser, "only these hunks; their ids are in `diff`")
    parser.add_argument(
        "--all", action="store_true", help="every change without a conflict that needs no yes of its own"
    )
    _names_option(parser, "--yes", "apply these, too, although this machine executes them by itself")
    _names_option(parser, "--merged", "apply these with both sides' changes, and markers where they conflict")
    _names_option(parser, "--sandbox", "apply these in the sandbox's version, whatever yours has")
    _dry_run_option(parser)
    common.json_option(parser)


async def apply(options: Namespace) -> int:
    """Bring home what was named, or what is chosen."""
    named = [*options.paths, *options.yes, *options.merged, *options.sandbox]
    async with Client() as client:
        if options.all and not (named or options.hunk):
            return await _carry_out(client, "changes.apply", options, [], [], "Applied")
        found = await review.fetch(client, named if not (options.hunk or options.all) else (), hunks=True)
        if named or options.hunk or options.all:
            picks = list(_picks(found, options, options.paths, versions=False))
            picks += [_pick(found.one(name)) for name in options.yes]
            picks += [_pick(found.one(name)) for name in options.sandbox]
            picks += [_pick(found.one(name), take="merged") for name in options.merged]
            yes = [str(found.one(name)["path"]) for name in options.yes]
        else:
            _somebody_to_ask("apply")
            picks, yes = await Picker(client, "Apply", _paint()).pick(found)
        return await _carry_out(client, "changes.apply", options, _once(picks), yes, "Applied")


def discard_options(parser: common.Parser) -> None:
    """Options of `discard`."""
    parser.about(
        "Throw changes that the sandbox made away: inside, the paths become what they are on this machine, which is\n"
        "not touched. Without a PATH or --all, on a terminal: each hunk is shown and asked about.",
        usage="[PATH ...] [OPTIONS]",
        examples=["discard", "discard build notes.txt", "discard --hunk 3f2a9c01", "discard --all --dry-run"],
        codes="0: everything that was named is discarded; 1: something was left",
    )
    review.paths_argument(parser, "files, or folders with everything below them")
    _hunk_option(parser, "only these hunks; their ids are in `diff`")
    parser.add_argument("--all", action="store_true", help="every change")
    _dry_run_option(parser)
    common.json_option(parser)


async def discard(options: Namespace) -> int:
    """Throw away what was named, or what is chosen."""
    async with Client() as client:
        found = await review.fetch(client, options.paths if not options.hunk else (), hunks=True)
        if options.paths or options.hunk or options.all:
            names = [found.root] if options.all else options.paths
            picks = list(_picks(found, options, names, versions=True))
        else:
            _somebody_to_ask("discard")
            picks, _ = await Picker(client, "Discard", _paint()).pick(found)
        # What was seen, version by version, and not `all`, which would leave conflicts: the host loses nothing.
        options.all = False
        return await _carry_out(client, "changes.discard", options, _once(picks), [], "Discarded")


def rewind_options(parser: common.Parser) -> None:
    """Options of `rewind`."""
    parser.about(
        "Set the workspace inside the sandbox to what it was before a run began. What later runs changed there is\n"
        "undone with it. This machine's files are not touched. `diff --run ID` shows what a run changed.",
        examples=["rewind run_5f2a --dry-run", "rewind run_5f2a"],
        codes="0: done; 1: something was left",
    )
    parser.add_argument("run", metavar="ID", help="the run's id, or the beginning of it")
    _dry_run_option(parser)
    common.json_option(parser)


async def rewind(options: Namespace) -> int:
    """Go back to before a run, in the workspace that it ran in."""
    async with Client() as client:
        run = await client.call("run.get", {"run_id": options.run})
        box = await client.call("sandbox.get", {"sandbox_id": run["sandbox_id"]})
        params = {
            "workspace": {"path": box["workspace"]["path"], "root": True},
            "run_id": run["id"],
            "dry_run": options.dry_run,
        }
        answer = await client.call("changes.rewind", params)
    return _said(answer, options, "Set back")


def _hunk_option(parser: common.Parser, help: str) -> None:
    parser.add_argument("--hunk", action="extend", nargs="+", default=[], metavar="ID", help=help)


def _names_option(parser: common.Parser, name: str, help: str) -> None:
    parser.add_argument(name, action="extend", nargs="+", default=[], metavar="PATH", help=help)


def _dry_run_option(parser: common.Parser) -> None:
    parser.add_argument("--dry-run", "-n", action="store_true", help="only say what would be done")


def _somebody_to_ask(command: str) -> None:
    if not ask.possible():
        raise InvalidRequest(
            f"Say what to {command}: paths, --hunk ID, or --all.",
            hint="`continue-exec diff` shows the changes. On a terminal, each is asked about.",
        )


def _paint() -> patch.Paint:
    return patch.Paint(colour=say.colour("x", say.RED) != "x")


def _picks(found: review.Changes, options: Namespace, names: list[str], *, versions: bool) -> Iterator[dict[str, Any]]:
    """What paths and --hunk name; a hunk limits the paths to it."""
    named = [change for name in names for change in found.at(name)]
    if not options.hunk:
        yield from (_pick(change, seen=versions or not change.get("conflict")) for change in named)
        return
    chosen: dict[str, tuple[review.Change, list[str]]] = {}
    for id in options.hunk:
        change, whole = found.of_hunk(id)
        if named and change not in named:
            raise InvalidRequest(f"Hunk {id} is in {change['path']}, which was not named.")
        chosen.setdefault(change["path"], (change, []))[1].append(whole)
    for change, ids in chosen.values():
        yield {**_pick(change, seen=versions or not change.get("conflict")), "hunks": ids}


def _pick(change: review.Change, *, take: str = "sandbox", seen: bool = True) -> dict[str, Any]:
    """A Pick. `seen`: it may be taken although there is a conflict, for its name was said with that in mind."""
    pick = {"path": change["path"], "take": take}
    return {**pick, "version": change["version"]} if seen else pick


def _once(picks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One pick for each path; the last, which is the more exact, counts."""
    return list({pick["path"]: pick for pick in picks}.values())


async def _carry_out(
    client: Client, method: str, options: Namespace, picks: list[dict[str, Any]], yes: list[str], done: str
) -> int:
    if not picks and not options.all:
        answer: dict[str, Any] = {"applied": [], "left": []}
    else:
        params = {
            "workspace": common.workspace_ref(),
            "picks": picks,
            "all": options.all,
            "yes": yes,
            "dry_run": options.dry_run,
        }
        answer = await client.call(method, params)
    return _said(answer, options, done)


def _said(answer: dict[str, Any], options: Namespace, done: str) -> int:
    if options.json:
        say.json(answer)
        return 1 if answer.get("left") else 0
    if not answer.get("applied") and not answer.get("left"):
        print("Nothing to do.")
    return review.report(answer, done, dry_run=options.dry_run)
