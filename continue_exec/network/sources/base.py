"""What a source finds: addresses that are reached, and configuration that is carried inside."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..host import strip_credentials
from ..names import BadName, Place, literal, normalise, place
from ..policy import WEB_PORTS, Rule

_PORTS = {"http": 80, "https": 443, "ssh": 22, "git": 9418}


@dataclass
class Found:
    """The outcome of one source."""

    origin: str
    """Shown to the user as who named a host: `pip`, `npm`, ..."""
    urls: list[str] = field(default_factory=list)
    """Addresses, possibly with credentials; hosts alone as `https://host`."""
    files: dict[str, str] = field(default_factory=dict)
    """Path inside → text, without credentials."""
    env: dict[str, str] = field(default_factory=dict)
    """Variables of every run inside, without credentials."""

    def rules(self) -> list[Rule]:
        """A rule for each host; addresses of this very machine are left out (a person may still name them)."""
        rules = [rule for url in self.urls if (rule := rule_for(url, self.origin)) is not None]
        return list(dict.fromkeys(rules))


def rule_for(url: str, origin: str, *, private: bool = True) -> Rule | None:
    """The rule that lets `url` be reached; None if it is no network address, or one of this machine."""
    try:
        parts = urlsplit(url)
        host, port = normalise(parts.hostname or ""), parts.port
    except (ValueError, BadName):
        return None
    address = literal(host)
    if host == "localhost" or host.endswith(".localhost"):
        return None
    if address is not None and place(address) not in (Place.PUBLIC, Place.PRIVATE):
        return None
    default = _PORTS.get(parts.scheme)
    if default is None:
        return None
    if port is None or port == default:
        return Rule(host, WEB_PORTS if default in WEB_PORTS else (default, 443), origin, private)
    return Rule(host, (port,), origin, private)


def web(url: str) -> str:
    """`url` without credentials if it is an http(s) address, else empty."""
    return strip_credentials(url) if url.lower().startswith(("http://", "https://")) else ""


def toml_string(text: str) -> str:
    """A TOML basic string."""
    escaped = "".join(
        f"\\u{ord(c):04x}" if c < " " or c == "\x7f" else {"\\": "\\\\", '"': '\\"'}.get(c, c) for c in text
    )
    return f'"{escaped}"'
