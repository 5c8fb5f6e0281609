"""Continuous comparison of SQL with one Redis, or one shard: a step each minute or more, everything within an hour.

Each night, at the start of the worker, after a difference was found, and after Redis has evicted keys, the round is
made at once. Even then a step is followed by a pause that is four times as long, so that Redis and SQL serve others for
most of the time.

The lease goes on after evictions under a policy that spares sets. But the policy may have been another one for a moment
between two looks, and then sets may be missing. Only a comparison of everything can tell.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from datetime import date, datetime, timedelta
from time import monotonic
from typing import cast

import structlog

from admin_web.projection.findings import note_complete, note_found
from admin_web.projection.lease import withdraw
from admin_web.projection.live import ProjectionLost
from admin_web.projection.mending import WidelyDrifted
from admin_web.projection.projection import Projection
from admin_web.projection.round_steps import StepDone
from admin_web.projection.rounds import Round
from admin_web.projection.verify import ProjectionMoved
from admin_web.settings import AdminSettings

WITHIN_S = 3600.0
"""Seconds within which everything is compared once."""

MOST_WAIT_S = 60.0
LEAST_WAIT_S = 0.02
REST = 4
"""How many times as long as a step the pause after it is, at least."""

LOOK_S = 1.0
"""Interval, in seconds, between looks for evictions while no step is due. They cost no request."""

AGAIN_S = 5.0
"""Seconds to wait after a rebuild has ended a round, or while there is no projection."""

log = structlog.get_logger()


class Checked:
    """The outcome of the comparisons of one projection, for the metrics.

    `found` counts the differences, by kind, since the last round without any. `steps` is the length of a round.
    """

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        self.complete_at = 0.0
        self.steps = 0


class Verifier:
    """Compares one projection. The worker repeats `look`."""

    def __init__(
        self, projection: Projection, settings: AdminSettings, now: Callable[[], datetime], checked: Checked
    ) -> None:
        self._projection, self._settings, self._now, self.checked = projection, settings, now, checked
        self._round = Round(projection.sides)
        self._steps: AsyncGenerator[StepDone] | None = None
        self._evicted, self._due = 0, 0.0
        self._done, self._at_once, self._clean = 0, True, True
        self._night, self._began_at = self._last_night(), now()

    async def look(self) -> float:
        """Compare the next part if it is due. After evictions, begin anew at once. Return the seconds to wait.

        Raises RedisUnavailable, DatabaseUnavailable.
        """
        # A round that is made at once goes on. Otherwise a Redis that evicts all the time would never let one end.
        if self._has_evicted and not self._at_once:
            self._begin_anew()
        if self._due <= monotonic():
            wait_s = await self.step()
            self._due = monotonic() + wait_s
        return min(max(self._due - monotonic(), 0.0), LOOK_S)

    async def step(self) -> float:
        """Compare the next part. Return the seconds to wait. Raises RedisUnavailable, DatabaseUnavailable."""
        if (night := self._last_night()) != self._night:
            self._night = night
            self._begin_anew()
        began = monotonic()
        try:
            await self._compare_next()
        except (ProjectionMoved, ProjectionLost):
            self._begin_anew()
            return AGAIN_S
        except WidelyDrifted as error:
            await self._stop_calls(error)
            return AGAIN_S
        except Exception:
            self._begin_anew()
            raise
        return self._pause_s(monotonic() - began)

    def _pause_s(self, took_s: float) -> float:
        least_s = max(REST * took_s, LEAST_WAIT_S)
        return least_s if self._at_once else max(least_s, min(MOST_WAIT_S, WITHIN_S / max(self.checked.steps, 1)))

    def _last_night(self) -> date:
        """Return the day on which the hour of the nightly comparison last began."""
        local = self._now().astimezone(self._settings.zone)
        return (local - timedelta(hours=self._settings.verify_hour)).date()

    @property
    def _has_evicted(self) -> bool:
        """Whether Redis has evicted keys since the last round began."""
        return self._projection.evicted > self._evicted

    def _begin_anew(self) -> None:
        self._steps, self._at_once, self._due = None, True, 0.0

    async def _compare_next(self) -> None:
        if self._steps is None:
            self._round = Round(self._projection.sides)
            self._steps, self._done, self._clean = cast("AsyncGenerator[StepDone]", self._round.steps()), 0, True
            self._began_at = self._now()
        try:
            done = await anext(self._steps)
        except StopAsyncIteration:
            await self._end()
            return
        if self._done == 0:
            self._note_evictions()
        self._done += 1
        if done.kinds:
            self._tell(done, mended=True)
            await self._record(done)

    def _note_evictions(self) -> None:
        """Note the evictions with which the round began. If there are new ones, it is made at once."""
        self._at_once = self._at_once or self._round.evicted > self._evicted
        self._evicted = self._round.evicted

    async def _end(self) -> None:
        sides = self._projection.sides
        async with sides.database.write() as session:
            await note_complete(session, sides.row, self._now(), clean_since=self._began_at if self._clean else None)
        if self._clean:
            self.checked.found.clear()
        self.checked.complete_at, self.checked.steps = self._now().timestamp(), self._done
        # After a difference, the next round begins at once: only a round without any clears the alarm. After an
        # eviction, because this round may have compared a set before it was evicted.
        self._steps, self._at_once = None, not self._clean or self._has_evicted

    def _tell(self, done: StepDone, *, mended: bool) -> None:
        """Log a difference, and have the next round begin at once."""
        log.error("drift", found=done.kinds, some=done.examples, mended=mended, projection=self._projection.sides.row)
        self.checked.found.update(done.kinds)
        self._clean, self._at_once = False, True

    async def _record(self, done: StepDone) -> None:
        sides = self._projection.sides
        async with sides.database.write() as session:
            await note_found(session, sides.row, done.kinds, done.examples, self._now())

    async def _stop_calls(self, error: WidelyDrifted) -> None:
        """Stop calls at once. The keeper finds the projection lost and rebuilds it.

        The line of the log comes first, so that a crash in between leaves the reason.
        """
        found = StepDone(dict(error.kinds), [])
        self._begin_anew()
        self._tell(found, mended=False)
        await withdraw(self._projection.sides)
        await self._record(found)
