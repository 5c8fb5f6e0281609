"""The peers that may ask the gate: their networks, and how many connections each of them may hold.

FastAGI has no password, so the address is the only thing by which the gate knows its PBX.
"""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from compliance.addresses import address_of
from compliance.networks import Network

LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))

MOST_KNOWN = 10_000
"""Maximum number of addresses that are kept without a connection. A flood from many addresses must not fill the memory.
"""


class Peer:
    """One address: whether it may ask the gate, and how many connections it has. Its sessions count `open`."""

    # One object for all connections of an address, because looking the address up in two tables at each change of the
    # count takes three times as long.
    __slots__ = ("address", "admitted", "open")

    def __init__(self, address: str, *, admitted: bool) -> None:
        self.address, self.admitted = address, admitted
        self.open = 0


class Peers:
    """Admits connections from `networks` and from this machine, at most `most` at a time from one address."""

    def __init__(self, networks: Sequence[Network], most: int) -> None:
        self._networks, self._most = (*LOOPBACK, *networks), most
        self._known: dict[str, Peer] = {}
        self._full = MOST_KNOWN

    def of(self, address: str) -> Peer:
        """Return the peer at an address. All its open connections share one object."""
        return self._known.get(address) or self._learn(address)

    def refusal(self, peer: Peer) -> str:
        """Return why a connection from `peer` is refused, as a slug for the metrics; empty if it is admitted."""
        if peer.open < self._most and peer.admitted:
            return ""
        return "too-many-of-peer" if peer.admitted else "unknown-peer"

    def _learn(self, address: str) -> Peer:
        if len(self._known) >= self._full:
            self._known = {peer.address: peer for peer in self._known.values() if peer.open}
            self._full = len(self._known) + MOST_KNOWN
        ip = address_of(address)
        admitted = ip is not None and any(ip in network for network in self._networks)
        peer = self._known[address] = Peer(address, admitted=admitted)
        return peer


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a listener on `host`."""
    try:
        return ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"
