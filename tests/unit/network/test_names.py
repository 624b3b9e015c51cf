from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continue_exec.network.names import BadName, Place, is_own, literal, normalise, place


@pytest.mark.parametrize(
    ("given_as", "expected"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example.", "xn--bcher-kva.example"),
        ("_dmarc.a-b.example", "_dmarc.a-b.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("2001:db8:0:0::1", "2001:db8::1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("[::ffff:7f00:1]", "127.0.0.1"),
        ("①②⑦.0.0.1", "127.0.0.1"),
        ("127。0。0。1", "127.0.0.1"),
        ("1.example", "1.example"),
        ("0xcafe.example", "0xcafe.example"),
    ],
)
def test_one_spelling(given_as: str, expected: str) -> None:
    assert normalise(given_as) == expected


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "a..",
        "-a.b",
        "a-.b",
        "a b",
        "a\tb",
        "a\x00b",
        "a/b",
        "a@b",
        "a%2eb",
        "%31",
        "a\\b",
        "a:b",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "1.2.3.4.5",
        "256.0.0.1",
        "017700000001",
        "0x",
        "1.0x7f",
        "fe80::1%eth0",
        "[fe80::1%25eth0]",
        "[::1",
        "::1]",
        "[]",
        "[127.0.0.1]",
        ":::",
        "127.0.0.1..",
        "a" * 64 + ".b",
        "a." * 127 + "ab",
        "xn--\u2603",
        "\ud800",
        "*",
        "*.a",
    ],
)
def test_other_forms_are_refused(host: str) -> None:
    with pytest.raises(BadName):
        normalise(host)


@given(st.text(max_size=80))
def test_normal_is_final(text: str) -> None:
    try:
        once = normalise(text)
    except BadName:
        return
    assert normalise(once) == once
    assert once.isascii()
    assert once == once.lower()
    # Whatever the system's own parser takes for an address is one to us, too.
    try:
        packed = socket.inet_aton(once) if "." in once or once.isdigit() else None
    except OSError:
        packed = None
    assert packed is None or literal(once) is not None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", Place.PUBLIC),
        ("2606:4700::1", Place.PUBLIC),
        ("10.0.0.1", Place.PRIVATE),
        ("172.16.0.1", Place.PRIVATE),
        ("192.168.1.1", Place.PRIVATE),
        ("100.64.0.1", Place.PRIVATE),
        ("198.18.0.1", Place.PRIVATE),
        ("203.0.113.80", Place.PRIVATE),
        ("240.0.0.1", Place.PRIVATE),
        ("fc00::1", Place.PRIVATE),
        ("fec0::1", Place.PRIVATE),
        ("2001:db8::1", Place.PRIVATE),
        ("::ffff:0:127.0.0.1", Place.PRIVATE),
        ("127.0.0.1", Place.LOOPBACK),
        ("127.255.255.254", Place.LOOPBACK),
        ("0.0.0.0", Place.LOOPBACK),
        ("0.1.2.3", Place.LOOPBACK),
        ("::1", Place.LOOPBACK),
        ("::", Place.LOOPBACK),
        ("::ffff:127.0.0.1", Place.LOOPBACK),
        ("::127.0.0.1", Place.LOOPBACK),
        ("2002:7f00:1::", Place.LOOPBACK),
        ("64:ff9b::7f00:1", Place.LOOPBACK),
        ("64:ff9b::a00:1", Place.PRIVATE),
        ("64:ff9b::808:808", Place.PUBLIC),
        ("169.254.0.1", Place.LINK_LOCAL),
        ("fe80::1", Place.LINK_LOCAL),
        ("169.254.169.254", Place.METADATA),
        ("::ffff:169.254.169.254", Place.METADATA),
        ("fd00:ec2::254", Place.METADATA),
        ("100.100.100.200", Place.METADATA),
        ("168.63.129.16", Place.METADATA),
        ("224.0.0.1", Place.MULTICAST),
        ("ff02::1", Place.MULTICAST),
        ("255.255.255.255", Place.MULTICAST),
    ],
)
def test_places(address: str, expected: Place) -> None:
    assert place(ipaddress.ip_address(address)) is expected


def test_own_addresses() -> None:
    assert is_own(ipaddress.ip_address("127.0.0.1"))
    assert not is_own(ipaddress.ip_address("192.0.2.1"))
    assert not is_own(ipaddress.ip_address("2001:db8::1"))
