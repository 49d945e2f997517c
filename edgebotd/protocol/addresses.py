"""Which addresses are of the open internet. What decides is the address that is connected to, never a name."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

# What `is_global` lets pass, or does not know on each of the supported Pythons.
_NOT_PUBLIC: Final = tuple(
    map(
        IPv4Network,
        (
            "192.0.0.0/24",  # protocol assignments, of which some are anycast of the local network
            "192.88.99.0/24",  # relays of 6to4
            "168.63.129.16/32",  # a cloud's host, which is asked for metadata by this public address
        ),
    )
)
# All that was ever given out as global unicast. Outside of it are the mapped addresses and those of NAT64.
_UNICAST: Final = IPv6Network("2000::/3")
_NOT_PUBLIC_6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments; with Teredo, which leads to an IPv4 address
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, the same
            "3fff::/20",  # documentation
        ),
    )
)


def is_public(address: str) -> bool:
    """Whether an address, as the resolver writes it, is unicast of the open internet and leads to nothing else."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if not found.is_global or found.is_multicast or found.is_reserved:
        return False
    if isinstance(found, IPv6Address):
        if found.scope_id is not None or found not in _UNICAST:
            return False
        return not any(found in network for network in _NOT_PUBLIC_6)
    return not any(found in network for network in _NOT_PUBLIC)


def is_near(address: str, source: str) -> bool:
    """Whether an address is this machine's own or beside it, by the address from which we would speak to it.

    With IPv6 all machines of a home have public addresses, so `is_public` alone would let in to its router.
    """
    there, here = ip_address(address), ip_address(source)
    if isinstance(there, IPv6Address):
        return there in IPv6Network((int(here), 64), strict=False)
    return there == here


def is_within(address: str, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    """Whether an address, as the resolver writes it, is of one of the networks.

    One with a zone is of none, and neither is an IPv4 address that is written as an IPv6 one.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and (found.scope_id is not None or found.ipv4_mapped is not None):
        return False
    return any(found.version == network.version and found in network for network in networks)
