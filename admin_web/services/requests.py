"""A person's own request not to be called. It is recorded with its day, lists the number and ends older overrides."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.changes import PENDING, Actor, Change, Records, Standing
from admin_web.record.dialect import each_of, hold
from admin_web.record.lead_numbers import has_telephone
from admin_web.record.models import DoNotCallRequest, Lead, Override
from admin_web.services.leads import existing_lead
from admin_web.services.revocation import end
from admin_web.services.suppression import (
    CHUNK,
    LONGEST_NOTE,
    LONGEST_SOURCE,
    suppress_many_within,
    suppress_within,
)
from compliance import dates
from compliance.consent import may_revoke
from compliance.numbers import E164, LeadId
from compliance.refusal import Refused, cleaned, require

REQUESTS = 0x646E635F72657173
"""The key of PostgreSQL's advisory lock of requests ("dnc_reqs" in ASCII). Requests share it; a grant holds it alone.
Without it, a grant and a request at once would not see each other, and the override would outlive the request.
"""

FIRST_DAY = date(1990, 1, 1)
"""The earliest day of a request. An earlier date is a typing error."""


class RequestNotDated(Refused):
    """The day of the request is in the future, or too long ago."""


class UnknownRequest(Refused):
    """No request has this id."""


@dataclass(frozen=True, slots=True)
class Requested:
    """A recorded request, and its number on the company's own list. `added` is False if it was listed before.

    `ended` are the ids of the overrides that the request ended. `still_open` are those of other leads on the number. If
    the request is newer than their consent, they wait in the Compliance Monitor until an admin keeps or revokes each.
    """

    request_id: int
    number: E164
    entry_id: int
    added: bool
    ended: tuple[int, ...]
    still_open: tuple[int, ...]
    standing: Standing


@dataclass(frozen=True, slots=True)
class RequestedMany:
    """Recorded requests for many numbers: how many were new on the list, and the overrides that ended."""

    added: int
    already: int
    ended: tuple[int, ...]
    standing: Standing


@dataclass(frozen=True, slots=True)
class Request:
    """What is said about a request: how it came in, its day in the installation's time zone, and a note."""

    source: str
    asked_on: date
    note: str = ""


async def record_request(
    records: Records,
    actor: Actor,
    number: E164,
    *,
    source: str,
    note: str = "",
    lead: LeadId | None = None,
    asked_on: date | None = None,
) -> Requested:
    """Record that the owner of a number asked not to be called, and bring the block into force.

    `asked_on` is today if it is not given. Raises UnknownLead, Unwritable, RequestNotDated.
    """
    request = Request(source, checked_day(asked_on, records.today()), note)
    async with records.change(actor) as change:
        row = await existing_lead(change.session, lead) if lead is not None else None
        done = await request_within(change, number, request, row)
    return replace(done, standing=await records.standing(change))


async def record_requests(
    records: Records,
    actor: Actor,
    numbers: Sequence[E164],
    *,
    source: str,
    note: str = "",
    asked_on: date | None = None,
) -> RequestedMany:
    """Record the requests of the owners of up to CHUNK numbers in one transaction, and bring the blocks into force.

    Raises Unwritable, RequestNotDated.
    """
    wanted = list(dict.fromkeys(numbers))
    request = Request(source, checked_day(asked_on, records.today()), note)
    async with records.change(actor) as change:
        added, ended = await requests_within(change, wanted, request)
    return RequestedMany(added, len(wanted) - added, ended, await records.standing(change))


async def request_within(change: Change, number: E164, request: Request, row: Lead | None = None) -> Requested:
    """Record a request within a change: list the number, and end overrides that rest on an older consent.

    A request of a lead ends that lead's overrides on the number. The other leads may be other people, so their
    overrides stay. A request by number alone ends all of them, because nobody knows who asked. The request of a lead
    who does not have the number ends all of them too. The row of the lead must be locked. Raises Unwritable.
    """
    await hold(change.session, REQUESTS, shared=True)
    lead = LeadId(row.id) if row is not None else None
    listed = await suppress_within(change, number, source=request.source, note=request.note, lead=lead, asked=True)
    (request_id,) = await _record(change, [number], request, lead)
    who = lead if lead is not None and await has_telephone(change.session, lead, number) else None
    ended = await _end_older(change, {number: request_id}, request, who)
    still_open = tuple(one for one in listed.open_overrides if one not in ended)
    return Requested(request_id, number, listed.entry_id, listed.added, ended, still_open, PENDING)


