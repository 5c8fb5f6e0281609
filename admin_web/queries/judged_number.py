"""One number, judged by the record as the gate would judge a call to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from admin_web.judging.facts import read_record
from admin_web.queries.lists import own_end
from admin_web.record.database import Database
from compliance.numbers import E164, LeadId
from compliance.rule import decide
from compliance.verdict import Ruling


@dataclass(frozen=True, slots=True)
class JudgedNumber:
    """The ruling on a call, and the `lists` that the number is on.

    `pattern` is the pattern of the company's own list that covers it, or empty. `campaigns` are those for which a
    campaign list blocks it. `ends_at` is when its entry on the company's own list ends by itself, or None.
    """

    ruling: Ruling
    lists: Sequence[str]
    pattern: str
    campaigns: Sequence[str]
    ends_at: datetime | None


async def judged_number(
    database: Database, number: E164, lead: LeadId | None, at: datetime, campaign: str = ""
) -> JudgedNumber:
    """Judge a call to a number at `at` (aware UTC), for a lead and a campaign. Raises DatabaseUnavailable."""
    async with database.read() as session:
        record = await read_record(session, [(number, lead)], at, campaign)
        ends_at = await own_end(session, number)
    (facts,), elsewhere = record.facts, record.elsewhere[number]
    return JudgedNumber(
        ruling=decide(number, facts, at),
        lists=facts.listed,
        pattern=facts.applying.pattern if facts.applying else "",
        campaigns=sorted({campaign for campaigns in elsewhere.values() for campaign in campaigns}),
        ends_at=ends_at,
    )
