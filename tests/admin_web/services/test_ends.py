"""An entry may end by itself. A person's own request never does."""

import asyncio
from datetime import datetime, timedelta

import pytest

from admin_web.judging.listing import lists_of
from admin_web.record.changes import Actor, Records
from admin_web.record.models import AuditEvent, OutboxRow, SuppressionEntry, Webhook, WebhookDelivery
from admin_web.record.steady_clock import SteadyClock
from admin_web.services.ending import MOST_NAMED, lift_ended
from admin_web.services.importing import add_each_within, add_entries_within, begin_import
from admin_web.services.requests import record_request, record_requests, withdraw_request
from admin_web.services.suppression import CHUNK, lift, suppress, suppress_many, suppress_within
from admin_web.services.undoing import undo_import
from admin_web.webhooks.events import Event
from admin_web.worker.housekeeping import ENDS_S, Housekeeping
from compliance.ends import EndPassed
from compliance.numbers import E164
from tests.support.locks import waiting_for_a_lock
from tests.support.records import ADMIN, AT, NUMBER, OTHER, Clock, rows
from tests.support.site import settings_of

WORKER = Actor("system:worker")
SOON, LATE = AT + timedelta(days=1), AT + timedelta(days=2)


async def block(records: Records, ends_at: datetime | None, number: E164 = NUMBER) -> datetime | None:
    return (await suppress(records, ADMIN, number, source="phone", ends_at=ends_at)).ends_at


async def block_many(records: Records, ends_at: datetime | None, number: E164 = NUMBER) -> datetime | None:
    await suppress_many(records, ADMIN, [number, OTHER], source="import", ends_at=ends_at)
    return next(entry.ends_at for entry in await rows(records, SuppressionEntry) if entry.number == number)


async def listed(records: Records, number: E164 = NUMBER) -> bool:
    async with records.database.read() as session:
        return "internal" in await lists_of(session, number)


async def ended(records: Records, clock: Clock, at: datetime) -> bool:
    """Let the worker lift at a moment. Return whether the number is off the list."""
    clock.at = at
    while await lift_ended(records, WORKER, at):
        pass
    return not await listed(records)


async def test_an_entry_ends_at_its_moment_and_not_before(records: Records, clock: Clock):
    assert await block(records, SOON) == SOON
    assert not await ended(records, clock, SOON - timedelta(microseconds=1))
    assert await ended(records, clock, SOON)
    (entry,) = await rows(records, SuppressionEntry)
    assert (entry.lifted_at, entry.lifted_by, entry.lift_reason) == (SOON, "system:worker", "ended")
    assert [event.action for event in await rows(records, AuditEvent)] == ["suppress", "end-entry"]
    assert [row.numbers for row in await rows(records, OutboxRow)] == [[NUMBER], [NUMBER]]


async def test_the_number_stays_blocked_while_the_worker_is_late(records: Records, clock: Clock):
    await block(records, SOON)
    clock.at = LATE
    assert await listed(records)


@pytest.mark.parametrize(("here", "redis"), [(LATE, AT), (AT, LATE), (SOON, AT), (LATE, SOON - timedelta(seconds=1))])
async def test_an_entry_has_not_ended_before_it_has_by_the_clock_of_redis_too(
    records: Records, clock: Clock, here: datetime, redis: datetime
):
    await block(records, SOON)
    clock.at = here
    assert await lift_ended(records, WORKER, redis) == 0
    assert await listed(records)


@pytest.mark.parametrize("again", [block, block_many])
@pytest.mark.parametrize("first", [block, block_many])
@pytest.mark.parametrize(
    ("ends", "end"),
    [((SOON, LATE), LATE), ((LATE, SOON), LATE), ((SOON, None), None), ((None, SOON), None), ((SOON, SOON), SOON)],
)
async def test_of_two_ends_the_later_one_holds_and_no_end_outlives_every_end(
    records: Records, clock: Clock, first, again, ends, end
):
    await first(records, ends[0])
    assert await again(records, ends[1]) == end
    assert await ended(records, clock, SOON) == (end == SOON)
    assert await ended(records, clock, LATE) == (end is not None)


async def test_who_moved_an_end_and_when_is_on_record(records: Records, clock: Clock):
    await block(records, SOON)
    clock.move(minutes=1)
    await suppress(records, Actor("other"), NUMBER, source="phone", ends_at=LATE)
    (entry,) = await rows(records, SuppressionEntry)
    assert (entry.added_by, entry.extended_by, entry.extended_at) == ("admin", "other", AT + timedelta(minutes=1))


async def by_number(records: Records) -> None:
    await record_request(records, ADMIN, NUMBER, source="phone")


async def by_many(records: Records) -> None:
    await record_requests(records, ADMIN, [NUMBER, OTHER], source="ivr")


@pytest.mark.parametrize("ask", [by_number, by_many])
async def test_a_request_removes_the_end_of_the_entry(records: Records, clock: Clock, ask):
    await block(records, SOON)
    await ask(records)
    assert not await ended(records, clock, LATE)


