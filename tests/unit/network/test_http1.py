from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from continue_exec.network import http1
from continue_exec.network.http1 import BadHead, parse


def head(*lines: str) -> bytes:
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def test_plain_request_becomes_origin_form() -> None:
    got = parse(
        head(
            "GET http://Example.com/a?b=c#d HTTP/1.1",
            "Host: other.test",
            "X: 1",
            "Proxy-Connection: keep-alive",
            "Connection: keep-alive, X-Hop",
            "X-Hop: 2",
            "Proxy-Authorization: secret",
            "TE: trailers",
        )
    )
    assert (got.host, got.port, got.tunnel, got.body) == ("example.com", 80, False, 0)
    assert got.to_origin() == head("GET /a?b=c HTTP/1.1", "Host: example.com", "x: 1", "Connection: close")


def test_for_another_proxy() -> None:
    got = parse(head("GET http://a.example:8080 HTTP/1.0"))
    assert got.to_origin(absolute=True, extra=((b"Proxy-Authorization", b"x"),)) == head(
        "GET http://a.example:8080/ HTTP/1.1", "Host: a.example:8080", "Proxy-Authorization: x", "Connection: close"
    )


def test_connect() -> None:
    got = parse(head("CONNECT [2001:DB8::1]:443 HTTP/1.1", "Host: evil.test"))
    assert (got.host, got.port, got.tunnel, got.authority) == ("2001:db8::1", 443, True, "[2001:db8::1]:443")


def test_bodies() -> None:
    assert parse(head("POST http://a.example/ HTTP/1.1", "Content-Length: 12")).body == 12
    assert parse(head("POST http://a.example/ HTTP/1.1", "Transfer-Encoding: Chunked")).body == "chunked"


@pytest.mark.parametrize(
    "lines",
    [
        ("",),
        ("GET",),
        ("GET http://a.example/",),
        ("GET  http://a.example/ HTTP/1.1",),
        ("GET http://a.example/ HTTP/1.1 x",),
        ("GET http://a.example/ HTTP/2.0",),
        ("GET http://a.example/ http/1.1",),
        ("G(T http://a.example/ HTTP/1.1",),
        ("GET / HTTP/1.1", "Host: a.example"),
        ("OPTIONS * HTTP/1.1",),
        ("GET https://a.example/ HTTP/1.1",),
        ("GET file:///etc/passwd HTTP/1.1",),
        ("GET http:///x HTTP/1.1",),
        ("GET http://user:pass@a.example/ HTTP/1.1",),
        ("GET http://a.example@evil.test/ HTTP/1.1",),
        ("GET http://a.example:x/ HTTP/1.1",),
        ("GET http://a.example:80:80/ HTTP/1.1",),
        ("GET http://a.example\\@evil.test/ HTTP/1.1",),
        ("GET http://a%2eexample/ HTTP/1.1",),
        ("GET http://2130706433/ HTTP/1.1",),
        ("CONNECT a.example HTTP/1.1",),
        ("CONNECT a.example:0 HTTP/1.1",),
        ("CONNECT a.example:99999 HTTP/1.1",),
        ("CONNECT http://a.example:443 HTTP/1.1",),
        ("CONNECT a.example:443/ HTTP/1.1",),
        ("CONNECT \xe9.example:443 HTTP/1.1",),
        ("GET http://a.example/ HTTP/1.1", "Host: a", "Host: a"),
        ("GET http://a.example/ HTTP/1.1", "Host: a", "host: b"),
        ("GET http://a.example/ HTTP/1.1", " folded: 1"),
        ("GET http://a.example/ HTTP/1.1", "X: 1", " folded"),
        ("GET http://a.example/ HTTP/1.1", "X: 1", "\tfolded"),
        ("GET http://a.example/ HTTP/1.1", "X : 1"),
        ("GET http://a.example/ HTTP/1.1", ": 1"),
        ("GET http://a.example/ HTTP/1.1", "nocolon"),
        ("GET http://a.example/ HTTP/1.1", "X: a\nY: b"),
        ("GET http://a.example/ HTTP/1.1", "X: a\rY: b"),
        ("GET http://a.example/ HTTP/1.1", "X: a\x00b"),
        ("GET http://a.example/ HTTP/1.1\nX: 1",),
        ("POST http://a.example/ HTTP/1.1", "Content-Length: 1", "Transfer-Encoding: chunked"),
        ("POST http://a.example/ HTTP/1.1", "Content-Length: 1", "Content-Length: 1"),
        ("POST http://a.example/ HTTP/1.1", "Content-Length: 1, 1"),
        ("POST http://a.example/ HTTP/1.1", "Content-Length: +1"),
        ("POST http://a.example/ HTTP/1.1", "Content-Length: -1"),
        ("POST http://a.example/ HTTP/1.1", "Content-Length: 0x1"),
        ("POST http://a.example/ HTTP/1.1", "Content-Length:"),
        ("POST http://a.example/ HTTP/1.1", "Content-Length: " + "9" * 30),
        ("POST http://a.example/ HTTP/1.1", "Transfer-Encoding: xchunked"),
        ("POST http://a.example/ HTTP/1.1", "Transfer-Encoding: gzip, chunked"),
        ("POST http://a.example/ HTTP/1.1", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("POST http://a.example/ HTTP/1.0", "Transfer-Encoding: chunked"),
        ("POST http://a.example/ HTTP/1.1", "Connection: content-length", "Content-Length: 1"),
        ("POST http://a.example/ HTTP/1.1", "Connection: Transfer-Encoding", "Transfer-Encoding: chunked"),
        ("GET http://a.example/ HTTP/1.1", "Connection: host", "Host: a"),
    ],
)
def test_what_two_servers_could_read_differently_is_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(BadHead) as caught:
        parse(head(*lines))
    assert str(caught.value)


def test_an_address_in_another_form_is_named_in_the_refusal() -> None:
    with pytest.raises(http1.BadHost) as caught:
        parse(head("CONNECT 0x7f.1:443 HTTP/1.1"))
    assert (caught.value.text, caught.value.port) == ("0x7f.1", 443)


@given(st.binary(max_size=300))
@example(b"GET http://a.example/ HTTP/1.1\r\nX: \xff")
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        got = parse(raw + b"\r\n\r\n")
    except BadHead:
        return
    sent = got.to_origin()
    # Nothing of the head can end it early or add a line.
    assert sent.count(b"\r\n\r\n") == 1
    assert sent.endswith(b"\r\n\r\n")
    assert b"\n" not in sent.replace(b"\r\n", b"")
