"""Dials over time, by outcome: allowed, under override, blocked. Read from totals, not from the decisions."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, case, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute

from admin_web.queries.call_filter import CallFilter, decisions_wanted
from admin_web.queries.callers import periods_of
from admin_web.record.database import Database
from admin_web.record.models import DecisionRecord, DecisionTotal
from compliance import verdict
from compliance.verdict import Verdict
from compliance.zones import QUARTER

HOUR = timedelta(hours=1)


class Span(StrEnum):
    """The period shown; the values are used in URLs."""

    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"

    @property
    def hours(self) -> int:
        """Length in hours."""
        return _HOURS[self]


_HOURS = {Span.DAY: 24, Span.WEEK: 7 * 24, Span.MONTH: 30 * 24}
_STEP_HOURS = {Span.DAY: 1, Span.WEEK: 6, Span.MONTH: 24}


class Dials(NamedTuple):
    """Numbers of dials: `allowed` without an override, allowed under an `override`, and `blocked`."""

    allowed: int = 0
    override: int = 0
    blocked: int = 0

    @property
    def all(self) -> int:
        """Number of all dials."""
        return self.allowed + self.override + self.blocked


class Step(NamedTuple):
    """The dials from `at` (aware, in the reader's time zone) to the next step."""

    at: datetime
    dials: Dials


@dataclass(frozen=True, slots=True)
class History:
    """The dials of a span: its steps, oldest first, and the total."""

    steps: Sequence[Step]
    total: Dials


async def history(database: Database, span: Span, at: datetime, zone: tzinfo) -> History:
    """Sum the dials of the span that ends with the hour of `at` (aware UTC). Raises DatabaseUnavailable.

    Steps are hours, quarters of a day or days in the time zone `zone`. The first step is a complete one, like the
    others.
    """
    step_of, end = _steps(span, zone), _steps(Span.DAY, zone)(at) + HOUR
    first = step_of(end - HOUR * span.hours)
    began_at = DecisionTotal.began_at
    added = (
        select(began_at, *_dials(DecisionTotal, DecisionTotal.decisions))
        .where(began_at >= first, began_at < end)
        .group_by(began_at)
    )
    steps = {step_of(first + QUARTER * number): Dials() for number in range((end - first) // QUARTER)}
    async with database.read() as session:
        for quarter, *dials in await session.execute(added):
            step = step_of(quarter)
            steps[step] = _sum([steps[step], _read(dials)])
    return History([Step(start.astimezone(zone), dials) for start, dials in steps.items()], _sum(steps.values()))


async def dials_of(database: Database, agent: str, since: datetime) -> Dials:
    """Count the calls that a person made since a moment (aware UTC). Raises DatabaseUnavailable."""
    wanted, counted = CallFilter(agent=agent, since=since), select(*_dials(DecisionRecord, literal(1)))
    dials = Dials()
    async with database.read() as session:
        for period in (None, *await periods_of(session, agent)):
            found = await session.execute(counted.where(*decisions_wanted(session, wanted, "", period)))
            dials = _sum([dials, _read(found.one())])
    return dials


def _dials(
    of: type[DecisionTotal] | type[DecisionRecord], weight: ColumnElement[int] | InstrumentedAttribute[int]
) -> tuple[ColumnElement[int], ...]:
    """Return the SQL sums for the fields of `Dials`."""
    allowed, by_override = of.verdict == Verdict.ALLOW, of.reason == verdict.OVERRIDE
    kinds = and_(allowed, ~by_override), and_(allowed, by_override), ~allowed
    return tuple(func.coalesce(func.sum(case((kind, weight), else_=0)), 0) for kind in kinds)


def _read(sums: Iterable[object]) -> Dials:
    return Dials(*(int(str(number)) for number in sums))  # PostgreSQL returns sums as Decimal.


def _sum(dials: Iterable[Dials]) -> Dials:
    return Dials(*(sum(column) for column in zip(*dials, strict=True)))


def _steps(span: Span, zone: tzinfo) -> Callable[[datetime], datetime]:
    """Return a function from a moment to its step's start (UTC). A step with a clock change is longer or shorter."""
    size = _STEP_HOURS[span]

    def step_of(at: datetime) -> datetime:
        local = at.astimezone(zone).replace(minute=0, second=0, microsecond=0)
        if size > 1:  # An hour that clocks show twice is two steps, but one part of its day.
            local = local.replace(hour=local.hour // size * size, fold=0)
        return local.astimezone(UTC)

    return step_of
