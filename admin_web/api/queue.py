"""The dial queue over the API: the leads to call next, judged as the gate will judge the call, and claims of them."""

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated

from pydantic import Field

from admin_web.api import words
from admin_web.api.operation import ApiCall, Arguments, Result, WriteResult, operation
from admin_web.api.problem import Problem
from admin_web.people.tokens import Scope
from admin_web.queries.paging import spelled
from admin_web.queries.queue import Offer, QueuePage, QueuePosition, dial_queue, queue_within
from admin_web.services.claims import LONGEST_S, SHORTEST_S, claim_first
from admin_web.services.leads import change_lead
from admin_web.services.wrap_up import Outcome, wrap_up
from compliance.numbers import LeadId
from compliance.rule import sentence_of


class GetQueue(words.Paged):
    """Page size and position, and the campaign of the calls. Leads that are blocked for the campaign are skipped."""

    campaign: words.Campaign | None = None


class Waiting(Result):
    """A lead that may be dialled now, and why; `override` is the id of the override that opens it, or empty.

    `numbers` are its numbers that may be dialled, in the order of the lead; `number` is the first of them, and `reason`
    and `override` are about that one.
    """

    lead: str
    name: str
    number: str
    numbers: list[str]
    last_called_at: datetime | None
    reason: str
    override: str


class Queue(Result):
    """Leads to call, longest waiting first; `blocked` leads were skipped. `next` is empty at the end."""

    items: list[Waiting]
    blocked: int
    next: str


class ClaimLead(words.After):
    """A claim of the next lead, for `lease_s` seconds. `after` is the `next` of an earlier claim.

    Leads that are blocked for `campaign` are skipped.
    """

    campaign: words.Campaign | None = None

    lease_s: Annotated[
        int, Field(ge=SHORTEST_S, le=LONGEST_S, description="Seconds until the lead is offered to others again.")
    ] = 120


class Claimed(WriteResult):
    """The claimed lead, which is offered to nobody else until `claimed_until`; null if no lead is left to call.

    `blocked` leads were skipped before it. `next` continues behind the lead; it is empty at the end of the queue.
    """

    item: Waiting | None
    claimed_until: datetime | None
    blocked: int
    next: str


class ReportOutcome(Arguments):
    """How a call to a lead ended. `decision` is the id of the call's decision; an unknown one is ignored.

    With the outcome `do-not-call`, `numbers` are those of the lead's numbers to list; by default all.
    """

    lead: words.Lead
    outcome: Outcome
    numbers: words.SomeNumbers = ()
    note: words.Note = ""
    decision: Annotated[str, Field(pattern="^[A-Za-z0-9_.-]{0,40}$")] = ""


class OutcomeKept(WriteResult):
    """A recorded outcome. `queued` says whether the queue will offer the lead again: it skips a blocked lead.

    With the outcome `do-not-call`, `numbers` are on the company's own list (`added` is false if they were before), and
    `number` is the first of them; `ended_overrides` of the lead have ended, and `still_open` are other leads on the
    number that have overrides.
    """

    wrap_up: int
    lead: str
    queued: bool
    number: str
    numbers: list[str]
    added: bool
    ended_overrides: list[int]
    still_open: list[str]


class QueuedLead(Arguments):
    """The lead to put back into the queue, or to take off it."""

    lead: words.Lead


class LeadQueued(WriteResult):
    """Whether the lead is in the queue now, and whether that changed. A claim of the sender has ended.

    The queue skips a lead while it is blocked: `offered` says that it does not.
    """

    lead: str
    queued: bool
    offered: bool
    changed: bool


@operation("get-queue", "GET", "/queue", Scope.READ, refuses=("unknown-page", "queue-unavailable"))
async def get_queue(call: ApiCall, asked: GetQueue) -> Queue:
    """Return the next leads to dial, judged as the gate will judge the call.

    Raises Problem when the gate would block every call.
    """
    behind = _place(asked)
    found = await dial_queue(
        call.database,
        call.projection,
        call.records.now(),
        behind=behind,
        most=asked.limit,
        campaign=asked.campaign or "",
    )
    _require_no_doubt(found)
    return Queue(items=[_shown(offer) for offer in found.offers], blocked=found.blocked, next=_spelled(found.behind))


