"""What a person reads: errors, tables, durations. Calm: colour only on a terminal, and never with NO_COLOR."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Any, TextIO

from ...errors import ContinueExecError

GREEN, YELLOW, RED, DIM = "32", "33", "31", "2"

_UNITS = ((86400 * 2, 86400, "days"), (3600 * 2, 3600, "hours"), (60 * 2, 60, "min"), (1, 1, "s"))
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")


def line(text: str, *, end: str = "\n") -> None:
    """One line on stderr, in our name. Never fails: if nobody can read it, nobody misses it."""
    try:
        sys.stderr.write(f"continue-exec: {plain(text)}{end}")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass


def plain(text: str) -> str:
    """A text in which names may be that code in a sandbox chose: what would move the cursor, change colours, begin a
    line or turn the direction of writing is shown as an escape; so are bytes that are no UTF-8."""
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    number = ord(char)
    if 0xDC80 <= number <= 0xDCFF:  # a byte, as os.fsdecode keeps it
        number -= 0xDC00
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def hint(text: str) -> None:
    """What to do about it."""
    if text:
        line(f"hint: {text}")


def error(error: ContinueExecError) -> None:
    """An error's message and its hint."""
    line(error.message)
    hint(error.hint)
    log = error.data.get("log")
    if isinstance(log, str) and log:
        line(f"log: {log}")


def colour(text: str, code: str, stream: TextIO | None = None) -> str:
    """`text` in a colour, where that helps."""
    out = stream or sys.stdout
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not out.isatty():
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


def table(rows: Sequence[Sequence[str]]) -> None:
    """Rows in aligned columns on stdout; the last column is as long as it is."""
    if not rows:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        print("  ".join([*cells, row[-1]]).rstrip())


def json(value: Any) -> None:
    """One JSON document on a line of its own, as it came over the wire."""
    from json import dumps

    print(dumps(value, separators=(",", ":"), ensure_ascii=False))


def duration(seconds: float) -> str:
    """`0.2 s`, `14 s`, `3 min`, `5 hours`, `12 days`."""
    if seconds < 1:
        return f"{max(seconds, 0):.1f} s"
    for least, unit, word in _UNITS:
        if seconds >= least:
            return f"{seconds // unit:.0f} {word}"
    raise AssertionError(seconds)


def ago(when: float | None) -> str:
    """How long ago a time was, in words."""
    return "-" if when is None else f"{duration(time.time() - when)} ago"


def size(count: float) -> str:
    """Bytes: `512 B`, `1.5 MiB`."""
    unit = 0
    while count >= 1024 and unit < len(_SIZES) - 1:
        count /= 1024
        unit += 1
    return f"{count:.0f} {_SIZES[unit]}" if unit == 0 or count >= 100 else f"{count:.1f} {_SIZES[unit]}"


def short(text: str, width: int = 60) -> str:
    """One line of at most `width` characters, without control characters (titles come from anywhere)."""
    text = "".join(char if char.isprintable() else " " for char in text)
    return text if len(text) <= width else text[: width - 1] + "…"
