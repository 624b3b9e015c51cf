"""What a sandbox may reach: rules by name and port, and the addresses those names may stand for.

To add a source of rules: make `Rule`s with an `origin` that a person understands, and hand them to the policy
with the others (hosts.py does so for the host's own configuration).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from ..errors import InvalidRequest
from .names import IP, BadName, Place, is_own, literal, normalise, place

Mode = Literal["none", "allowlist", "open"]

WEB_PORTS = (80, 443)
"""Ports of a rule that names none."""

_NEVER = {Place.LOOPBACK, Place.LINK_LOCAL, Place.METADATA, Place.MULTICAST}


@dataclass(frozen=True)
class Rule:
    """One thing that may be reached.

    `host` is a normalised name, a normalised address, or `*.` and a name (every name below it, not itself).
    """

    host: str
    ports: tuple[int, ...] = WEB_PORTS
    origin: str = "settings"
    """Who named it, as shown to the user: `settings`, `pip`, `git remote`, ..."""
    private: bool = False
    """Whether the name may stand for a private or special-purpose address (a company's mirror)."""

    @classmethod
    def parse(cls, text: str, *, origin: str = "settings") -> Rule:
        """Read `host`, `host:port`, `*.host`, `[v6]:port`.

        A name written out in full may stand for a private address, because a person named it; what a wildcard
        matches was chosen by somebody else, so that may not.

        Raises:
            InvalidRequest: it is none of these.
        """
        host, port = split_port(text.strip())
        wildcard = host.startswith("*.")
        try:
            name = normalise(host[2:] if wildcard else host)
        except BadName as error:
            raise InvalidRequest(f"The network rule {text!r} is not a host: {error}.", hint=_RULE_HINT) from None
        if wildcard and (literal(name) or "." not in name):
            raise InvalidRequest(f"The network rule {text!r} is too wide.", hint=_RULE_HINT)
        ports = WEB_PORTS if port is None else (port,)
        return cls(f"*.{name}" if wildcard else name, ports, origin, private=not wildcard)

    def matches(self, host: str, port: int) -> bool:
        """Whether a normalised `host` and `port` fall under this rule."""
        if port not in self.ports:
            return False
        return host.endswith(self.host[1:]) if self.host.startswith("*.") else host == self.host

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.ports == WEB_PORTS else f"{host}:{','.join(map(str, self.ports))}"


_RULE_HINT = "Write it as `example.com`, `example.com:8443`, `*.example.com`, `192.0.2.1:5432` or `[2001:db8::1]:443`."


def split_port(text: str) -> tuple[str, int | None]:
    """`host[:port]` in two; a bare IPv6 address has no port.

    Raises:
        InvalidRequest: the port is not a number from 1 to 65535.
    """
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")) or text.endswith("]"):
        return text, None
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise InvalidRequest(f"{text!r} has no valid port.", hint=_RULE_HINT)
    return host, int(port)


@dataclass(frozen=True)
class Verdict:
    """Whether a host may be reached, and why, in words for a person."""

    allowed: bool
    reason: str
    host: str = ""
    """Normalised; empty if it could not be."""
    rule: Rule | None = None
    """The rule that allowed it; None under `open`."""

    def __bool__(self) -> bool:
        return self.allowed


@dataclass(frozen=True)
class EgressPolicy:
    """A sandbox's policy. Immutable: to change one, make another and swap it in.

    `none` allows nothing, `allowlist` what the rules name, `open` every public address by name and what the
    rules name. No mode reaches loopback, link-local, metadata or multicast addresses, nor the host's own: only
    a rule that names the address itself (or `localhost`) and its port does.
    """

    mode: Mode = "allowlist"
    rules: tuple[Rule, ...] = ()
    own: Callable[[IP], bool] = field(default=is_own, compare=False, repr=False)
    """Whether an address is one of the host's own; replaced in tests."""

    @classmethod
    def of(cls, mode: Mode, rules: Iterable[str | Rule] = ()) -> EgressPolicy:
        """Build one from rules as a person writes them.

        Raises:
            InvalidRequest: a rule cannot be read.
        """
        return cls(mode, tuple(rule if isinstance(rule, Rule) else Rule.parse(rule) for rule in rules))

    def allows(self, host: str, port: int) -> Verdict:
        """Whether `host` and `port` may be reached by name; its addresses are then for `allows_address`."""
        try:
            name = normalise(host)
        except BadName as error:
            return Verdict(False, f"{host[:100]!r} is refused: {error}")
        if self.mode == "none":
            return Verdict(False, "this sandbox has no network (policy `none`)", name)
        for rule in self.rules:
            if rule.matches(name, port):
                return Verdict(True, f"allowed by `{rule}` ({rule.origin})", name, rule)
        if literal(name) is not None:
            return Verdict(False, "addresses are refused unless a rule names them: use the host's name", name)
        if _is_localhost(name):
            return Verdict(False, "the host's own services are refused unless a rule names them", name)
        if self.mode == "open":
            return Verdict(True, "allowed by policy `open`", name)
        ports = sorted({p for rule in self.rules for p in rule.ports if rule.matches(name, p)})
        if ports:
            return Verdict(False, f"it is allowed on port {', '.join(map(str, ports))} only, not {port}", name)
        return Verdict(False, "it is not on the allowlist", name)

    def allows_address(self, verdict: Verdict, address: IP) -> str | None:
        """None if a connection allowed by `verdict` may go to `address`, else the reason why not."""
        named = verdict.rule is not None and (literal(verdict.rule.host) == address or _is_localhost(verdict.rule.host))
        if named:
            return None
        kind = Place.LOOPBACK if self.own(address) else place(address)
        if kind in _NEVER:
            return f"it resolves to {address}, which is a {kind} address"
        if kind is Place.PRIVATE and not (verdict.rule is not None and verdict.rule.private):
            return f"it resolves to {address}, which is a private or special-purpose address"
        return None

    def with_rules(self, rules: Iterable[Rule]) -> EgressPolicy:
        """The same policy with more rules; those it has already are not repeated."""
        return EgressPolicy(self.mode, tuple(dict.fromkeys((*self.rules, *rules))), self.own)


def _is_localhost(name: str) -> bool:
    return name in ("localhost", "localhost.localdomain") or name.endswith(".localhost")