@pytest.mark.parametrize("again", [block, block_many])
@pytest.mark.parametrize("ask", [by_number, by_many])
async def test_an_entry_with_a_request_standing_gets_no_end(records: Records, clock: Clock, ask, again):
    await ask(records)
    await lift(records, ADMIN, NUMBER, reason="test")
    assert await again(records, SOON) is None
    assert not await ended(records, clock, LATE)


async def test_an_ended_entry_with_a_request_stays(records: Records, clock: Clock):
    """Even if the end is on record beside the request, which no service writes."""
    await by_number(records)
    async with records.database.write() as session:
        (await session.get_one(SuppressionEntry, 1)).ends_at = SOON
    assert not await ended(records, clock, LATE)
    (entry,) = await rows(records, SuppressionEntry)
    assert (entry.ends_at, entry.extended_by) == (None, "system:worker")


async def test_a_withdrawn_request_keeps_nothing_from_ending(records: Records, clock: Clock):
    await by_number(records)
    await withdraw_request(records, ADMIN, 1, reason="recorded wrongly")
    await lift(records, ADMIN, NUMBER, reason="recorded wrongly")
    await block(records, SOON)
    assert await ended(records, clock, SOON)


@pytest.mark.parametrize("ends_at", [AT, AT - timedelta(days=1)])
async def test_an_end_that_has_passed_is_refused(records: Records, ends_at: datetime):
    for work in (block, block_many):
        with pytest.raises(EndPassed):
            await work(records, ends_at)
    assert await rows(records, SuppressionEntry) == []


async def test_a_lifted_entry_does_not_end_again(records: Records, clock: Clock):
    await block(records, SOON)
    await lift(records, ADMIN, NUMBER, reason="test")
    clock.at = LATE
    assert await lift_ended(records, WORKER, LATE) == 0


async def imported(records: Records, numbers: list[E164], ends_at: datetime | None) -> int:
    async with records.change(ADMIN) as change:
        import_id = await begin_import(change, "list.csv", "")
        await add_entries_within(change, import_id, numbers, ends_at=ends_at)
    return import_id


