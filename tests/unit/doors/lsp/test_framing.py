from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from continue_exec.doors.lsp.framing import MAX_BODY, MAX_HEADER, Garbage, Parser


def framed(body: bytes, extra: bytes = b"") -> bytes:
    return b"Content-Length: %d\r\n%b\r\n%b" % (len(body), extra, body)


def fed(*pieces: bytes) -> list[bytes | Garbage]:
    parser = Parser()
    return [item for piece in pieces for item in parser.feed(piece)]


@given(st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(0, 3000), max_size=20))
def test_messages_survive_any_cut(bodies: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(framed(body) for body in bodies)
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    assert fed(*(whole[a:b] for a, b in itertools.pairwise(edges))) == bodies


def test_other_headers_and_spellings_are_read() -> None:
    assert fed(framed(b"x", b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\n")) == [b"x"]
    assert fed(b"content-length:2\r\n\r\nab") == [b"ab"]


def test_garbage_is_reported_and_the_next_message_found() -> None:
    found = fed(b"hello\n" + framed(b"one") + framed(b"two"))
    assert isinstance(found[0], Garbage)
    assert found[1:] == [b"one", b"two"]
    found = fed(b"X: y\r\n\r\n" + framed(b"one"))
    assert isinstance(found[0], Garbage)
    assert found[1:] == [b"one"]


@given(st.binary(max_size=3 * MAX_HEADER))
def test_no_bytes_raise_or_are_hoarded(data: bytes) -> None:
    parser = Parser()
    list(parser.feed(data))
    assert parser.pending <= max(len(data), 0)
    endless = Parser()
    found = [item for _ in range(50) for item in endless.feed(b"x" * 1000)]
    assert found and all(isinstance(item, Garbage) for item in found)
    assert endless.pending <= MAX_HEADER


def test_an_oversized_message_is_skipped_not_held() -> None:
    parser = Parser()
    found = list(parser.feed(b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1)))
    assert isinstance(found[0], Garbage) and str(MAX_BODY) in found[0]
    piece = bytes(1 << 20)
    for _ in range(64):
        assert list(parser.feed(piece)) == []
        assert parser.pending == 0
    assert list(parser.feed(b"\0" + framed(b"next"))) == [b"next"]
