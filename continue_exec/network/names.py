"""Names and addresses: one spelling for each, and what kind of place an address is.

A policy that compares strings is only as good as the guarantee that one host has one spelling, so everything
that comes from a sandbox or a settings file passes through `normalise` first.
"""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from enum import StrEnum

IP = ipaddress.IPv4Address | ipaddress.IPv6Address

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
# The last label of a name that some resolver would read as an IPv4 address (WHATWG URL, "ends in a number").
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


class BadName(ValueError):
    """Not a host name or address in its plain form; the message says why."""


def normalise(host: str) -> str:
    """The one spelling of a host: lower case, no trailing dot, IDNA; an address canonical and without brackets.

    Raises:
        BadName: it is empty, too long, percent-encoded, has a port or a user in it, or is an address in a form that
            not everybody reads the same way (octal, hexadecimal, decimal, short, with a zone).
    """
    if host.startswith("[") or ":" in host:
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if "%" in bare:
            raise BadName("an address with a zone is not a host name")
        try:
            address = ipaddress.IPv6Address(bare)
            return str(address.ipv4_mapped or address)
        except ValueError:
            raise BadName("it is not an IPv6 address") from None
    if not host.isascii():
        try:
            # IDNA 2003 also folds look-alike digits and dots, so what follows sees the folded form.
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            raise BadName("it is not a valid international name") from None
    host = host.lower().removesuffix(".")
    if not host or len(host) > 253:
        raise BadName("it is empty" if not host else "it is longer than 253 characters")
    labels = host.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise BadName("it looks like an IPv4 address in a form that programs read differently") from None
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise BadName(f"{label!r} is not part of a host name" if label else "it has an empty label")
    return host


def literal(host: str) -> IP | None:
    """The address, if a normalised host is one."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def unwrap(address: IP) -> IP:
    """The IPv4 address that an IPv6 one stands for (mapped, compatible, 6to4, NAT64), else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if (inner := address.ipv4_mapped or address.sixtofour) is not None:
        return inner
    packed = address.packed
    compatible = packed[:12] == bytes(12) and int(address) > 0xFFFF
    if address in _NAT64 or compatible:
        return ipaddress.IPv4Address(packed[12:])
    return address


class Place(StrEnum):
    """What kind of place an address is. The value is how a person calls it."""

    PUBLIC = "public"
    PRIVATE = "private"
    """RFC 1918, unique local, shared, documentation, benchmarking and other special-purpose ranges."""
    LOOPBACK = "this machine"
    """Loopback, unspecified, and every address of the host's own interfaces."""
    LINK_LOCAL = "link-local"
    METADATA = "cloud metadata"
    MULTICAST = "multicast"


# Metadata services that do not live in the link-local range. Each is the vendor's documented address:
# AWS over IPv6, Alibaba Cloud, Azure's platform address, Oracle Cloud.
_METADATA = frozenset(
    ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)
_AWS_GCP_METADATA = ipaddress.ip_address("169.254.169.254")
_BROADCAST = ipaddress.ip_address("255.255.255.255")
# The only IPv6 range that is handed out for the internet (RFC 4291); Python's is_global counts what lies
# between the ranges it knows as global, for example translated IPv4 addresses.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")


def place(address: IP) -> Place:
    """What kind of place `address` is, by the IANA special-purpose registries and the vendors' documents."""
    address = unwrap(address)
    if address in _METADATA or address == _AWS_GCP_METADATA:
        return Place.METADATA
    if address.is_loopback or address.is_unspecified or address in _THIS_NETWORK:
        return Place.LOOPBACK
    if address.is_link_local:
        return Place.LINK_LOCAL
    if address.is_multicast or address == _BROADCAST:
        return Place.MULTICAST
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return Place.PRIVATE
    return Place.PUBLIC if address.is_global else Place.PRIVATE


def is_own(address: IP) -> bool:
    """Whether `address` belongs to one of this machine's interfaces: then only a bind to it succeeds."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError as error:
        # Anything but "not mine" or "no such family" is unexpected: count it as ours, which refuses it.
        return error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL)
    return True