async def requests_within(
    change: Change, numbers: Sequence[E164], request: Request, *, audited: bool = True
) -> tuple[int, tuple[int, ...]]:
    """Record requests by number alone within a change, for up to CHUNK numbers.

    Returns how many numbers were new on the list, and the ids of the overrides that ended. Without `audited`, the
    caller writes the audit event. Raises Unwritable.
    """
    wanted = sorted(set(numbers))
    if len(wanted) > CHUNK:
        raise ValueError(f"at most {CHUNK} numbers at a time")
    await hold(change.session, REQUESTS, shared=True)
    added = await suppress_many_within(
        change, wanted, source=request.source, note=request.note, asked=True, audited=audited
    )
    ids = await _record(change, wanted, request, None)
    return added, await _end_older(change, dict(zip(wanted, ids, strict=True)), request, None)


async def withdraw_request(records: Records, actor: Actor, request_id: int, *, reason: str) -> bool:
    """Record that a request was recorded wrongly: it was no request of the person. The entry stays on the list.

    Returns False, and changes nothing, if it was withdrawn before. Raises UnknownRequest, NotPermitted, Unwritable.
    """
    require(may_revoke, actor.role, "withdraw requests")
    reason = cleaned(reason, LONGEST_NOTE, "The reason", required=True)
    async with records.change(actor) as change:
        found = select(DoNotCallRequest).where(DoNotCallRequest.id == request_id).with_for_update()
        request = await change.session.scalar(found)
        if request is None:
            raise UnknownRequest(f"There is no request {request_id}.")
        if request.withdrawn_at is not None:
            return False
        request.withdrawn_at, request.withdrawn_by, request.withdraw_reason = change.at, actor.name, reason
        change.audit("withdraw-request", "number", request.number, request=request_id, reason=reason)
    return True


async def newest_request(session: AsyncSession, number: E164) -> date | None:
    """Return the day of the newest request on a number that was not withdrawn; None if there is none."""
    asked = DoNotCallRequest
    newest = select(asked.asked_on).where(asked.number == number, asked.withdrawn_at.is_(None))
    return await session.scalar(newest.order_by(asked.asked_on.desc()).limit(1))


async def last_recorded(session: AsyncSession, number: E164) -> DoNotCallRequest | None:
    """Return the request on a number that was recorded last and was not withdrawn; None if there is none."""
    asked = DoNotCallRequest
    standing = select(asked).where(asked.number == number, asked.withdrawn_at.is_(None))
    return await session.scalar(standing.order_by(asked.id.desc()).limit(1))


async def last_request_id(session: AsyncSession, number: E164) -> int:
    """Return the id of the last request on a number, withdrawn or not; 0 if there is none."""
    return await session.scalar(select(func.max(DoNotCallRequest.id)).where(DoNotCallRequest.number == number)) or 0


def checked_day(asked_on: date | None, today: date) -> date:
    """Return the day of a request, by default today. Raises RequestNotDated."""
    if asked_on is None:
        return today
    if not FIRST_DAY <= asked_on <= today:
        raise RequestNotDated(
            f"A request is dated between {dates.day(FIRST_DAY)} and today, {dates.day(today)}, not "
            f"{dates.day(asked_on)}. Nothing was changed."
        )
    return asked_on


async def _record(change: Change, numbers: Sequence[E164], request: Request, lead: LeadId | None) -> list[int]:
    """Add a row for each number and return their ids, in the order of `numbers`."""
    rows = [
        DoNotCallRequest(
            number=number,
            asked_on=request.asked_on,
            source=cleaned(request.source, LONGEST_SOURCE, "The source", required=True),
            lead_id=lead,
            note=cleaned(request.note, LONGEST_NOTE, "The note"),
            recorded_at=change.at,
            recorded_by=change.actor.name,
        )
        for number in numbers
    ]
    change.session.add_all(rows)
    await change.session.flush()
    return [row.id for row in rows]


async def _end_older(
    change: Change, requests: dict[E164, int], request: Request, lead: LeadId | None
) -> tuple[int, ...]:
    """End the live overrides on these numbers whose consent is not later than the request. Returns their ids.

    `requests` are the ids of the requests by number. With `lead`, only the overrides of that lead end. An override
    whose consent has the same day as the request ends too, because the request was recorded after it.
    """
    older = select(Override).where(
        Override.number.in_(select(each_of(change.session, requests))),
        Override.counts_from <= request.asked_on,
        *Override.live(change.at),
    )
    if lead is not None:
        older = older.where(Override.lead_id == lead)
    found = (await change.session.scalars(older.order_by(Override.id).with_for_update())).all()
    who = f"Lead {lead} asked" if lead is not None else "The owner of the number asked"
    for override in found:
        override.ended_by_request = requests[E164(override.number)]
        asked = f"{who} on {dates.day(request.asked_on)} not to be called"
        end(change, override, f"{asked} (request {override.ended_by_request}).")
    return tuple(override.id for override in found)
