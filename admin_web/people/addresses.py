"""Addresses that requests come from, and the networks that they belong to."""

from ipaddress import ip_network

from compliance.addresses import address_of
from compliance.refusal import Unwritable
from compliance.separated import words

LONGEST_NETWORKS = 1000
"""The maximum length of a list of networks as text."""


def plain_address(peer: str | None) -> str:
    """Return the address of a peer in its canonical form; "" for a peer without an address, such as a Unix socket.

    An IPv4 address that is written as IPv6 (`::ffff:192.0.2.1`) is returned as IPv4.
    """
    found = address_of(peer or "")
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
    found = address_of(address)
    return not networks or (found is not None and any(found in ip_network(one) for one in networks.split()))
