"""Whom an address stands for where requests are counted by address."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv6Address

UNKNOWN = "unknown"
_PREFIX = 64
"""Bits of an IPv6 address that a network is given; its hosts choose the rest as they like."""


def network_of(address: str | None) -> str:
    """Return the subject that requests of an address are counted for.

    That is an IPv4 address itself, also when it is written as IPv6 (`::ffff:192.0.2.1`), and
    the /64 of an IPv6 address: one person has all of its 2^64 addresses. Whatever is no
    address, as the client of a unix socket, is `unknown`.
    """
    if address is None:
        return UNKNOWN
    try:
        return str(IPv4Address(address))
    except AddressValueError:
        pass
    try:
        parsed = IPv6Address(address)
    except AddressValueError:
        return UNKNOWN
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    first = int(parsed) >> (128 - _PREFIX) << (128 - _PREFIX)
    return f"{IPv6Address(first)}/{_PREFIX}"
