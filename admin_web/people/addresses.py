"""Addresses that requests come from, and the networks that they belong to."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from compliance.refusal import Unwritable
from compliance.separated import words

LONGEST_NETWORKS = 1000
"""The maximum length of a list of networks as text."""

SITE_BITS = 64
"""The part of an IPv6 address that the provider assigns (RFC 6177). The customer chooses the rest at will."""


def plain_address(peer: str | None) -> str:
    """Return the address of a peer in its canonical form; "" for a peer without an address, such as a Unix socket.

    An IPv4 address that is written as IPv6 (`::ffff:192.0.2.1`) is returned as IPv4.
    """
    found = _parsed(peer)
    return str(found) if found else ""


def network_of(address: str) -> str:
    """Return the network that shares one limit: an IPv4 address itself, or the /64 of an IPv6 address."""
    found = _parsed(address)
    if isinstance(found, IPv6Address):
        return str(ip_network((int(found), SITE_BITS), strict=False))
    return str(found) if found else ""


def read_networks(text: str) -> str:
    """Return a list of addresses and networks in its canonical form, separated by blanks. Raises Unwritable.

    The parts may be separated by blanks, commas or line ends.
    """
    try:
        found = [str(ip_network(part)) for part in words(text)]
    except ValueError as error:
        raise Unwritable(f"Write addresses or networks, such as 192.0.2.7 or 2001:db8::/48. {error}.") from None
    networks = " ".join(dict.fromkeys(found))
    if len(networks) > LONGEST_NETWORKS:
        raise Unwritable(f"The list of addresses is longer than {LONGEST_NETWORKS} characters. Use larger networks.")
    return networks


def within(address: str, networks: str) -> bool:
    """Return whether an address is in one of the networks. An empty list contains every address."""
    found = _parsed(address)
    return not networks or (found is not None and any(found in ip_network(one) for one in networks.split()))


def _parsed(peer: str | None) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address((peer or "").partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
