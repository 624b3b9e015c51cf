from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from continue_exec.doors.lsp.joiner import JOIN_BYTES, Joiner
from tests.support.fake_client import err, event, exited, out

Frame = tuple[int, int, bytes]


def joined(frames: list[Frame], after: int = 0, take_each: bool = False) -> list[dict[str, Any]]:
    joiner = Joiner("run_1", after)
    taken: list[dict[str, Any]] = []
    for frame in frames:
        joiner.add(*frame)
        if take_each:
            taken += joiner.take()
    return taken + joiner.take()


def said(events: list[dict[str, Any]], stream: str) -> str:
    found = [one["event"] for one in events if one["event"]["type"] == "output"]
    return "".join(one["text"] for one in found if one["stream"] == stream)


def test_output_of_one_stream_is_joined_and_order_kept() -> None:
    frames = [
        event(1, type="started", run_id="run_1"),
        out(2, b"a"),
        out(3, b"b"),
        err(4, b"c"),
        out(5, b"d"),
        exited(6),
    ]
    found = [(e["firstSeq"], e["event"]["seq"], e["event"].get("text")) for e in joined(frames)]
    assert found == [(1, 1, None), (2, 3, "ab"), (4, 4, "c"), (5, 5, "d"), (6, 6, None)]


def test_no_more_is_joined_than_the_limit_and_a_larger_piece_stays_whole() -> None:
    half = b"x" * (JOIN_BYTES // 2)
    found = joined([out(1, half), out(2, half), out(3, b"y"), out(4, b"z" * 2 * JOIN_BYTES)])
    assert [(e["firstSeq"], e["event"]["seq"], len(e["event"]["text"])) for e in found] == [
        (1, 2, JOIN_BYTES),
        (3, 3, 1),
        (4, 4, 2 * JOIN_BYTES),
    ]


def test_a_character_cut_in_two_is_one_and_streams_do_not_mix() -> None:
    smile = "😀".encode()
    found = joined([out(1, smile[:2]), err(2, b"x"), out(3, smile[2:])], take_each=True)
    assert (said(found, "stdout"), said(found, "stderr")) == ("😀", "x")
    assert [e["event"]["seq"] for e in found] == [1, 2, 3]


def test_bytes_that_are_no_text_are_marked() -> None:
    assert said(joined([out(1, b"a\xffb")]), "stdout") == "a\ufffdb"


def test_an_unfinished_character_is_told_before_the_end() -> None:
    found = joined([out(1, b"a\xe2\x98"), exited(2)])
    assert [(e["firstSeq"], e["event"]["seq"], e["event"].get("text")) for e in found] == [
        (1, 1, "a"),
        (1, 1, "\ufffd"),
        (2, 2, None),
    ]


def test_a_gap_counts_for_what_it_replaces() -> None:
    found = joined([out(1, b"a"), event(9, type="gap", first_missing=2, message="gone"), out(10, b"b")])
    assert [(e["firstSeq"], e["event"]["seq"]) for e in found] == [(1, 1), (2, 9), (10, 10)]


@given(
    st.text(st.sampled_from("a☃😀\n"), max_size=40),
    st.lists(st.integers(1, 5), min_size=1, max_size=60),
    st.integers(0, 60),
)
def test_attaching_anywhere_loses_nothing_and_repeats_nothing(text: str, sizes: list[int], cut: int) -> None:
    data, frames, seq = text.encode(), [], 0
    for size in [*sizes, len(data)]:
        if piece := data[:size]:
            seq += 1
            frames.append(out(seq, piece))
            data = data[size:]
    cut = min(cut, seq)
    first = joined(frames[:cut], take_each=True)
    second = joined(frames[max(0, cut - 4) :], after=cut, take_each=True)  # 4: no character has more bytes
    assert said(first, "stdout") + said(second, "stdout") == text
    assert [e["event"]["seq"] for e in first + second] == list(range(1, seq + 1))
