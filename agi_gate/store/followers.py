"""How many replicas must acknowledge a record before the gate answers ALLOW.

A replica that is promoted stops following the old master. So the old master cannot have a record acknowledged by all
replicas that followed it before the promotion. It can have one acknowledged by another replica, which will discard the
record when it follows the new master. Therefore one acknowledgement is not enough: all replicas that followed the
master when it was last known to be the master must acknowledge.

The number falls only in this order: the replicas are counted, then the sentinels or the nodes are asked, and they still
name the same master. A promotion that took a replica away before the count is known to the sentinel or the node that
decided it.
"""

import re
from time import monotonic

LATE_S = 6
"""Seconds without an acknowledgement after which a replica does not count.

A replica acknowledges every second (Redis source, replicationCron). One that hangs would otherwise stop all calls until
the master drops it (`repl-timeout`, 60 s). Sentinel promotes no replica that has been silent for five seconds (Redis
source, sentinelSelectSlave).
"""

_REPLICA = re.compile(r"^slave\d+:(?=.*\bstate=online\b).*\blag=(\d+)", re.MULTILINE)


def count_followers(info: object) -> int | None:
    """Return how many replicas follow, from the reply to INFO replication; None if it is no such reply."""
    if not isinstance(info, bytes) or b"role:master" not in info:
        return None
    return sum(int(lag) <= LATE_S for lag in _REPLICA.findall(info.decode("utf-8", "replace")))


class Followers:
    """Counts the replicas of one master. `least` is the number that the settings require; with 0 nothing is counted."""

    def __init__(self, least: int) -> None:
        self.least = least
        self.needed: int | None = None
        """The number of replicas that must acknowledge a record; None while no master is confirmed."""
        self._count = 0
        self._counted_at = float("inf")

    def counted(self, info: object) -> None:
        """Take the reply to INFO replication. A replica more counts at once, a replica less after a confirmation."""
        count = count_followers(info)
        if count is None:
            return
        self._count, self._counted_at = count, monotonic()
        if self.needed is not None:
            self.needed = max(self.needed, count)

    def confirm(self, began: float) -> None:
        """Require the counted replicas. A question that began at `began` (`time.monotonic`) found the same master."""
        if began >= self._counted_at:
            self.needed = max(self.least, self._count)

    def forget(self) -> None:
        """Start again, for another connection."""
        self.needed, self._counted_at = None, float("inf")
