"""The company's own list over the API: put numbers on it, and lift them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from pydantic import Field

from admin_web.api import words
from admin_web.api.operation import ApiCall, Arguments, Result, WriteResult, operation
from admin_web.people.tokens import Scope
from admin_web.services.do_not_call import block_lead
from admin_web.services.requests import record_request, record_requests
from admin_web.services.suppression import CHUNK, lift, suppress, suppress_many
from compliance.ends import end_in, request_with_end
from compliance.json_numbers import dialed_in
from compliance.numbers import E164, InvalidNumber, LeadId


class Suppress(Arguments):
    """A number whose owner asked not to be called, and the lead who asked, if known.

    `asked_on` is the day of the request, by default today in the time zone of the installation. Without a lead, every
    override on the number ends whose consent is not newer.

    With `until`, nobody asked: no request is recorded, no override ends, and the entry ends by itself. `until` together
    with `lead` or `asked_on` is refused.
    """

    number: words.Number
    lead: words.Lead | None = None
    source: words.Source = "api"
    note: words.Note = ""
    asked_on: words.Day | None = None
    until: words.Until | None = None


class Suppressed(WriteResult):
    """A recorded request, and its number on the list. The request ended `ended_overrides`.

    `open_overrides` still open leads on the number. If a request is newer than their consent, an admin keeps or revokes
    each in the Compliance Monitor. `request` is null if nobody asked. `ends_at` is when the entry ends by itself; null
    if it does not, also because the person has asked not to be called or the number was listed without an end.
    """

    number: str
    request: int | None
    entry: int
    added: bool
    ended_overrides: list[int]
    open_overrides: list[int]
    ends_at: datetime | None


class SuppressMany(Arguments):
    """Numbers whose owners asked not to be called, each by number alone. `until` is as in `suppress`."""

    numbers: Annotated[list[words.Item], Field(min_length=1, max_length=CHUNK)]
    source: words.Source = "api"
    note: words.Note = ""
    asked_on: words.Day | None = None
    until: words.Until | None = None


class NotTaken(Result):
    """An item that is not one telephone number: its index, counted from 0, and the reason."""

    at: int
    reason: str
    detail: str


class SuppressedMany(WriteResult):
    """How many numbers were added, how many were listed already, which items are not numbers, and what ended.

    `ends_at` is when the added entries end by themselves; null if they do not. Entries that were to stay longer do so.
    """

    added: int
    already: int
    ended_overrides: list[int]
    rejected: list[NotTaken]
    ends_at: datetime | None


class Block(Arguments):
    """The lead who asked not to be called again. `numbers` are those of the lead's numbers to list; by default all."""

    lead: words.Lead
    numbers: words.SomeNumbers = ()


class Blocked(WriteResult):
    """The listed numbers and the lead's ended overrides. Leads in `still_open` have their own override on one of them.

    `number` is the first of `numbers`. `added` is false if all of them were listed before.
    """

    lead: str
    number: str
    numbers: list[str]
    added: bool
    ended_overrides: list[int]
    still_open: list[str]


class Lift(Arguments):
    """A number that may be called again."""

    number: words.Number
    reason: words.Reason


class Lifted(WriteResult):
    """A lifted number, no longer on the list; its entry stays on record."""

    number: str
    entry: int


@operation("suppress", "POST", "/suppress", Scope.SUPPRESS, form=True, refuses=("unknown-lead", "invalid-number"))
async def post_suppress(call: ApiCall, asked: Suppress) -> Suppressed:
    """Put a number on the company's own Do-Not-Call list."""
    if asked.until is not None:
        return await _suppress_until(call, asked, asked.until)
    lead = LeadId(asked.lead) if asked.lead else None
    done = await record_request(
        call.records,
        call.actor,
        call.number(asked.number),
        source=asked.source,
        note=asked.note,
        lead=lead,
        asked_on=asked.asked_on,
    )
    return Suppressed(
        number=done.number,
        request=done.request_id,
        entry=done.entry_id,
        added=done.added,
        ended_overrides=list(done.ended),
        open_overrides=list(done.still_open),
        ends_at=None,
    )


