"""The host's own way out: direct, or through the proxy its user has configured (HTTPS_PROXY and friends).

The proxy's address and password stay on the host; from inside there is only our own proxy.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from .names import literal


class Unusable(Exception):
    """The host's proxy settings name something this proxy cannot chain through; the message says what."""


@dataclass(frozen=True)
class UpstreamProxy:
    """One HTTP proxy of the host."""

    host: str
    port: int
    authorization: bytes = field(default=b"", repr=False)
    """Value of Proxy-Authorization; empty when there is none."""

    @classmethod
    def parse(cls, url: str) -> UpstreamProxy:
        """Read `[http://][user:password@]host[:port]`.

        Raises:
            Unusable: it is another kind of proxy, or not an address.
        """
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme != "http":
            raise Unusable(f"the host's proxy is a {parts.scheme}:// one; only http:// proxies can be chained")
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host = None
            port = None
        if not host:
            raise Unusable("the host's proxy setting is not an address")
        authorization = b""
        if parts.username is not None:
            secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = b"Basic " + base64.b64encode(secret.encode())
        return cls(host, port or 80, authorization)

    def connect_request(self, authority: str) -> bytes:
        """The head that asks this proxy for a tunnel to `authority` (host:port)."""
        lines = [f"CONNECT {authority} HTTP/1.1".encode(), f"Host: {authority}".encode()]
        lines += [name + b": " + value for name, value in self.headers()]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What every request to this proxy carries."""
        return ((b"Proxy-Authorization", self.authorization),) if self.authorization else ()


@dataclass(frozen=True)
class Upstream:
    """The host's proxy settings, as read from its variables."""

    http: str = field(default="", repr=False)
    https: str = field(default="", repr=False)
    bypass: tuple[str, ...] = ()

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Upstream:
        """Read HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY; the lower-case spelling wins, as in curl."""

        def read(name: str) -> str:
            return env.get(name.lower()) or env.get(name) or ""

        every = read("ALL_PROXY")
        bypass = tuple(part.strip().lower() for part in read("NO_PROXY").split(",") if part.strip())
        return cls(read("HTTP_PROXY") or every, read("HTTPS_PROXY") or every, bypass)

    def for_host(self, host: str, port: int, *, tunnel: bool) -> UpstreamProxy | None:
        """The proxy that leads to a normalised `host`; None: go there directly.

        Raises:
            Unusable: there is one, and it cannot be used (never silently bypassed: it may be there for a reason).
        """
        url = self.https if tunnel else self.http
        if not url or any(_bypasses(entry, host, port) for entry in self.bypass):
            return None
        return UpstreamProxy.parse(url)


def _bypasses(entry: str, host: str, port: int) -> bool:
    """One entry of NO_PROXY: `*`, a name (and those below it), an address, a network; each with a port or without."""
    if entry == "*":
        return True
    address = literal(host)
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry.strip("[]"), strict=False)
        except ValueError:
            pass
    name, colon, digits = entry.rpartition(":")
    if colon and digits.isdigit():
        if int(digits) != port:
            return False
        entry = name.strip("[]")
    entry = entry.removeprefix("*").lstrip(".")
    return host == entry or (address is None and host.endswith(f".{entry}"))
