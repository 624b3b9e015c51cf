"""Texts line by line: in which runs of lines two differ, and what a third had in common with both.

Lines end at LF, and keep it; CR is part of a line. Texts are bytes decoded with `surrogateescape`, so that what is not
UTF-8 passes through unharmed.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Collection, Iterator
from typing import NamedTuple

OURS, THEIRS = "host", "sandbox"
"""Names at the markers of a conflict."""

_MANY = 20_000_000
"""Lines of one side times lines of the other: above it, difflib's shortcut for frequent lines is worth its coarser
result (it is quadratic without)."""


class Difference(NamedTuple):
    """Lines `[a1:a2]` of one text stand where lines `[b1:b2]` of the other do."""

    id: str
    a1: int
    a2: int
    b1: int
    b2: int


def lines_of(data: bytes) -> list[str]:
    """The lines of a text, each with its LF."""
    text = data.decode("utf-8", "surrogateescape")
    lines = text.split("\n")
    last = lines.pop()
    return [line + "\n" for line in lines] + ([last] if last else [])


def bytes_of(lines: Collection[str]) -> bytes:
    """The reverse of `lines_of`."""
    return "".join(lines).encode("utf-8", "surrogateescape")


def differences(a: list[str], b: list[str]) -> list[Difference]:
    """Where two texts differ, from the first line to the last.

    An id depends on the lines themselves and on how many alike come before, not on where they stand: it stays the
    same when something above is taken.
    """
    found = []
    seen: dict[str, int] = {}
    for a1, a2, b1, b2 in _changed(a, b):
        words = hashlib.sha256(bytes_of([*a[a1:a2], "\0", *b[b1:b2]])).hexdigest()
        count = seen[words] = seen.get(words, 0) + 1
        name = words[:8] if count == 1 else hashlib.sha256(f"{words} {count}".encode()).hexdigest()[:8]
        found.append(Difference(name, a1, a2, b1, b2))
    return found


def _changed(a: list[str], b: list[str]) -> Iterator[tuple[int, int, int, int]]:
    # What both begin and end with costs nothing to find, and difflib much to confirm.
    start, shorter = 0, min(len(a), len(b))
    while start < shorter and a[start] == b[start]:
        start += 1
    end = 0
    while end < shorter - start and a[-1 - end] == b[-1 - end]:
        end += 1
    left, right = a[start : len(a) - end], b[start : len(b) - end]
    if not left and not right:
        return
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=len(left) * len(right) > _MANY)
    for tag, a1, a2, b1, b2 in matcher.get_opcodes():
        if tag != "equal":
            yield a1 + start, a2 + start, b1 + start, b2 + start


def counts(found: list[Difference]) -> tuple[int, int]:
    """Lines that were added, and lines that were taken away."""
    return sum(one.b2 - one.b1 for one in found), sum(one.a2 - one.a1 for one in found)


def take(a: list[str], b: list[str], chosen: Collection[str]) -> list[str]:
    """`a` with those differences to `b` whose ids are chosen."""
    result: list[str] = []
    at = 0
    for one in differences(a, b):
        result += a[at : one.a1]
        result += b[one.b1 : one.b2] if one.id in chosen else a[one.a1 : one.a2]
        at = one.a2
    return result + a[at:]


def merge(base: bytes, host: bytes, sandbox: bytes) -> tuple[bytes, bool]:
    """Both sides' changes to `base` in one text, and whether all of it is clean.

    As `diff3` does it: changes that touch the same lines, or lines next to each other, belong together. Where they
    are not the same on both sides, both stand there between Git's markers. (The one library for it
    is under the GPL; `git merge-file` needs Git and a process for each file. A test holds this to the latter.)
    """
    common, ours, theirs = lines_of(base), lines_of(host), lines_of(sandbox)
    newline = "\r\n" if ours and ours[0].endswith("\r\n") else "\n"
    result: list[str] = []
    clean = True
    at = 0
    for low, high, mine, other in _regions(list(_changed(common, ours)), list(_changed(common, theirs))):
        result += common[at:low]
        at = high
        left, right = ours[mine.start : mine.stop], theirs[other.start : other.stop]
        if left == right or right == common[low:high]:
            result += left
        elif left == common[low:high]:
            result += right
        else:
            clean = False
            for marker, lines in ((f"<<<<<<< {OURS}", left), ("=======", right), (f">>>>>>> {THEIRS}", [])):
                if result and not result[-1].endswith("\n"):
                    result[-1] += newline
                result += [marker + newline, *lines]
                if lines and not lines[-1].endswith("\n"):
                    result[-1] += newline
    return bytes_of([*result, *common[at:]]), clean


_Edit = tuple[int, int, int, int]


def _regions(ours: list[_Edit], theirs: list[_Edit]) -> Iterator[tuple[int, int, range, range]]:
    """Lines of the base that belong together, and what stands in their place on each side."""
    shifts = [0, 0]  # how much further down a side's lines are than the base's
    edits = sorted([(*edit, 0) for edit in ours] + [(*edit, 1) for edit in theirs])
    while edits:
        low, high = edits[0][0], edits[0][1]
        group = []
        while edits and edits[0][0] <= high:
            group.append(edits.pop(0))
            high = max(high, group[-1][1])
        grown = [sum((b2 - b1) - (a2 - a1) for a1, a2, b1, b2, side in group if side == which) for which in (0, 1)]
        sides = [range(low + shifts[which], high + shifts[which] + grown[which]) for which in (0, 1)]
        yield low, high, sides[0], sides[1]
        shifts = [shifts[which] + grown[which] for which in (0, 1)]