async def _suppress_until(call: ApiCall, asked: Suppress, until: str) -> Suppressed:
    if asked.lead is not None or asked.asked_on is not None:
        raise request_with_end("`lead` and `asked_on`")
    number, ends_at = call.number(asked.number), _end(call, until)
    done = await suppress(call.records, call.actor, number, source=asked.source, note=asked.note, ends_at=ends_at)
    return Suppressed(
        number=done.number,
        request=None,
        entry=done.entry_id,
        added=done.added,
        ended_overrides=[],
        open_overrides=list(done.open_overrides),
        ends_at=done.ends_at,
    )


def _end(call: ApiCall, until: str) -> datetime:
    return end_in(until, call.records.rules, call.records.now())


@operation("suppress-many", "POST", "/suppress/many", Scope.SUPPRESS, form=True)
async def post_suppress_many(call: ApiCall, asked: SuppressMany) -> SuppressedMany:
    """Put up to 1,000 numbers on the list. Invalid numbers are reported and do not stop the others."""
    if asked.until is not None and asked.asked_on is not None:
        raise request_with_end("`asked_on`")
    ends_at = _end(call, asked.until) if asked.until is not None else None
    numbers, rejected = numbers_of(call, asked.numbers)
    if not numbers:
        return SuppressedMany(added=0, already=0, ended_overrides=[], rejected=rejected, ends_at=ends_at)
    added, already, ended = await _list_many(call, asked, numbers, ends_at)
    return SuppressedMany(added=added, already=already, ended_overrides=ended, rejected=rejected, ends_at=ends_at)


async def _list_many(
    call: ApiCall, asked: SuppressMany, numbers: list[E164], ends_at: datetime | None
) -> tuple[int, int, list[int]]:
    """Return how many numbers are new on the list, how many were on it, and the overrides that ended."""
    if ends_at is not None:
        many = await suppress_many(
            call.records, call.actor, numbers, source=asked.source, note=asked.note, ends_at=ends_at
        )
        return many.added, many.already, []
    done = await record_requests(
        call.records, call.actor, numbers, source=asked.source, note=asked.note, asked_on=asked.asked_on
    )
    return done.added, done.already, list(done.ended)


def numbers_of(call: ApiCall, items: Sequence[object]) -> tuple[list[E164], list[NotTaken]]:
    """Return the numbers among `items`, and why each of the others is none."""
    numbers: list[E164] = []
    rejected = []
    for place, item in enumerate(items):
        try:
            numbers.append(call.number(dialed_in(item)))
        except InvalidNumber as error:
            rejected.append(NotTaken(at=place, reason=error.reason, detail=str(error)))
    return numbers, rejected


@operation("block-lead", "POST", "/leads/{lead}/block", Scope.SUPPRESS, form=True, refuses=("unknown-lead",))
async def post_block(call: ApiCall, asked: Block) -> Blocked:
    """Record that a lead asked not to be called: list its numbers, and end the lead's own overrides."""
    numbers = [call.number(number) for number in asked.numbers]
    done = await block_lead(call.records, call.actor, LeadId(asked.lead), numbers)
    return Blocked(
        lead=done.lead,
        number=done.number,
        numbers=list(done.numbers),
        added=done.added,
        ended_overrides=list(done.ended),
        still_open=list(done.still_open),
    )


@operation("lift", "POST", "/lift", Scope.LIFT, refuses=("not-listed", "invalid-number"))
async def post_lift(call: ApiCall, asked: Lift) -> Lifted:
    """Lift a number: take it off the company's own list. Its entry stays on record."""
    done = await lift(call.records, call.actor, call.number(asked.number), reason=asked.reason)
    return Lifted(number=done.number, entry=done.entry_id)
