"""Limits for the clients of an HTTP server."""

from dataclasses import dataclass

from compliance.addresses import address_of
from compliance.networks import Network

SERVER = "dnc-gate"
"""The value of the Server header."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Maximum numbers of connections, and deadlines in seconds.

    `head_s` is for a whole head, `stall_s` for some progress of a body or an answer, `idle_s` for the next request.
    The networks `trusted` are those of proxies. They may use all connections, because a proxy brings a whole office.
    """

    connections: int
    per_address: int
    head_s: float = 10.0
    stall_s: float = 60.0
    idle_s: float = 75.0
    trusted: tuple[Network, ...] = ()

    def trusts(self, host: str) -> bool:
        """Return whether an address is that of a proxy."""
        address = address_of(host) if self.trusted else None
        return address is not None and any(address in network for network in self.trusted)
