"""The gate's decisions over the API, each with the outcome of its call."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from admin_web.api import words
from admin_web.api.operation import ApiCall, Arguments, Result, operation
from admin_web.api.problem import Problem
from admin_web.people.tokens import Scope
from admin_web.queries.call_filter import CallFilter
from admin_web.queries.calls import CallPosition, CallSeen, decision_of, decision_page
from compliance.verdict import Verdict

DecisionId = Annotated[str, Field(pattern="^[A-Za-z0-9_.-]{1,40}$", examples=["01a20a789220-cf157d42-00000004"])]
AnyOverride = Annotated[str, Field(pattern="^[0-9]{0,19}$", description="The id of an override.")]


class ListDecisions(words.Paged):
    """A filter of decisions; omitted fields match all. `since` is inclusive, `until` is exclusive."""

    number: words.Number | None = None
    lead: words.Lead | None = None
    agent: Annotated[
        str,
        Field(pattern=r"^[^\x00]*$", max_length=64, description="The person who called, exactly as it is returned."),
    ] = ""
    verdict: Verdict | None = None
    reason: words.Slug = ""
    override: AnyOverride = ""
    since: words.Moment | None = None
    until: words.Moment | None = None


class GetDecision(Arguments):
    """The decision to read."""

    decision: DecisionId


class Ended(Result):
    """How the call ended, according to the PBX."""

    disposition: str
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    seconds_billed: int


class Decision(Result):
    """The gate's decision on one call. `number` is empty when `dialed` was not a telephone number.

    `agent` is the person who called, or empty if nobody is on record; `telephone` is the endpoint of the PBX from which
    the call came, or empty. Both may be unknown until the PBX has written its record of the call. `campaign` is the
    campaign that the PBX named, or empty. A registry may not apply to some campaigns.
    """

    decision: str
    at: datetime
    verdict: Verdict
    reason: str
    detail: str
    number: str
    dialed: str
    lead: str
    agent: str
    telephone: str
    campaign: str
    override: str
    channel: str
    gate: str
    peer: str
    outcome: Ended | None


class DecisionPage(Result):
    """Decisions, latest first. `next` is empty on the last page."""

    items: list[Decision]
    next: str


@operation("list-decisions", "GET", "/decisions", Scope.READ, refuses=("unknown-page", "invalid-number"))
async def list_decisions(call: ApiCall, asked: ListDecisions) -> DecisionPage:
    """Find what the gate decided on calls, the latest first, a page at a time."""
    wanted = CallFilter(
        number=call.number(asked.number) if asked.number is not None else None,
        lead=asked.lead or "",
        agent=asked.agent,
        verdict=asked.verdict or "",
        reason=asked.reason,
        override=asked.override,
        since=asked.since,
        until=asked.until,
    )
    found = await decision_page(call.database, wanted, _place(asked), asked.limit)
    return DecisionPage(items=[_shown(decided) for decided in found.rows], next=found.next_key)


@operation("get-decision", "GET", "/decisions/{decision}", Scope.READ, refuses=("unknown-decision",))
async def get_decision(call: ApiCall, asked: GetDecision) -> Decision:
    """Read one decision, and how its call ended."""
    found = await decision_of(call.database, asked.decision)
    if found is None:
        raise Problem("unknown-decision", f"There is no decision {asked.decision}, or it is not archived yet.")
    return _shown(found)


def _place(asked: ListDecisions) -> CallPosition | None:
    match asked.key(datetime, int, str):
        case (datetime() as at, int() as record, str() as decision):
            return CallPosition(at, record, decision)
    return None


def _shown(decided: CallSeen) -> Decision:
    return Decision(
        decision=decided.decision,
        at=decided.at,
        verdict=Verdict(decided.verdict),
        reason=decided.reason,
        detail=decided.detail,
        number=decided.number,
        dialed=decided.dialed,
        lead=decided.lead,
        agent=decided.agent,
        telephone=decided.telephone,
        campaign=decided.campaign,
        override=decided.override,
        channel=decided.channel,
        gate=decided.gate,
        peer=decided.peer,
        outcome=_ended(decided),
    )


def _ended(decided: CallSeen) -> Ended | None:
    outcome = decided.outcome
    if outcome is None:
        return None
    return Ended(
        disposition=outcome.disposition,
        started_at=outcome.started_at,
        answered_at=outcome.answered_at,
        ended_at=outcome.ended_at,
        seconds_billed=outcome.seconds_billed,
    )
