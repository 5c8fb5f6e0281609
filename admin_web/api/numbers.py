"""One number over the API: judged as the gate would judge a call to it."""

from datetime import datetime

from admin_web.api import words
from admin_web.api.operation import ApiCall, Arguments, Result, operation
from admin_web.judging.facts import read_record
from admin_web.people.tokens import Scope
from admin_web.queries.lists import own_end
from compliance.numbers import LeadId
from compliance.rule import decide, openable, sentence_of
from compliance.verdict import Verdict


class GetNumber(Arguments):
    """The number to judge, and the lead and the campaign for which it would be dialled."""

    number: words.Number
    lead: words.Lead | None = None
    campaign: words.Campaign | None = None


class NumberShown(Result):
    """The verdict on a number, according to the database; `override` is the id of the override that opens the lead, or
    empty.

    `sentence` is the reason in words. `openable` says whether an override can open this block. `pattern` is the pattern
    of the company's own list with which the number begins, or empty. `campaigns` are the campaigns for which a campaign
    list blocks the number. `ends_at` is when the entry on the company's own list ends by itself; null if it does not.
    """

    number: str
    verdict: Verdict
    reason: str
    sentence: str
    openable: bool
    lists: list[str]
    override: str
    pattern: str
    campaigns: list[str]
    ends_at: datetime | None


@operation("get-number", "GET", "/numbers/{number}", Scope.SCRUB, refuses=("invalid-number",))
async def get_number(call: ApiCall, asked: GetNumber) -> NumberShown:
    """Judge one number, for a lead if one is given, by the rule of the gate."""
    number, at = call.number(asked.number), call.records.now()
    lead = LeadId(asked.lead) if asked.lead else None
    async with call.database.read() as session:
        record = await read_record(session, [(number, lead)], at, asked.campaign or "")
        ends_at = await own_end(session, number)
    (facts,), elsewhere = record.facts, record.elsewhere[number]
    ruling = decide(number, facts, at)
    return NumberShown(
        number=number,
        verdict=ruling.verdict,
        reason=ruling.reason,
        sentence=sentence_of(ruling.reason),
        openable=openable(ruling),
        lists=list(facts.listed),
        override=ruling.override,
        pattern=f"+{facts.applying.pattern}" if facts.applying and facts.applying.pattern else "",
        campaigns=sorted({campaign for campaigns in elsewhere.values() for campaign in campaigns}),
        ends_at=ends_at,
    )
