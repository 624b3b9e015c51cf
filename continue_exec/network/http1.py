"""The head of an HTTP/1 request to a proxy: read strictly, rewritten for the origin, or refused in words.

What two servers could read differently is refused rather than repaired (RFC 9112, sections 2.2, 3, 5.2, 6.3):
request smuggling needs exactly such a request.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ..errors import InvalidRequest
from .names import BadName, normalise
from .policy import split_port

MAX_HEAD = 32 * 1024
"""Bytes of request line and headers; the common servers allow 8 to 32 KiB."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_TARGET = re.compile(rb"[\x21-\x7e]+")
_HOP_BY_HOP = {b"connection", b"keep-alive", b"te", b"trailer", b"upgrade"}
_FRAMING = {b"host", b"content-length", b"transfer-encoding"}


class BadHead(Exception):
    """Not a request that this proxy takes; the message says why."""


class BadHost(BadHead):
    """A good request for something that is no host name; `text` is what it asked for, as it was written."""

    def __init__(self, text: str, port: int, why: str) -> None:
        super().__init__(why)
        self.text = text
        self.port = port


@dataclass(frozen=True)
class Head:
    """One request, understood."""

    method: bytes
    host: str
    port: int
    tunnel: bool
    """CONNECT: what follows are bytes for the peer."""
    path: bytes = b""
    """Origin form; empty for a tunnel."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """For the origin: end-to-end headers in their order, without Host."""
    body: int | Literal["chunked"] = 0
    """Bytes of the body, or that it is chunked."""

    @property
    def authority(self) -> str:
        """`host:port`, with brackets around an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def to_origin(self, *, absolute: bool = False, extra: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
        """The request as an origin server gets it (`absolute`: as another proxy gets it)."""
        host = self.authority.removesuffix(":80").encode()
        target = b"http://" + host + self.path if absolute else self.path
        headers = ((b"Host", host), *self.headers, *extra, (b"Connection", b"close"))
        return (
            self.method
            + b" "
            + target
            + b" HTTP/1.1\r\n"
            + b"".join(b"%b: %b\r\n" % each for each in headers)
            + b"\r\n"
        )


def parse(raw: bytes) -> Head:
    """Read a head, `raw` ending with its empty line.

    Raises:
        BadHead: it is not valid, or ambiguous, or asks for what the proxy does not do.
    """
    lines = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
    parts = lines[0].split(b" ")
    if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]) or not _TARGET.fullmatch(parts[1]):
        raise BadHead("the first line is not an HTTP request")
    method, target, version = parts
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise BadHead("only HTTP/1.0 and HTTP/1.1 are spoken here")
    headers = _headers(lines[1:])
    names = [name for name, _ in headers]
    if names.count(b"host") > 1:
        raise BadHead("it has more than one Host header")
    if method == b"CONNECT":
        host, port = _authority(target, None)
        return Head(method, host, port, tunnel=True)
    if target.startswith(b"/") or target == b"*":
        raise BadHead("this is a proxy: the request must name a full http:// address")
    scheme, _, rest = target.partition(b"://")
    if scheme.lower() != b"http":
        raise BadHead("only http:// is forwarded; everything else is tunnelled by CONNECT")
    cut = min((at for at in (rest.find(c) for c in (b"/", b"?", b"#")) if at >= 0), default=len(rest))
    authority, path = rest[:cut], rest[cut:].partition(b"#")[0]
    host, port = _authority(authority, 80)
    if not path.startswith(b"/"):
        path = b"/" + path
    return Head(method, host, port, False, path, _end_to_end(headers), _body(headers, version))


def _headers(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Lower-case names, values without the blanks around them."""
    headers: list[tuple[bytes, bytes]] = []
    for line in lines:
        name, colon, value = line.partition(b":")
        # A folded line begins with a blank and so has no token before its colon.
        if not colon or not _TOKEN.fullmatch(name):
            raise BadHead("a header line has no plain name (or is folded over two lines)")
        # \r and \n alone are not in _VALUE: bare ones end here.
        if not _VALUE.fullmatch(value):
            raise BadHead(f"the header {name.decode()} has control characters in it")
        headers.append((name.lower(), value.strip(b" \t")))
    return headers


def _authority(text: bytes, default: int | None) -> tuple[str, int]:
    if b"@" in text:
        raise BadHead("the address carries a user name")
    try:
        host, named = split_port(text.decode("ascii"))
    except (InvalidRequest, UnicodeDecodeError):
        raise BadHead("the address is not a host and a port") from None
    port = named or default
    if port is None:
        raise BadHead("CONNECT must name a port")
    try:
        return normalise(host), port
    except BadName as error:
        raise BadHost(host[:100], port, str(error)) from None


def _body(headers: list[tuple[bytes, bytes]], version: bytes) -> int | Literal["chunked"]:
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings:
        if lengths:
            raise BadHead("it has both Content-Length and Transfer-Encoding")
        if version == b"HTTP/1.0" or len(codings) > 1 or codings[0].lower() != b"chunked":
            raise BadHead("the only Transfer-Encoding taken is `chunked`, in HTTP/1.1")
        return "chunked"
    if not lengths:
        return 0
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
        raise BadHead("it has more than one Content-Length, or one that is not a number")
    return int(lengths[0])


def _end_to_end(headers: list[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    named = {
        token.strip(b" \t").lower() for name, value in headers if name == b"connection" for token in value.split(b",")
    }
    if named & _FRAMING:
        raise BadHead("Connection names a header that frames the message")
    return tuple(
        (name, value)
        for name, value in headers
        if name != b"host" and name not in _HOP_BY_HOP and name not in named and not name.startswith(b"proxy-")
    )
