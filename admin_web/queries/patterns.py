"""The patterns of the company's own list, and what a pattern would block."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import phonenumbers
from sqlalchemy import ColumnElement, CompoundSelect, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from admin_web.queries.lists import LONGEST_NUMBER
from admin_web.queries.paging import PAGE_ROWS, Key, Page, behind, page_of
from admin_web.record.database import Database
from admin_web.record.models import DecisionRecord, DecisionTotal, Lead, LeadNumber, Override, SuppressionPattern
from compliance.patterns import country_code_of, samples
from compliance.verdict import Verdict
from compliance.wording import counted

WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class PatternRow:
    """One pattern, in force or lifted."""

    id: int
    prefix: str
    reason: str
    source: str
    added_at: datetime
    added_by: str
    lifted_at: datetime | None
    lifted_by: str | None
    lift_reason: str | None


@dataclass(frozen=True, slots=True)
class PatternEffect:
    """What a pattern blocks: leads with any of its numbers, and how many of the calls of the last seven days.

    `opened` of the leads stay open by an override of their own. `calls` are the allowed calls to its numbers without an
    override, of all `allowed` calls since `since`. `in_plan` is False if no number is known to begin with it.
    `standing` is the row of the pattern if it is on the list already, and `wider` are the shorter patterns on the list
    that cover it.
    """

    pattern: str
    country: str
    leads: int
    opened: int
    calls: int
    allowed: int
    since: datetime
    in_plan: bool
    standing: PatternRow | None
    wider: Sequence[str]

    @property
    def share(self) -> float:
        """Share of the allowed calls, from 0 to 1."""
        return self.calls / self.allowed if self.allowed else 0.0

    @property
    def percent(self) -> str:
        """The share as text."""
        return _percent(self.share)

    @property
    def sentence(self) -> str:
        """The effect in words."""
        leads = counted(self.leads, "lead")
        opened = f" ({self.opened:,} of them stay open by an override)" if self.opened else ""
        calls = f"{self.calls:,} of the {self.allowed:,} allowed calls of the last seven days"
        share = f" ({self.percent})" if self.allowed else ""
        unknown = "" if self.in_plan else " No number is known to begin with these digits."
        return f"It covers {leads}{opened}, and would have blocked {calls}{share}.{unknown}"


_COLUMNS = (
    SuppressionPattern.id, SuppressionPattern.prefix, SuppressionPattern.reason, SuppressionPattern.source,
    SuppressionPattern.added_at, SuppressionPattern.added_by, SuppressionPattern.lifted_at,
    SuppressionPattern.lifted_by, SuppressionPattern.lift_reason,
)  # fmt: skip
_STANDING = SuppressionPattern.lifted_at.is_(None)


async def pattern_page(
    database: Database, *, lifted: bool = False, after: Key | None = None, rows: int = PAGE_ROWS
) -> Page[PatternRow]:
    """Return a page of the patterns in force, or with `lifted` of the lifted ones, newest first."""
    asked = select(*_COLUMNS).where(~_STANDING if lifted else _STANDING)
    if after is not None:
        asked = asked.where(behind((SuppressionPattern.id,), after, descending=True))
    async with database.read() as session:
        found = await session.execute(asked.order_by(SuppressionPattern.id.desc()).limit(rows + 1))
        return page_of([PatternRow(*row) for row in found], lambda row: (row.id,), rows)


async def pattern_count(session: AsyncSession) -> int:
    """Return how many patterns are in force."""
    return await session.scalar(select(func.count()).select_from(SuppressionPattern).where(_STANDING)) or 0


async def pattern_effect(database: Database, pattern: str, at: datetime) -> PatternEffect:
    """Return what a pattern blocks at `at` (aware UTC). Raises DatabaseUnavailable."""
    # Old totals are counted by the hour, so the week begins with a whole hour.
    since = (at - WEEK).replace(minute=0, second=0, microsecond=0)
    async with database.read() as session:
        first, others = _covered(Lead.number, pattern), _covered(LeadNumber.number, pattern)
        leads = await _count(session, select(Lead.id).where(first).union(select(LeadNumber.lead_id).where(others)))
        held = select(Override.lead_id).where(_covered(Override.number, pattern), *Override.opening(at)).distinct()
        calls = select(DecisionRecord.id).where(
            DecisionRecord.verdict == Verdict.ALLOW,
            DecisionRecord.at >= since,
            DecisionRecord.override == "",
            _covered(DecisionRecord.number, pattern),
        )
        totals = select(func.sum(DecisionTotal.decisions)).where(
            DecisionTotal.verdict == Verdict.ALLOW, DecisionTotal.began_at >= since
        )
        beginnings = [pattern[:length] for length in range(1, len(pattern) + 1)]
        known = await session.execute(
            select(*_COLUMNS).where(_STANDING, SuppressionPattern.prefix.in_(beginnings)).order_by(_COLUMNS[1])
        )
        standing = {row.prefix: PatternRow(*row) for row in known}
        return PatternEffect(
            pattern=pattern,
            country=_country(pattern),
            leads=leads,
            opened=await _count(session, held),
            calls=await _count(session, calls),
            allowed=int(await session.scalar(totals) or 0),
            since=since,
            in_plan=any(True for _ in samples(pattern)),
            standing=standing.pop(pattern, None),
            wider=list(standing),
        )


def _covered(number: InstrumentedAttribute[str], pattern: str) -> ColumnElement[bool]:
    """Return the condition that a number begins with a pattern, as a range of the column's index."""
    return number.between(f"+{pattern}", f"+{pattern}".ljust(LONGEST_NUMBER, "9"))


async def _count(session: AsyncSession, rows: Select[str] | CompoundSelect[str]) -> int:
    return await session.scalar(select(func.count()).select_from(rows.subquery())) or 0


def _country(pattern: str) -> str:
    """Return the countries whose numbers have the country code of a pattern, as ISO 3166 codes; at most three."""
    code = country_code_of(pattern)
    regions = phonenumbers.region_codes_for_country_code(code) if code else ()
    return ", ".join(regions[:3]) + (" and others" if len(regions) > 3 else "")


def _percent(share: float) -> str:
    return "less than 0.1 %" if 0 < share < 0.001 else f"{share:.1%}".replace("%", " %")
