from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continue_exec.mirror.text import bytes_of, counts, differences, lines_of, merge, take

LINES = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "d\n", "\n"]), max_size=12)
TEXTS = st.one_of(st.binary(max_size=40), LINES.map(lambda lines: "".join(lines).encode()))
EDITS = st.lists(
    st.tuples(st.integers(0, 19), st.integers(0, 2), st.lists(st.sampled_from(["x\n", "y\n"]), max_size=2)), max_size=2
)
BASE = [f"{number}\n" for number in range(20)]


def edited(lines: list[str], edits: list[tuple[int, int, list[str]]]) -> list[str]:
    found = list(lines)
    for at, gone, new in edits:
        found[at : at + gone] = new
    return found


@given(TEXTS)
def test_lines_and_back(data: bytes) -> None:
    assert bytes_of(lines_of(data)) == data
    assert all(line.endswith("\n") for line in lines_of(data)[:-1])


@given(LINES, LINES)
def test_all_is_the_other_side_and_none_is_this_one(a: list[str], b: list[str]) -> None:
    found = differences(a, b)
    assert take(a, b, {one.id for one in found}) == b
    assert take(a, b, set()) == a
    assert len({one.id for one in found}) == len(found), "an id names one difference"
    added, gone = counts(found)
    assert len(a) - gone + added == len(b)


@given(EDITS, st.data())
def test_an_id_stays_when_another_is_taken(edits: list[tuple[int, int, list[str]]], data: st.DataObject) -> None:
    changed = edited(BASE, edits)
    found = differences(BASE, changed)
    # Differences that are alike are told apart by their order, so taking the first of two renames the second.
    alike = [("".join(BASE[one.a1 : one.a2]), "".join(changed[one.b1 : one.b2])) for one in found]
    if not found or len(set(alike)) < len(alike):
        return
    first = data.draw(st.sampled_from(found))
    left = differences(take(BASE, changed, {first.id}), changed)
    assert {one.id for one in left} == {one.id for one in found} - {first.id}
    # The same the other way: what is thrown away inside.
    kept = take(BASE, changed, {one.id for one in found} - {first.id})
    assert {one.id for one in differences(BASE, kept)} == {one.id for one in found} - {first.id}


def by_git(base: bytes, ours: bytes, theirs: bytes) -> tuple[bytes, bool]:
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for name, data in (("ours", ours), ("base", base), ("theirs", theirs)):
            (Path(folder) / name).write_bytes(data)
            names.append(name)
        done = subprocess.run(["git", "merge-file", "-p", *names], cwd=folder, capture_output=True, check=False)
        assert 0 <= done.returncode < 128, done.stderr
        return done.stdout, done.returncode == 0


@settings(max_examples=150, deadline=None)
@given(EDITS, EDITS)
def test_a_merge_that_git_finds_clean_is_the_same(
    ours: list[tuple[int, int, list[str]]], theirs: list[tuple[int, int, list[str]]]
) -> None:
    base, left, right = (bytes_of(lines) for lines in (BASE, edited(BASE, ours), edited(BASE, theirs)))
    expected, clean = by_git(base, left, right)
    found, mine = merge(base, left, right)
    if mine:
        assert clean, "we are never bolder than Git"
        assert found == expected


@given(TEXTS, TEXTS)
def test_one_side_alone_and_the_same_on_both(base: bytes, other: bytes) -> None:
    assert merge(base, other, base) == (other, True)
    assert merge(base, base, other) == (other, True)
    assert merge(base, other, other) == (other, True)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_conflict_holds_both(newline: str) -> None:
    def text(*lines: str) -> bytes:
        return "".join(line + newline for line in lines).encode()

    found, clean = merge(text("a", "b", "c"), text("a", "host", "c"), text("a", "inside", "c"))
    assert not clean
    expected = text("a", "<<<<<<< host", "host", "=======", "inside", ">>>>>>> sandbox", "c")
    assert found == expected


def test_a_conflict_in_a_last_line_without_an_end() -> None:
    found, clean = merge(b"a\nb", b"a\nhost", b"a\ninside")
    assert not clean and found == b"a\n<<<<<<< host\nhost\n=======\ninside\n>>>>>>> sandbox\n"


def test_a_long_text_takes_little_time() -> None:
    base = [f"line {number % 977}\n" for number in range(20_000)]
    other = edited(base, [(10, 1, ["x\n"]), (19_000, 1, ["y\n"])])
    assert len(differences(base, other)) == 2
