"""IP addresses as text, and the network that counts as one client."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address

SITE_BITS = 64
"""The part of an IPv6 address that the provider assigns (RFC 6177). The customer chooses the rest at will."""


def address_of(text: str) -> Address | None:
    """Return an address without its zone, and as IPv4 if it is one in IPv6 form; None if `text` is no address."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def network_of(text: str) -> str:
    """Return the network that counts as one client: an IPv4 address itself, or the /64 of an IPv6 address.

    The result is empty if `text` is no address.
    """
    found = address_of(text)
    if isinstance(found, IPv6Address):
        return str(ip_network((int(found), SITE_BITS), strict=False))
    return str(found) if found else ""
