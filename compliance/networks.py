"""The addresses and networks that a setting lists, separated by commas."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, TypeAlias

from pydantic import AfterValidator

from compliance.separated import between_commas

Network: TypeAlias = IPv4Network | IPv6Network


def networks(written: str) -> tuple[Network, ...]:
    """Parse addresses and networks. Raises ValueError, with the correct form."""
    try:
        return tuple(ip_network(part, strict=False) for part in between_commas(written))
    except ValueError:
        raise ValueError("write addresses or networks, such as 192.0.2.10 or 10.8.0.0/24") from None


def _readable(written: str) -> str:
    networks(written)
    return written


WrittenNetworks = Annotated[str, AfterValidator(_readable)]
"""A setting that `networks` can parse."""
