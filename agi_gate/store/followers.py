"""Which replicas must acknowledge a record before the gate answers ALLOW.

A replica that is promoted stops following the old master. So the old master cannot have a record acknowledged by all
replicas that followed it before the promotion. It can have one acknowledged by another replica, which will discard the
record when it follows the new master. Therefore one acknowledgement is not enough: all replicas that followed the
master when it was last known to be the master must acknowledge.

A replica that no longer follows is required until this order of events is complete: the replicas are counted without
it, then the sentinels or the nodes are asked, and they still name the same master. A promotion that took the replica
away before the count is known to the sentinel or the node that decided it.

A replica may also be missing because the master was away for a moment, and the sentinels may not have noticed yet that
the master was away. Then they still promote a replica, even if the master is back. So while a replica is missing, the
sentinels must have heard from the master after the count (`mastership.py`).
"""

import math
import re
from collections import Counter
from time import monotonic

LATE_S = 6
"""Seconds without an acknowledgement after which a replica does not count.

A replica acknowledges every second (Redis source, replicationCron). One that hangs would otherwise stop all calls until
the master drops it (`repl-timeout`, 60 s). While it hangs it is not promoted: Sentinel promotes no replica that has
been silent for five seconds (Redis source, sentinelSelectSlave), and a replica of a cluster must ask for votes itself.
"""

Replicas = Counter[str]
"""The addresses of replicas, such as "ip=127.0.0.1,port=7001", and how many replicas have each of them.

Replicas behind one address translation have the same address for the master, and each of them counts.
"""

_REPLICA = re.compile(
    r"^slave\d+:(?P<address>ip=[^,]*,port=\d+),(?=.*\bstate=online\b).*\blag=(?P<lag>\d+)", re.MULTILINE
)


def following(info: object) -> Replicas | None:
    """Return the addresses of the replicas that follow, from the reply to INFO replication; None for another reply."""
    if not isinstance(info, bytes) or b"role:master" not in info:
        return None
    found = _REPLICA.finditer(info.decode("utf-8", "replace"))
    return Counter(one["address"] for one in found if int(one["lag"]) <= LATE_S)


class Followers:
    """The replicas of one master. `least` is the number that the settings require; with 0 none is required."""

    def __init__(self, least: int) -> None:
        self.least = least
        self.needed: int | None = None
        """The number of replicas that must acknowledge a record; None while no master is confirmed."""
        self._counted: Replicas | None = None
        self._asked_about: Replicas | None = None
        self._required = Replicas()
        self.steady_since = math.inf
        """When a replica was last missing that had been counted before, or the first count of this connection.

        In seconds of `time.monotonic`; infinite before the first count.
        """

    @property
    def undecided(self) -> bool:
        """Whether the replicas were counted, but the master is not confirmed yet."""
        return self._counted is not None and self.needed is None

    def lacks(self, replicas: float) -> bool:
        """Return whether fewer than `replicas` were counted before the last question or since."""
        return self._asked_about is None or self._asked_about.total() < replicas

    def counted(self, info: object) -> None:
        """Take the reply to INFO replication. One more replica is required at once."""
        found = following(info)
        if found is None:
            return
        if self._counted is None or self._counted - found:
            self.steady_since = monotonic()
        self._counted = found
        if self._asked_about is not None:
            self._asked_about = self._asked_about | found
        if self.needed is not None:
            self._require(self._required | found)

    def asking(self) -> None:
        """Note that a question about the master begins now. A later question replaces it."""
        self._asked_about = self._counted

    def confirm(self) -> None:
        """Require the replicas counted before the last question or since, because it has found the same master."""
        if self._asked_about is not None:
            self._require(self._asked_about)
            self._asked_about = None

    def forget(self) -> None:
        """Start again, for another connection."""
        self.needed = self._counted = self._asked_about = None
        self.steady_since = math.inf

    def _require(self, replicas: Replicas) -> None:
        # Addresses, not only their number: if another replica takes the place of one that was promoted, the number
        # stays the same.
        self._required, self.needed = replicas, max(self.least, replicas.total())
