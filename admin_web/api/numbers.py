"""One number over the API: judged as the gate would judge a call to it."""

from datetime import datetime

from admin_web.api import words
from admin_web.api.operation import ApiCall, Arguments, Result, operation
from admin_web.people.tokens import Scope
from admin_web.queries.judged_number import judged_number
from compliance.numbers import LeadId
from compliance.rule import openable, sentence_of
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
    number, lead = call.number(asked.number), LeadId(asked.lead) if asked.lead else None
    found = await judged_number(call.database, number, lead, call.records.now(), asked.campaign or "")
    ruling = found.ruling
    return NumberShown(
        number=number,
        verdict=ruling.verdict,
        reason=ruling.reason,
        sentence=sentence_of(ruling.reason),
        openable=openable(ruling),
        lists=list(found.lists),
        override=ruling.override,
        pattern=f"+{found.pattern}" if found.pattern else "",
        campaigns=list(found.campaigns),
        ends_at=found.ends_at,
    )