@operation("claim-lead", "POST", "/queue/claim", Scope.DIAL, refuses=("unknown-page", "queue-unavailable"))
async def post_claim(call: ApiCall, asked: ClaimLead) -> Claimed:
    """Claim the next lead to dial: until the lease ends, it is offered to nobody else.

    Raises Problem when the gate would block every call.
    """
    offered = partial(
        queue_within,
        projection=call.projection,
        at=call.records.now(),
        behind=_place(asked),
        campaign=asked.campaign or "",
    )
    found, claim = await claim_first(call.records, call.actor, offered, timedelta(seconds=asked.lease_s))
    _require_no_doubt(found)
    if claim is None:
        return Claimed(item=None, claimed_until=None, blocked=found.blocked, next=_spelled(found.behind))
    offer = next(offer for offer in found.offers if offer.lead == claim.lead)
    return Claimed(
        item=_shown(offer), claimed_until=claim.until, blocked=offer.behind_blocked, next=_spelled(offer.position)
    )


@operation("report-outcome", "POST", "/leads/{lead}/outcome", Scope.DIAL, refuses=("unknown-lead",))
async def post_outcome(call: ApiCall, asked: ReportOutcome) -> OutcomeKept:
    """Record how a call to a lead ended. The outcome do-not-call also lists the lead's numbers."""
    done = await wrap_up(
        call.records,
        call.actor,
        LeadId(asked.lead),
        asked.outcome,
        note=asked.note,
        decision_id=asked.decision,
        numbers=[call.number(number) for number in asked.numbers],
    )
    blocked = done.blocked
    return OutcomeKept(
        wrap_up=done.disposition_id,
        lead=done.lead,
        queued=done.offered,
        number=blocked.number if blocked else "",
        numbers=list(blocked.numbers) if blocked else [],
        added=blocked is not None and blocked.added,
        ended_overrides=list(blocked.ended) if blocked else [],
        still_open=list(blocked.still_open) if blocked else [],
    )


@operation("requeue-lead", "POST", "/leads/{lead}/requeue", Scope.DIAL, refuses=("unknown-lead",))
async def post_requeue(call: ApiCall, asked: QueuedLead) -> LeadQueued:
    """Put a lead back into the dial queue, and end the sender's claim of it."""
    done = await change_lead(call.records, call.actor, LeadId(asked.lead), queued=True)
    return LeadQueued(lead=done.lead, changed=done.changed, queued=True, offered=done.offered)


@operation("dequeue-lead", "POST", "/leads/{lead}/dequeue", Scope.DIAL, refuses=("unknown-lead",))
async def post_dequeue(call: ApiCall, asked: QueuedLead) -> LeadQueued:
    """Take a lead off the dial queue, and end the sender's claim of it."""
    done = await change_lead(call.records, call.actor, LeadId(asked.lead), queued=False)
    return LeadQueued(lead=done.lead, changed=done.changed, queued=False, offered=False)


def _require_no_doubt(found: QueuePage) -> None:
    if found.doubt is not None:
        said = f"{sentence_of(found.doubt.reason)} Until that is solved, the gate blocks every call."
        raise Problem("queue-unavailable", said, headers={"Retry-After": "5"})


def _shown(offer: Offer) -> Waiting:
    return Waiting(
        lead=offer.lead,
        name=offer.name,
        number=offer.number,
        numbers=list(offer.numbers),
        last_called_at=offer.last_called_at,
        reason=offer.reason,
        override=offer.override,
    )


def _spelled(position: QueuePosition | None) -> str:
    return spelled(tuple(position)) if position else ""


def _place(asked: GetQueue | ClaimLead) -> QueuePosition | None:
    match asked.key(datetime, str):
        case (datetime() as at, str() as lead):
            return QueuePosition(at, LeadId(lead))
    return None
