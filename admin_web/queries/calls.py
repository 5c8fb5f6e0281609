"""The call log: the gate's decision on each call with the call's outcome, and calls without a decision.

It merges two tables in the order of time. A decision includes the PBX's records of its call. A PBX record is a row of
its own in two cases. In the first case it has no decision, because the dialplan itself ruled on the call. In the second
case the call left the PBX unscreened: without a decision, or although a decision blocked it.
"""

from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import product
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import ColumnElement, Row, Select, and_, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from admin_web.queries.call_filter import UNSCREENED, CallFilter, decisions_wanted, records_wanted
from admin_web.queries.callers import Period, owners_of, periods_of
from admin_web.queries.outcomes import OUTCOME, CallOutcome, outcomes_of
from admin_web.queries.paging import PAGE_ROWS, Page, page_of
from admin_web.record.database import Database
from admin_web.record.dialect import each_of
from admin_web.record.models import CallDetail, DecisionRecord, Lead
from compliance.verdict import Verdict

CallSelect: TypeAlias = "Select[*tuple[Any, ...]]"


class CallPosition(NamedTuple):
    """Position of a call in the order of time: its moment (aware UTC), and two ids to break ties.

    `record` is 0 for a decision. At the same moment, decisions come after PBX records without one.
    """

    at: datetime
    record: int
    decision: str


@dataclass(frozen=True, slots=True)
class CallSeen:
    """One call. Without a `decision` it is a PBX `record` by itself, `unscreened` if the call left the PBX.

    `number` is E.164; when it is empty, `dialed` holds the digits that the PBX sent. `agent` is the person who called,
    "" if nobody is on record; `telephone` is the endpoint of the PBX that called.
    """

    at: datetime
    decision: str
    verdict: str
    reason: str
    detail: str
    override: str
    number: str
    dialed: str
    lead: str
    agent: str
    telephone: str
    campaign: str
    channel: str
    generation: int
    gate: str
    peer: str
    archived_at: datetime | None
    record: int = 0
    unscreened: bool = False
    lead_name: str = ""
    outcome: CallOutcome | None = None

    @property
    def place(self) -> CallPosition:
        """Position of the call in the order of time."""
        return CallPosition(self.at, self.record, self.decision)


async def call_page(
    database: Database, wanted: CallFilter, behind: CallPosition | None = None, rows: int = PAGE_ROWS
) -> Page[CallSeen]:
    """Return a page of calls, latest first, starting after a position."""
    async with database.read() as session:
        return page_of(await _calls(session, wanted, behind, rows + 1), lambda call: call.place, rows)


async def every_call(database: Database, wanted: CallFilter, at_a_time: int = 250) -> AsyncIterator[CallSeen]:
    """Yield all calls, latest first, read in batches with one transaction each."""
    behind: CallPosition | None = None
    while True:
        async with database.read() as session:
            calls = await _calls(session, wanted, behind, at_a_time)
        for call in calls:
            yield call
        if len(calls) < at_a_time:
            return
        behind = calls[-1].place


async def decision_page(
    database: Database, wanted: CallFilter, behind: CallPosition | None = None, rows: int = PAGE_ROWS
) -> Page[CallSeen]:
    """Return a page of only the gate's decisions, latest first, starting after a position."""
    async with database.read() as session:
        periods = await periods_of(session, wanted.agent)
        found = await _decisions(session, wanted, behind, rows + 1, periods)
        return page_of(await _completed(session, _latest(found, rows + 1)), lambda call: call.place, rows)


async def decision_of(database: Database, decision: str) -> CallSeen | None:
    """Return one decision of the gate; None when it does not exist."""
    async with database.read() as session:
        found = await session.execute(select(*_DECISION).where(DecisionRecord.id == decision))
        return next(iter(await _completed(session, [_from_decision(row) for row in found])), None)


async def _calls(session: AsyncSession, wanted: CallFilter, behind: CallPosition | None, most: int) -> list[CallSeen]:
    periods = await periods_of(session, wanted.agent)
    found = await _decisions(session, wanted, behind, most, periods)
    if not wanted.override:
        asked = _alone(session, _bounded_once(wanted, behind), behind, periods)
        found += [_from_record(row) for row in await session.execute(asked.limit(most))]
    return await _completed(session, _latest(found, most))


async def _decisions(
    session: AsyncSession, wanted: CallFilter, behind: CallPosition | None, most: int, periods: Sequence[Period]
) -> list[CallSeen]:
    found: list[CallSeen] = []
    for asked in _decided(session, _bounded_once(wanted, behind), behind, periods):
        found += [_from_decision(row) for row in await session.execute(asked.limit(most))]
    return found


