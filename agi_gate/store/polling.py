"""The questions that a link asks again and again, also when there are no calls.

So the link notices a lost server before the next call. It asks for the time and the eviction policy of Redis, and for
the replicas if records must reach them. It reads the state together with these questions.
"""

from collections.abc import Callable

from agi_gate.store.clock import CLOCK, ClockCheck
from agi_gate.store.health import Health
from agi_gate.store.mastership import Mastership
from agi_gate.store.pipeline import Asked
from agi_gate.store.questions import question
from agi_gate.store.receivers import ReplyReceiver
from agi_gate.store.wire import Answer, StoreUnavailable, require_no_eviction

POLL_S = 0.5
"""Seconds between two polls."""


def poll_of(
    health: Callable[[], Health], mastership: Mastership, leave: Callable[[StoreUnavailable], None]
) -> list[Asked]:
    """Return the questions of a poll. `leave` ends the connection."""

    def check_policy(memory: Answer) -> None:
        """Leave a server that may evict listed numbers by now. The next handshake says why, and refuses it too."""
        try:
            require_no_eviction(memory)
        except StoreUnavailable as error:
            leave(error)

    asked: list[Asked] = [
        (ClockCheck(health), CLOCK),
        (ReplyReceiver(check_policy), question(("INFO", "memory"))),
    ]
    if mastership.followers.least:
        asked.append((ReplyReceiver(mastership.counted), question(("INFO", "replication"))))
    return asked
