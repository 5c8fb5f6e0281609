"""The peers that may ask the gate: their networks, and how many connections each of them may hold.

FastAGI has no password, so the address is the only thing by which the gate knows its PBX.
"""

from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from compliance.networks import Network

LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))

MOST_KNOWN = 10_000
"""Maximum number of addresses whose answer is kept. A flood from many addresses must not fill the memory."""


class Peers:
    """Admits connections from `networks` and from this machine, at most `most` at a time from one address."""

    def __init__(self, networks: Sequence[Network], most: int) -> None:
        self._networks, self._most = (*LOOPBACK, *networks), most
        self._open: Counter[str] = Counter()
        self._known: dict[str, bool] = {}

    def refusal(self, peer: str) -> str:
        """Return why a connection from `peer` is refused, as a slug for the metrics; empty if it is admitted."""
        known = self._known.get(peer)
        if known is None:
            known = self._learn(peer)
        if not known:
            return "unknown-peer"
        return "too-many-of-peer" if self._open[peer] >= self._most else ""

    def opened(self, peer: str) -> None:
        """Count a connection."""
        self._open[peer] += 1

    def closed(self, peer: str) -> None:
        """Count the end of a connection."""
        self._open[peer] -= 1

    def _learn(self, peer: str) -> bool:
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
            self._open += Counter()  # Removes the addresses without a connection.
        address = ip_address(peer.partition("%")[0])
        mapped = address.ipv4_mapped if address.version == 6 else None
        found = self._known[peer] = any((mapped or address) in network for network in self._networks)
        return found


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a listener on `host`."""
    try:
        return ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"
