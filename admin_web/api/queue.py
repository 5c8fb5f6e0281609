"""The dial queue over the API: the leads to call next, judged as the gate will judge the call."""

from datetime import datetime

from admin_web.api import words
from admin_web.api.operation import ApiCall, Result
from admin_web.api.problem import Problem
from admin_web.queries.paging import spelled
from admin_web.queries.queue import QueuePosition, dial_queue
from compliance.numbers import LeadId
from compliance.rule import sentence_of


class GetQueue(words.Paged):
    """Page size and position."""


class Waiting(Result):
    """A lead that may be dialled now, and why; `override` is the id of the override that opens it, or empty."""

    lead: str
    name: str
    number: str
    last_called_at: datetime | None
    reason: str
    override: str


class Queue(Result):
    """Leads to call, longest waiting first; `blocked` leads were skipped. `next` is empty at the end."""

    items: list[Waiting]
    blocked: int
    next: str


async def get_queue(call: ApiCall, asked: GetQueue) -> Queue:
    """Return the next leads to dial. Raises Problem when the gate would block every call."""
    behind = _place(asked)
    found = await dial_queue(call.database, call.projection, call.records.now(), behind=behind, most=asked.limit)
    if found.doubt is not None:
        said = f"{sentence_of(found.doubt.reason)} Until that is solved, the gate blocks every call."
        raise Problem("queue-unavailable", said, headers={"Retry-After": "5"})
    items = [
        Waiting(
            lead=offer.lead,
            name=offer.name,
            number=offer.number,
            last_called_at=offer.last_called_at,
            reason=offer.reason,
            override=offer.override,
        )
        for offer in found.offers
    ]
    return Queue(items=items, blocked=found.blocked, next=spelled(tuple(found.behind)) if found.behind else "")


def _place(asked: GetQueue) -> QueuePosition | None:
    match asked.key(datetime, str):
        case (datetime() as at, str() as lead):
            return QueuePosition(at, LeadId(lead))
    return None