def _bounded_once(wanted: CallFilter, behind: CallPosition | None) -> CallFilter:
    """Omit `until` when the position is earlier anyway. With two bounds, SQLite might scan from the farther one."""
    earlier = behind is not None and wanted.until is not None and behind.at < wanted.until
    return replace(wanted, until=None) if earlier else wanted


def _latest(calls: list[CallSeen], most: int) -> list[CallSeen]:
    return sorted(calls, key=lambda call: call.place, reverse=True)[:most]


_DECISION = (
    DecisionRecord.at, DecisionRecord.id, DecisionRecord.verdict, DecisionRecord.reason, DecisionRecord.detail,
    DecisionRecord.override, DecisionRecord.number, DecisionRecord.dialed, DecisionRecord.lead, DecisionRecord.agent,
    DecisionRecord.telephone, DecisionRecord.campaign, DecisionRecord.channel, DecisionRecord.generation,
    DecisionRecord.gate, DecisionRecord.peer, DecisionRecord.archived_at,
)  # fmt: skip

_RECORD = (
    *OUTCOME, CallDetail.id, CallDetail.verdict, CallDetail.reason, CallDetail.destination, CallDetail.lead,
    CallDetail.agent, CallDetail.telephone, CallDetail.channel, CallDetail.unscreened,
)  # fmt: skip


def _from_decision(row: Row[*tuple[Any, ...]]) -> CallSeen:
    return CallSeen(*row)


def _from_record(row: Row[*tuple[Any, ...]]) -> CallSeen:
    """Build a call from a PBX record without a decision. The gate's fields are empty."""
    outcome = CallOutcome(*row[: len(OUTCOME)])
    record, verdict, reason, destination, lead, agent, telephone, channel, unscreened = row[len(OUTCOME) :]
    return CallSeen(
        outcome.started_at, "", verdict, reason, "", "", "", destination, lead, agent, telephone, "", channel, 0,
        "", "", None, record, unscreened, outcome=outcome,
    )  # fmt: skip


def _decided(
    session: AsyncSession, wanted: CallFilter, behind: CallPosition | None, periods: Sequence[Period]
) -> Iterator[CallSelect]:
    """Yield the queries for decisions, each in the order of an index.

    A person's calls take one query, and one more for each of the `periods` in which they had a telephone.
    For a reason without a verdict there is one query per verdict: they use the index on both columns, which is fast
    even for a reason that never occurs with that verdict.
    """
    if wanted.verdict == UNSCREENED:
        return
    apart = wanted.reason and not wanted.verdict and not wanted.subject
    for verdict, period in product(tuple(Verdict) if apart else (wanted.verdict,), (None, *periods)):
        asked = select(*_DECISION).where(*decisions_wanted(session, wanted, verdict, period))
        if behind is not None:
            tie = true() if behind.record else DecisionRecord.id < behind.decision
            asked = asked.where(_behind(DecisionRecord.at, behind.at, tie))
        yield asked.order_by(DecisionRecord.at.desc(), DecisionRecord.id.desc())


def _alone(
    session: AsyncSession, wanted: CallFilter, behind: CallPosition | None, periods: Sequence[Period]
) -> CallSelect:
    asked = select(*_RECORD).where(*records_wanted(session, wanted, periods))
    if behind is not None:
        asked = asked.where(_behind(CallDetail.started_at, behind.at, CallDetail.id < behind.record))
    return asked.order_by(CallDetail.started_at.desc(), CallDetail.id.desc())


def _behind(column: InstrumentedAttribute[datetime], at: datetime, tie: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition for rows after a position, latest first; `tie` decides between rows of the same moment.

    The first part, `column <= at`, is redundant but lets the database use an index on the moment.
    """
    return and_(column <= at, or_(column < at, tie))


async def _completed(session: AsyncSession, calls: Sequence[CallSeen]) -> list[CallSeen]:
    """Add the outcome of each call, the person who called, and the name of its lead."""
    owners = await owners_of(session, [call.telephone for call in calls])
    outcomes = await outcomes_of(session, [call.decision for call in calls if call.decision])
    names = await _names(session, {call.lead for call in calls if call.lead})
    return [
        replace(
            call,
            agent=owners.caller(call.agent, call.telephone, call.at),
            outcome=call.outcome or outcomes.get(call.decision),
            lead_name=names.get(call.lead, ""),
        )
        for call in calls
    ]


async def _names(session: AsyncSession, leads: Collection[str]) -> dict[str, str]:
    asked = select(Lead.id, Lead.name).where(Lead.id.in_(select(each_of(session, leads))))
    return {row[0]: row[1] for row in await session.execute(asked)}
