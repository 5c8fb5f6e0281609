"""A clock that notices steps of the machine's clock, and goes on without them.

The machine's clock (wall) is compared with a clock that nobody can set (CLOCK_BOOTTIME, which also counts while the
machine is suspended), and each second with the clocks of Redis and of the database. After a step of the wall clock,
`now` follows the steady clock instead. So no moment is recorded, and no deadline set, by the time after the step.

A step ends when the clock is set back, or after `BELIEVED_S`, if Redis and the database have the new time all along.
They may be on the same machine, so their agreement alone does not prove that the new time is right.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import structlog

from compliance.clocks import TOLERATED_S

BELIEVED_S = 600.0
"""Seconds for which the other clocks must agree with this one before a step of it counts as a correction."""

UNKNOWN, DIFFERS, STEPPED = "unknown", "differs", "stepped"
"""The doubts about the clock, as slugs. It is unknown until it was compared with that of Redis for the first time."""

log = structlog.get_logger()


def _steady_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SteadyClock:
    """The time, and whether it can be trusted. `compare` must be called each second.

    `wall` and `steady` are the two clocks of this machine, in seconds. `doubt` is empty while the clock can be trusted.
    While it is not, nothing may be deleted, and no end be recorded.
    """

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = _steady_s) -> None:
        self._wall, self._steady = wall, steady
        self._ahead: float | None = None
        """How far the wall clock was ahead of the steady one when it could be trusted; None if it never could."""
        self._agreed: tuple[float, float] | None = None
        """A step, and since when the others have agreed with the clock after it; None while they do not."""
        self.doubt, self.text = UNKNOWN, "This machine's clock has not been compared with that of Redis yet."

    def now(self) -> datetime:
        """Return the time as aware UTC: by the wall clock, unless it was set since it could be trusted."""
        return datetime.fromtimestamp(self._wall() - self._beyond(), UTC)

    @property
    def step_s(self) -> float:
        """By how many seconds the wall clock was set forward since it could be trusted; negative for back."""
        return 0.0 if self._ahead is None else self._wall() - self._steady() - self._ahead

    @property
    def right(self) -> bool:
        """Whether the clock can be trusted now. A step since the last comparison counts too."""
        return not self.doubt and not self._beyond()

    def _beyond(self) -> float:
        """Return the step, 0 for a tolerated one."""
        step_s = self.step_s
        return step_s if abs(step_s) > TOLERATED_S else 0.0

    def compare(self, others: Mapping[str, float]) -> None:
        """Judge the clock. `others` are the clocks that were asked: how many seconds each is ahead of the wall clock.

        While none of them answers, a clock that was not set stays trusted.
        """
        name, off_s = max(others.items(), key=lambda other: abs(other[1]), default=("", 0.0))
        agrees, step_s = abs(off_s) <= TOLERATED_S, self._beyond()
        if not self._is_believed(step_s, agrees=bool(others) and agrees):
            self._say(STEPPED, f"This machine's clock was set {_direction(step_s)} by {_seconds(step_s)}.")
        elif not agrees:
            self._say(DIFFERS, f"The clock of {name} is {_seconds(off_s)} {_place(off_s)} this machine's clock.")
        elif others or self._ahead is not None:
            self._ahead, self._agreed = self._wall() - self._steady(), None
            self._say("", "")

    def _is_believed(self, step_s: float, *, agrees: bool) -> bool:
        """Return whether there is no step, or the others have agreed with the clock after this step for long enough."""
        now = self._steady()
        if not step_s or not agrees:
            self._agreed = None
        elif self._agreed is None or abs(step_s - self._agreed[0]) > TOLERATED_S:
            self._agreed = step_s, now
        return not step_s or (self._agreed is not None and now - self._agreed[1] >= BELIEVED_S)

    def _say(self, doubt: str, text: str) -> None:
        if doubt != self.doubt and doubt:
            log.error("clock cannot be trusted", doubt=doubt, why=text)
        elif self.doubt not in {doubt, UNKNOWN}:
            log.warning("clock can be trusted again")
        self.doubt, self.text = doubt, text


def _seconds(span_s: float) -> str:
    return f"{abs(span_s):,.0f} s"


def _direction(step_s: float) -> str:
    return "forward" if step_s > 0 else "back"


def _place(off_s: float) -> str:
    return "ahead of" if off_s > 0 else "behind"
