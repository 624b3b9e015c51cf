from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continue_exec.doors.lsp import text as texts
from continue_exec.doors.lsp.text import Encoding

TEXT = st.text(st.sampled_from("ab\r\n\f\u2028é😀\x85"), max_size=30)
ENCODINGS = get_args(Encoding)


def position(text: str, index: int, encoding: Encoding) -> tuple[int, int]:
    """The position of an index that is not inside \\r\\n, counted the slow way."""
    starts = texts.line_starts(text)
    line = max(number for number, start in enumerate(starts) if start <= index)
    return line, texts.units(text[starts[line] : index], encoding)


def test_only_lsps_line_ends_end_a_line() -> None:
    assert texts.line_starts("a\r\nb\rc\nd\x0ce\u2028f\x85") == [0, 3, 5, 7]


@pytest.mark.parametrize(("encoding", "unit"), [("utf-8", 5), ("utf-16", 3), ("utf-32", 2)])
def test_characters_are_counted_in_the_encodings_units(encoding: Encoding, unit: int) -> None:
    assert texts.offset("a😀b", 0, unit, encoding) == 2
    assert texts.units("a😀", encoding) == unit


def test_a_position_inside_a_character_is_its_beginning() -> None:
    assert texts.offset("a😀b", 0, 2, "utf-16") == 1
    assert texts.offset("é", 0, 1, "utf-8") == 0


def test_beyond_the_end_is_the_end() -> None:
    assert texts.offset("ab\r\ncd", 0, 99, "utf-16") == 2
    assert texts.offset("ab\r\ncd", 9, 0, "utf-16") == 6
    assert texts.offset("", 0, 0, "utf-16") == 0


@given(TEXT, st.integers(0, 30), st.integers(0, 30), TEXT, st.sampled_from(ENCODINGS))
def test_edits_are_what_slices_say(text: str, first: int, last: int, new: str, encoding: Encoding) -> None:
    first, last = sorted((min(first, len(text)), min(last, len(text))))
    inside = {i + 1 for i in range(len(text)) if text[i : i + 2] == "\r\n"}
    if first in inside or last in inside:
        return  # LSP has no position between \r and \n
    start, end = position(text, first, encoding), position(text, last, encoding)
    assert texts.replace(text, start, end, new, encoding) == text[:first] + new + text[last:]
    assert texts.between(text, start, end, encoding) == text[first:last]
    assert texts.between(text, end, start, encoding) == text[first:last]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_positions_and_indices_are_each_other_s_inverse(encoding: texts.Encoding) -> None:
    text = "a😀b\r\nü\rc\n\n\x0cend"
    for index in range(len(text) + 1):
        if text[index - 1 : index + 1] != "\r\n":
            assert texts.offset(text, *texts.position(text, index, encoding), encoding) == index
    between = text.index("\n")
    assert texts.position(text, between, encoding) == texts.position(text, between - 1, encoding)
