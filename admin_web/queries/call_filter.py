"""The filter of the call log, and its conditions for both tables of the log."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from phonenumbers import PhoneNumberFormat, format_number, parse
from sqlalchemy import ColumnElement, TextClause, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from admin_web.queries.callers import Period, decided_from, recorded_by
from admin_web.record.dialect import each_of, on_sqlite
from admin_web.record.models import CallDetail, DecisionRecord
from admin_web.record.models.calls import ALONE
from compliance.numbers import E164

UNSCREENED = "unscreened"
"""The verdict filter for calls that left the PBX without a decision that allowed them."""


@dataclass(frozen=True, slots=True)
class CallFilter:
    """A filter of calls; empty fields match all. `agent` is a person; `verdict` is a Verdict or UNSCREENED.

    `since` is inclusive, `until` is exclusive. `dialled` are the spellings of `number` that a PBX record may contain.
    """

    number: E164 | None = None
    dialled: tuple[str, ...] = ()
    lead: str = ""
    agent: str = ""
    verdict: str = ""
    reason: str = ""
    override: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def subject(self) -> str:
        """The most selective field: number, override, lead or agent; empty when none of them is given."""
        return self.number or self.override or self.lead or self.agent


def dialled_as(number: E164, prefix: str) -> tuple[str, ...]:
    """Return the spellings in which a PBX may have dialled a number; `prefix` is its prefix for outside numbers."""
    national = "".join(filter(str.isdigit, format_number(parse(number), PhoneNumberFormat.NATIONAL)))
    plain = (number, number[1:], national, f"00{number[1:]}", f"011{number[1:]}")
    return tuple(dict.fromkeys([*plain, *(f"{prefix}{digits}" for digits in plain)]))


def decisions_wanted(
    session: AsyncSession, wanted: CallFilter, verdict: str, period: Period | None = None
) -> list[ColumnElement[bool] | TextClause]:
    """Return the conditions for decisions: those of `wanted.agent` or, with a `period`, of that period's telephone.

    SQLite cannot tell which column is more selective, such as agent or reason. An empty text is therefore appended to
    the less selective columns, so that SQLite does not use their indexes. PostgreSQL knows the frequent values by its
    statistics.
    """
    table = DecisionRecord
    exact = {
        table.number: wanted.number,
        table.override: wanted.override,
        table.lead: wanted.lead,
        table.agent: "" if period else wanted.agent,
        table.verdict: verdict,
        table.reason: wanted.reason,
    }
    asked = [(column, value) for column, value in exact.items() if value]
    by_telephone = period is not None and not (wanted.number or wanted.override or wanted.lead)
    selective = 0 if by_telephone else 1
    plain = selective if wanted.subject and on_sqlite(session) else len(asked)
    found = [column == value for column, value in asked[:plain]]
    found += [column.concat("") == value for column, value in asked[plain:]]
    return [*found, *(decided_from(period) if period else ()), *_within(table.at, wanted)]


def records_wanted(
    session: AsyncSession, wanted: CallFilter, periods: Sequence[Period] = ()
) -> list[ColumnElement[bool] | TextClause]:
    """Return the conditions for PBX records without a decision. `periods` are those of `wanted.agent`."""
    table = CallDetail
    exact = {table.lead: wanted.lead, table.reason: wanted.reason}
    found: list[ColumnElement[bool] | TextClause] = [text(f"({ALONE})")]
    found += [column == value for column, value in exact.items() if value]
    if wanted.agent:
        found.append(recorded_by(wanted.agent, periods))
    if wanted.dialled:
        found.append(table.destination.in_(select(each_of(session, wanted.dialled))))
    if wanted.verdict == UNSCREENED:
        found.append(table.unscreened.is_(True))
    elif wanted.verdict:
        found += [table.verdict == wanted.verdict, table.unscreened.is_(False)]
    return [*found, *_within(table.started_at, wanted)]


def _within(at: InstrumentedAttribute[datetime], wanted: CallFilter) -> list[ColumnElement[bool]]:
    since = [at >= wanted.since] if wanted.since else []
    return [*since, at < wanted.until] if wanted.until else since
