"""Compare this machine's clock with that of Redis.

Redis ends an override by its own clock, and so does the gate. If both clocks are behind, an override would open calls
after its end. So while the gate's clock is behind that of Redis, no override opens a call. A gate whose clock is ahead
only ends overrides early.
"""

from collections.abc import Callable
from time import time

import structlog

from agi_gate.store.health import CLOCK_UNKNOWN, Health
from agi_gate.store.questions import Answers, question
from agi_gate.store.wire import Answer, StoreUnavailable

CLOCK = question(("TIME",))

log = structlog.get_logger()


class ClockCheck:
    """Receives the time of Redis, and notes in `health` how far this machine's clock is behind it.

    `now` is this machine's clock, in seconds since 1970 UTC.
    """

    over = False

    def __init__(self, health: Callable[[], Health], now: Callable[[], float] = time) -> None:
        self._health, self._now = health, now
        self._said = CLOCK_UNKNOWN

    def answered(self, answers: Answers) -> None:
        """Compare the clocks. The reply has taken some time, so the difference is never overstated."""
        health = self._health()
        there = seconds_of(answers.replies[0])
        health.clock_behind_s = None if there is None else there - self._now()
        said = health.clock_doubt
        if said != self._said and (said or self._said != CLOCK_UNKNOWN):
            log.warning("clock compared with Redis", doubt=said, behind_s=health.clock_behind_s)
        self._said = said

    def failed(self, error: StoreUnavailable) -> None:
        """Do nothing: the next connection compares the clocks again."""


def seconds_of(reply: Answer) -> float | None:
    """Parse the reply to TIME as seconds since 1970 UTC; None for any other reply, such as a refusal."""
    match reply:
        case [bytes() as seconds, bytes() as micros] if seconds.isdigit() and micros.isdigit():
            return int(seconds) + int(micros) / 1_000_000
    return None
