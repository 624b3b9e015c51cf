from __future__ import annotations

import ipaddress

import pytest

from continue_exec.errors import InvalidRequest
from continue_exec.network.policy import EgressPolicy, Rule


def policy(mode: str, *rules: str | Rule) -> EgressPolicy:
    made = EgressPolicy.of(mode, rules)  # type: ignore[arg-type]
    return EgressPolicy(made.mode, made.rules, own=lambda address: str(address) == "198.51.100.7")


@pytest.mark.parametrize(
    ("rule", "host", "port", "allowed"),
    [
        ("example.com", "example.com", 443, True),
        ("example.com", "EXAMPLE.com.", 80, True),
        ("example.com", "example.com", 22, False),
        ("example.com", "sub.example.com", 443, False),
        ("example.com", "example.com.evil.test", 443, False),
        ("example.com", "evilexample.com", 443, False),
        ("*.example.com", "a.b.example.com", 443, True),
        ("*.example.com", "example.com", 443, False),
        ("*.example.com", "evilexample.com", 443, False),
        ("example.com:8443", "example.com", 8443, True),
        ("example.com:8443", "example.com", 443, False),
        ("bücher.example", "xn--bcher-kva.example", 443, True),
        ("192.0.2.1:5432", "192.0.2.1", 5432, True),
        ("192.0.2.1:5432", "::ffff:192.0.2.1", 5432, True),
        ("[2001:db8::1]:443", "2001:DB8:0::1", 443, True),
        ("2001:db8::1", "[2001:db8::1]", 443, True),
        ("localhost:3000", "localhost", 3000, True),
        ("localhost:3000", "localhost", 3001, False),
    ],
)
def test_rules(rule: str, host: str, port: int, allowed: bool) -> None:
    assert policy("allowlist", rule).allows(host, port).allowed is allowed


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":443",
        "a:0",
        "a:65536",
        "a:x",
        "a:+1",
        "a:\u0661",
        "*",
        "*.com",
        "*.1.2.3.4",
        "a.*",
        "http://a",
        "a/b",
        "127.1",
        "a b",
        "[::1",
    ],
)
def test_what_is_no_rule(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Rule.parse(text)
    assert "example.com" in caught.value.hint


@pytest.mark.parametrize("text", ["example.com", "*.example.com", "example.com:22", "[2001:db8::1]:443", "192.0.2.1"])
def test_a_rule_is_written_as_it_is_read(text: str) -> None:
    assert Rule.parse(str(Rule.parse(text))) == Rule.parse(text)


def test_none_allows_nothing() -> None:
    verdict = policy("none", "example.com").allows("example.com", 443)
    assert not verdict
    assert "no network" in verdict.reason


@pytest.mark.parametrize("mode", ["allowlist", "open"])
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "8.8.8.8",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
        "0177.1",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
    ],
)
def test_addresses_and_this_machine_are_refused_unless_named(mode: str, host: str) -> None:
    assert not policy(mode, "example.com").allows(host, 443)


def test_open_allows_names() -> None:
    verdict = policy("open").allows("anything.example", 9999)
    assert verdict
    assert verdict.rule is None


@pytest.mark.parametrize(
    ("mode", "rule", "host", "address", "allowed"),
    [
        ("open", None, "a.example", "8.8.8.8", True),
        ("open", None, "a.example", "10.0.0.1", False),
        ("open", None, "a.example", "127.0.0.1", False),
        ("open", None, "a.example", "::ffff:10.0.0.1", False),
        ("open", None, "a.example", "169.254.169.254", False),
        ("open", None, "a.example", "198.51.100.7", False),  # the host's own
        ("allowlist", "a.example", "a.example", "8.8.8.8", True),
        ("allowlist", "a.example", "a.example", "10.0.0.1", True),
        ("allowlist", "a.example", "a.example", "203.0.113.80", True),
        ("allowlist", "a.example", "a.example", "127.0.0.1", False),
        ("allowlist", "a.example", "a.example", "169.254.169.254", False),
        ("allowlist", "a.example", "a.example", "198.51.100.7", False),
        ("allowlist", "*.a.example", "x.a.example", "8.8.8.8", True),
        ("allowlist", "*.a.example", "x.a.example", "10.0.0.1", False),
        ("open", "a.example", "a.example", "10.0.0.1", True),
        ("allowlist", "127.0.0.1", "127.0.0.1", "127.0.0.1", True),
        ("allowlist", "localhost", "localhost", "::1", True),
        ("allowlist", "169.254.169.254", "169.254.169.254", "169.254.169.254", True),
    ],
)
def test_addresses_behind_names(mode: str, rule: str | None, host: str, address: str, allowed: bool) -> None:
    made = policy(mode, *([rule] if rule else []))
    verdict = made.allows(host, 443)
    assert verdict
    assert (made.allows_address(verdict, ipaddress.ip_address(address)) is None) is allowed


def test_reasons_are_words() -> None:
    made = policy("allowlist", "a.example:8443")
    assert made.allows("a.example", 443).reason == "it is allowed on port 8443 only, not 443"
    assert made.allows("b.example", 443).reason == "it is not on the allowlist"
    assert "`a.example:8443` (settings)" in made.allows("a.example", 8443).reason


def test_with_rules_repeats_nothing() -> None:
    made = policy("allowlist", "a.example").with_rules([Rule.parse("a.example"), Rule.parse("b.example")])
    assert [str(rule) for rule in made.rules] == ["a.example", "b.example"]