async def test_entries_of_an_import_end_in_portions_with_one_event_each(records: Records, clock: Clock):
    numbers = [E164(f"+1415555{line:04d}") for line in range(CHUNK)]
    await imported(records, numbers[: CHUNK // 2], SOON)
    await imported(records, numbers[CHUNK // 2 :], SOON)
    await block(records, SOON, OTHER.replace("415", "416"))
    clock.at = SOON
    assert [await lift_ended(records, WORKER, SOON) for _ in range(3)] == [CHUNK, 1, 0]
    events = [event for event in await rows(records, AuditEvent) if event.done_by == WORKER.name]
    assert [(one.action, one.subject_id, one.particulars.get("lifted")) for one in events] == [
        ("end-entries", "1", CHUNK // 2), ("end-entries", "2", CHUNK // 2), ("end-entry", "+14165550101", None)
    ]  # fmt: skip


async def test_many_entries_that_belong_to_no_import_end_in_one_event(records: Records, clock: Clock):
    numbers = [E164(f"+1415555{line:04d}") for line in range(MOST_NAMED + 1)]
    for _ in range(2):
        await imported(records, numbers, SOON)
    assert await ended(records, clock, SOON)
    (event,) = [event for event in await rows(records, AuditEvent) if event.done_by == WORKER.name]
    assert (event.action, event.subject_kind, event.subject_id) == ("end-entries", "list", "internal")
    assert event.particulars == {"lifted": MOST_NAMED + 1}


async def test_undoing_an_import_keeps_entries_that_somebody_else_has_extended(records: Records):
    first = await imported(records, [NUMBER, OTHER], SOON)
    await imported(records, [NUMBER], None)
    assert (await undo_import(records, ADMIN, first, reason="wrong file")).lifted == 1
    assert (await listed(records), await listed(records, OTHER)) == (True, False)


async def test_undoing_an_import_lifts_entries_that_the_same_import_extended(records: Records):
    async with records.change(ADMIN) as change:
        import_id = await begin_import(change, "list.csv", "")
        for end in (SOON, LATE):
            await add_entries_within(change, import_id, [NUMBER], ends_at=end)
    assert (await undo_import(records, ADMIN, import_id, reason="wrong file")).lifted == 1


@pytest.mark.parametrize("again", [block, block_many, by_number, by_many])
async def test_what_is_listed_while_the_worker_lifts_stays_listed(records: Records, clock: Clock, again):
    numbers = [E164(f"+1415555{line:04d}") for line in range(40)]
    await suppress_many(records, ADMIN, numbers, source="import", ends_at=SOON)
    clock.at = SOON
    work = [again(records) if again in {by_number, by_many} else again(records, None)]
    await asyncio.gather(lift_ended(records, WORKER, SOON), *work, lift_ended(records, WORKER, SOON))
    assert not await ended(records, clock, LATE)


class RedisClock:
    """The projection of a worker, of which only the time is asked."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    async def time(self) -> datetime:
        return self.at


async def test_the_worker_asks_redis_for_the_time_and_pauses_for_other_writers(
    records: Records, clock: Clock, database_url: str, tmp_path
):
    await suppress(records, ADMIN, NUMBER, source="phone", ends_at=SOON)
    clock.at, late = LATE, RedisClock(AT)
    settings = settings_of(database_url, "redis://127.0.0.1", tmp_path)
    keeping = Housekeeping(records, late, settings, SteadyClock())  # type: ignore[arg-type]
    assert await keeping._lift_ended() == ENDS_S
    assert await listed(records)
    late.at = LATE
    assert await keeping._lift_ended() == records.database.pause_s
    assert not await listed(records)


async def test_the_worker_and_a_change_of_two_numbers_do_not_wait_for_each_other(records: Records, clock: Clock):
    await block(records, LATE)
    await block(records, SOON, OTHER)
    clock.at = LATE
    async with records.change(ADMIN) as change:
        await suppress_within(change, NUMBER, source="phone")
        lifting = asyncio.create_task(lift_ended(records, WORKER, LATE))
        await waiting_for_a_lock(records, lifting)
        await suppress_within(change, OTHER, source="phone")
    assert await lifting == 0
    assert (await listed(records), await listed(records, OTHER)) == (True, True)


@pytest.mark.parametrize("again", [block, block_many])
async def test_an_entry_that_somebody_else_extends_keeps_the_note_of_its_import(records: Records, again):
    async with records.change(ADMIN) as change:
        import_id = await begin_import(change, "list.csv", "the list of March")
        await add_entries_within(change, import_id, [NUMBER], ends_at=SOON)
    await again(records, LATE)
    entry = next(one for one in await rows(records, SuppressionEntry) if one.number == NUMBER)
    assert (entry.note, entry.import_id, entry.ends_at) == ("the list of March", None, LATE)


async def told(records: Records) -> list[tuple[str, str | None, list[str]]]:
    """Return the events of the webhook: their type, the end that they name, and their numbers."""
    bodies = [delivery.body for delivery in await rows(records, WebhookDelivery)]
    return [(body["type"], body["data"].get("ends_at"), body["data"]["numbers"]) for body in bodies]


async def subscribe(records: Records) -> None:
    async with records.database.write() as session:
        hook = Webhook(
            url="https://x.test", secret="x", events=[Event.SUPPRESS, Event.LIFT], created_at=AT, created_by="x"
        )
        session.add(hook)


async def test_a_webhook_is_told_the_end_of_an_entry_and_when_it_has_ended(records: Records, clock: Clock):
    await subscribe(records)
    await block(records, SOON)
    await suppress(records, ADMIN, OTHER, source="phone")
    assert await ended(records, clock, LATE)
    assert await told(records) == [
        ("suppress", "2026-03-02T12:00:00Z", [NUMBER]),
        ("suppress", None, [OTHER]),
        ("lift", None, [NUMBER]),
    ]


async def test_a_webhook_is_told_the_end_that_the_entry_has_and_not_the_one_that_was_asked_for(records: Records):
    asked = await record_request(records, ADMIN, NUMBER, source="phone")
    await lift(records, ADMIN, NUMBER, reason="test")
    await subscribe(records)
    await block(records, SOON)
    assert await told(records) == [("suppress", None, [NUMBER])]
    assert asked.added


@pytest.mark.parametrize("by_import", [False, True], ids=["many", "import"])
async def test_of_many_numbers_a_webhook_is_told_each_end_with_its_numbers(records: Records, by_import: bool):
    await record_request(records, ADMIN, NUMBER, source="phone")
    await lift(records, ADMIN, NUMBER, reason="test")
    await subscribe(records)
    if by_import:
        async with records.change(ADMIN) as change:
            import_id = await begin_import(change, "list.csv", "")
            await add_entries_within(change, import_id, [NUMBER, OTHER], ends_at=SOON)
    else:
        await suppress_many(records, ADMIN, [NUMBER, OTHER], source="import", ends_at=SOON)
    (event,) = [delivery.body["data"] for delivery in await rows(records, WebhookDelivery)]
    assert (event["numbers"], event["ends"]) == ([NUMBER, OTHER], {OTHER: "2026-03-02T12:00:00Z"})
    assert "ends_at" not in event


async def test_an_end_for_each_number_makes_no_more_events_than_one_end(records: Records):
    await subscribe(records)
    ends = {E164(f"+1415{line + 5_550_000}"): AT + timedelta(minutes=line + 1) for line in range(CHUNK + 2)}
    async with records.change(ADMIN) as change:
        await add_each_within(change, await begin_import(change, "list.csv", ""), ends)
    sent = [delivery.body["data"] for delivery in await rows(records, WebhookDelivery)]
    assert [len(one["numbers"]) for one in sent] == [CHUNK, 2]
    assert [list(one["ends"]) for one in sent] == [one["numbers"] for one in sent]
    assert {**sent[0]["ends"], **sent[1]["ends"]} == {
        number: f"{end:%Y-%m-%dT%H:%M:%SZ}" for number, end in ends.items()
    }
