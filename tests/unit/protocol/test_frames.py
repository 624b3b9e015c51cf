"""Frames survive any chunking, in place and fed; what cannot be a frame is refused at once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continue_exec.errors import ProtocolError
from continue_exec.protocol.frames import HEADER, HEADER_SIZE, KNOWN_KINDS, MAX_PAYLOAD, Kind, Parser, encode, header

Frame = tuple[int, int, bytes]

# Mostly small frames, now and then one that makes the buffer grow or move what it holds.
Sketch = tuple[int, int, tuple[bytes, int]]  # a payload's pattern and how often; hypothesis would print it all
payloads = st.tuples(st.binary(max_size=64), st.just(1)) | st.tuples(st.binary(max_size=1), st.integers(0, 300_000))
frames = st.lists(st.tuples(st.sampled_from(sorted(KNOWN_KINDS)), st.integers(0, 2**32 - 1), payloads), max_size=12)
cuts = st.lists(st.integers(1, 200_000), min_size=1, max_size=20)


def drawn(sketches: list[Sketch]) -> list[Frame]:
    return [(kind, stream, pattern * times) for kind, stream, (pattern, times) in sketches]


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    """`data` cut by `sizes`, used round and round."""
    found, at, turn = [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)] if turn < 5000 else len(data)
        found.append(data[at : at + size])
        at, turn = at + size, turn + 1
    return found


def in_place(parser: Parser, data: bytes, limit: int) -> list[Frame]:
    """As a socket does it: receives what there is room for, at most `limit` bytes at a time."""
    found = []
    rest = memoryview(data)
    while len(rest):
        space = parser.space()
        count = min(len(space), len(rest), limit)
        space[:count] = rest[:count]
        found += [(kind, stream, bytes(payload)) for kind, stream, payload in parser.take(count)]
        rest = rest[count:]
    return found


@settings(deadline=None)
@given(frames, cuts)
def test_any_chunking_yields_the_same_frames(sketches: list[Sketch], sizes: list[int]) -> None:
    sent = drawn(sketches)
    data = b"".join(encode(*frame) for frame in sent)
    fed, placed = Parser(), Parser()
    assert [frame for piece in pieces(data, sizes) for frame in fed.feed(piece)] == sent
    assert [frame for piece in pieces(data, sizes) for frame in in_place(placed, piece, sizes[0])] == sent
    assert fed.pending == placed.pending == 0


@settings(deadline=None)
@given(frames, st.integers(1, 5000))
def test_a_cut_tail_stays_pending(sketches: list[Sketch], cut: int) -> None:
    sent = drawn(sketches)
    data = b"".join(encode(*frame) for frame in [*sent, (Kind.STDOUT, 1, bytes(6000))])
    parser = Parser()
    assert list(parser.feed(data[:-cut])) == sent
    assert parser.pending == HEADER_SIZE + 6000 - cut
    assert list(parser.feed(data[-cut:])) == [(Kind.STDOUT, 1, bytes(6000))]


@settings(deadline=None)
@given(st.binary(max_size=400), st.integers(1, 40))
def test_garbage_is_refused_or_awaited_but_never_held_without_bound(data: bytes, size: int) -> None:
    first, second = [], []
    parsers = Parser(), Parser()
    for found, parser, take in ((first, parsers[0], Parser.feed), (second, parsers[1], lambda p, d: in_place(p, d, 7))):
        try:
            for piece in pieces(data, [size]):
                found.extend(take(parser, piece))
        except ProtocolError as error:
            found.append(str(error))
        assert parser.pending <= HEADER_SIZE + MAX_PAYLOAD
    assert first == second


def test_the_largest_frame_passes() -> None:
    payload = bytes(range(256)) * (MAX_PAYLOAD // 256)
    parser = Parser()
    assert list(parser.feed(encode(Kind.STDOUT, 7, payload) * 3)) == [(Kind.STDOUT, 7, payload)] * 3


@pytest.mark.parametrize("bad", [HEADER.pack(MAX_PAYLOAD + 1, Kind.STDOUT, 1), HEADER.pack(0, 0x7F, 1)])
def test_a_bad_header_is_refused_before_its_payload(bad: bytes) -> None:
    parser = Parser()
    good = encode(Kind.STDERR, 3, b"x")
    found = []
    with pytest.raises(ProtocolError):
        for frame in parser.feed(good + bad):
            found.append(frame)
    assert found == [(Kind.STDERR, 3, b"x")]


def test_an_oversized_payload_is_not_sent() -> None:
    with pytest.raises(ProtocolError):
        header(Kind.STDIN, 1, MAX_PAYLOAD + 1)
