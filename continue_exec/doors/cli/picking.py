"""Choosing changes one by one at the terminal, hunk by hunk, as `git add -p` does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...client import Client
from . import ask, changes, patch, review, say
from .pager import Page

HELP = """\
y - take this
n - leave this
a - take this and the rest of the file
d - leave this and the rest of the file
q - leave this and everything after it
? - explain"""

CONFLICT_HELP = """\
s - take the sandbox's version in place of yours
m - take both, with conflict markers to be sorted out by hand
n - leave it
q - leave this and everything after it
? - explain"""


class Picked(NamedTuple):
    """What was chosen: `ChangesApply.picks`, and the paths that were said yes to."""

    picks: list[dict[str, Any]]
    yes: list[str]


class _Quit(Exception):
    """Nothing more is to be asked."""


class Picker:
    """Asks about each change. `verb`: what taking one means."""

    def __init__(self, client: Client, verb: str, paint: patch.Paint) -> None:
        self._client = client
        self._verb = verb
        self._paint = paint
        self._picked = Picked([], [])

    async def pick(self, found: review.Changes) -> Picked:
        """Ask about every change that can be taken at all."""
        try:
            for change in found:
                await self._one(change)
        except _Quit:
            pass
        return self._picked

    async def _one(self, change: review.Change) -> None:
        _print(list(patch.about(change, self._paint)))
        if change.get("refused"):
            return
        blocks = patch.blocks(change.get("hunks") or (), await self._host(change))
        if change.get("conflict"):
            await self._conflict(change, blocks)
            return
        if len(blocks) < 2 or change["kind"] in ("added", "deleted"):
            self._show(blocks)
            answer = await self._ask(f"{self._verb} this {_what(change)}", "yn")
            if answer == "y":
                await self._take(change, None)
            return
        await self._hunks(change, blocks)

    async def _hunks(self, change: review.Change, blocks: Sequence[patch.Block]) -> None:
        taken: list[str] = []
        rest = ""
        try:
            for number, block in enumerate(blocks, 1):
                if not rest:
                    self._show([block])
                    answer = await self._ask(f"({number}/{len(blocks)}) {self._verb} this hunk", "ynad")
                    rest = answer if answer in "ad" else ""
                    if answer in "nd":
                        continue
                elif rest == "d":
                    break
                taken += block.ids
        finally:
            # q leaves what comes; what was said yes to stands, as in git.
            if taken:
                await self._take(change, None if len(taken) == len(blocks) else taken)

    async def _conflict(self, change: review.Change, blocks: Sequence[patch.Block]) -> None:
        self._show(blocks)
        if blocks:
            _print(await changes.conflict(self._client, change, self._paint))
        choices = "smn" if blocks and self._verb == "Apply" else "sn"
        if self._verb != "Apply":
            choices = "yn"
        answer = await self._ask(f"{self._verb} this in spite of the conflict", choices, CONFLICT_HELP)
        if answer == "m":
            await self._take(change, None, take="merged")
        elif answer in "sy":
            await self._take(change, None)

    async def _take(self, change: review.Change, hunks: list[str] | None, take: str = "sandbox") -> None:
        if change.get("needs_yes") and self._verb == "Apply":
            print(self._paint(f"! {patch.visible(change['needs_yes'])}", say.YELLOW))
            if await self._ask(f"Apply {patch.visible(change['path'])} all the same", "yn") != "y":
                return
            self._picked.yes.append(change["path"])
        pick: dict[str, Any] = {"path": change["path"], "version": change["version"], "take": take}
        if hunks is not None:
            pick["hunks"] = hunks
        self._picked.picks.append(pick)

    async def _host(self, change: review.Change) -> list[str] | None:
        text = await review.host_text(self._client, change)
        return None if text is None else patch.split(text)

    def _show(self, blocks: Sequence[patch.Block]) -> None:
        _print([line for block in blocks for line in patch.shown_block(block, self._paint)])

    async def _ask(self, question: str, choices: str, help: str = HELP) -> str:
        """One of `choices`. Raises _Quit: `q`, or nobody answers any more."""
        prompt = self._paint(f"{question} [{','.join((*choices, 'q', '?'))}]? ", "1;34")
        while True:
            answer = await ask.line(prompt)
            if answer is None or answer == "q":
                raise _Quit
            if len(answer) == 1 and answer in choices:
                return answer
            lines = help.splitlines()
            _print([self._paint(line, say.RED) for line in lines if line[0] in (*choices, "q", "?")])


def _print(lines: Sequence[str]) -> None:
    with Page(use=False) as page:
        for line in lines:
            page.line(line)


def _what(change: review.Change) -> str:
    if change["type"] != "file":
        return f"{change['type']} ({change['kind']})"
    if change["kind"] == "modified":
        lines = change.get("insertions") or change.get("deletions")
        return "hunk" if change.get("hunks") else "change" if lines or change.get("binary") else "mode change"
    return {"added": "new file", "deleted": "deletion", "renamed": "rename"}[change["kind"]]
