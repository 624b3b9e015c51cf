"""Positions in a text as LSP counts them, and edits by them.

Lines end with \\n, \\r\\n or \\r and nothing else (LSP 3.17, "Text Documents"); Python's splitlines (and so pygls)
also cuts at form feeds, U+2028 and others, and would put an edit, and so what runs, in the wrong place.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Literal

Encoding = Literal["utf-8", "utf-16", "utf-32"]

_END = re.compile(r"\r\n|\n|\r")

_WIDTH = {"utf-8": 1, "utf-16": 2, "utf-32": 4}
_CODEC = {"utf-8": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}


def line_starts(text: str) -> list[int]:
    """Index of the first character of every line."""
    return [0, *(match.end() for match in _END.finditer(text))]


def offset(text: str, line: int, character: int, encoding: Encoding, starts: list[int] | None = None) -> int:
    """Index into `text` of a position. Beyond a line it is the line's end, beyond the text the text's end."""
    starts = line_starts(text) if starts is None else starts
    if line >= len(starts):
        return len(text)
    begin = starts[line]
    end = starts[line + 1] if line + 1 < len(starts) else len(text)
    content = text[begin:end].rstrip("\r\n")
    if content.isascii() or encoding == "utf-32":
        return begin + min(character, len(content))
    raw = content.encode(_CODEC[encoding], "surrogatepass")[: character * _WIDTH[encoding]]
    # A position inside a character means its beginning: the incomplete rest is left out.
    return begin + len(raw.decode(_CODEC[encoding], "ignore"))


def position(text: str, index: int, encoding: Encoding, starts: list[int] | None = None) -> tuple[int, int]:
    """Line and character of an index into `text`: `offset`, the other way about.

    Between the two halves of \\r\\n there is no position; it is that before them.
    """
    starts = line_starts(text) if starts is None else starts
    line = bisect_right(starts, index) - 1
    begin = starts[line]
    return line, units(text[begin:index].rstrip("\r\n"), encoding)


def units(text: str, encoding: Encoding) -> int:
    """Length of `text` in the encoding's units."""
    return len(text.encode(_CODEC[encoding], "surrogatepass")) // _WIDTH[encoding]


def replace(text: str, start: tuple[int, int], end: tuple[int, int], new: str, encoding: Encoding) -> str:
    """`text` with what lies between two positions replaced."""
    starts = line_starts(text)
    first = offset(text, *start, encoding, starts)
    last = offset(text, *end, encoding, starts)
    return text[: min(first, last)] + new + text[max(first, last) :]


def between(text: str, start: tuple[int, int], end: tuple[int, int], encoding: Encoding) -> str:
    """What lies between two positions."""
    starts = line_starts(text)
    first = offset(text, *start, encoding, starts)
    last = offset(text, *end, encoding, starts)
    return text[min(first, last) : max(first, last)]
