"""A number goes on the list once, even for repeated and parallel requests, and comes off with a reason."""

import asyncio

import pytest
from sqlalchemy import func, select, text

from admin_web.judging.listing import lists_of
from admin_web.record.changes import AFTERWARDS, Actor, Records
from admin_web.record.database import DatabaseUnavailable
from admin_web.record.models import AuditEvent, OutboxRow, SuppressionEntry
from admin_web.services.leads import UnknownLead, add_lead
from admin_web.services.suppression import CHUNK, NotListed, lift, suppress, suppress_many
from compliance.consent import Role
from compliance.numbers import E164, LeadId
from compliance.refusal import NotPermitted, Unwritable
from tests.support.records import ADMIN, AT, NUMBER, FakeProjector, rows


async def listed(records: Records, number: E164 = NUMBER) -> tuple[str, ...]:
    async with records.database.read() as session:
        return await lists_of(session, number)


async def test_a_suppressed_number_has_its_entry_its_audit_event_and_its_outbox_row(records: Records):
    done = await suppress(records, ADMIN, NUMBER, source="phone", note="asked by phone")
    (entry,), (event,), (outbox,) = [await rows(records, table) for table in (SuppressionEntry, AuditEvent, OutboxRow)]
    assert (done.added, done.entry_id, str(done.standing)) == (True, entry.id, "in force")
    assert (entry.number, entry.list_name, entry.source, entry.note) == (NUMBER, "internal", "phone", "asked by phone")
    assert (entry.added_at, entry.added_by, entry.lifted_at) == (AT, "admin", None)
    assert (event.action, event.subject_id, event.done_by, event.done_from) == (
        "suppress",
        NUMBER,
        "admin",
        "192.0.2.8",
    )
    assert (outbox.list_name, outbox.numbers, outbox.lead_id, outbox.applied_turn) == ("internal", [NUMBER], None, None)
    assert await listed(records) == ("internal",)


async def test_a_number_that_is_listed_is_only_brought_into_force_again(records: Records, projector: FakeProjector):
    first = await suppress(records, ADMIN, NUMBER, source="phone")
    again = await suppress(records, Actor("other"), NUMBER, source="web")
    assert (again.added, again.entry_id) == (False, first.entry_id)
    assert [entry.added_by for entry in await rows(records, SuppressionEntry)] == ["admin"]
    assert [event.particulars["added"] for event in await rows(records, AuditEvent)] == [True, False]
    assert len(await rows(records, OutboxRow)) == 2
    assert projector.drains == 2


async def test_what_redis_did_not_acknowledge_is_recorded_and_not_called_in_force(records, projector):
    projector.broken = "Redis at unix:///x does not answer"
    done = await suppress(records, ADMIN, NUMBER, source="phone")
    assert not done.standing.in_force
    assert str(done.standing) == "recorded, not yet in force: Redis at unix:///x does not answer"
    assert await listed(records) == ("internal",)


async def test_a_database_that_goes_away_after_the_commit_does_not_undo_the_record(records, projector, monkeypatch):
    async def gone(_: object) -> None:
        raise DatabaseUnavailable("database gone")

    monkeypatch.setattr(projector, "drain", gone)
    done = await suppress(records, ADMIN, NUMBER, source="phone")
    assert str(done.standing) == f"recorded, not yet in force: {AFTERWARDS} (database gone)"


async def test_twenty_who_suppress_one_number_at_once_make_one_entry(records: Records):
    done = await asyncio.gather(*(suppress(records, Actor(f"u{n}"), NUMBER, source="phone") for n in range(20)))
    assert len(await rows(records, SuppressionEntry)) == 1
    assert sorted(one.added for one in done) == [False] * 19 + [True]
    assert len({one.entry_id for one in done}) == 1


async def test_suppressing_and_lifting_at_once_never_fails_otherwise_than_by_not_listed(records: Records):
    """In any order, each suppression succeeds: with an entry of its own, or with one that was already there."""
    work = [suppress(records, ADMIN, NUMBER, source="phone") for _ in range(15)]
    work += [lift(records, ADMIN, NUMBER, reason="test") for _ in range(15)]
    ended = await asyncio.gather(*work, return_exceptions=True)
    failures = [end for end in ended if isinstance(end, BaseException)]
    assert all(isinstance(failure, NotListed) for failure in failures)
    lifted = len(work) - 15 - len(failures)
    standing = [entry for entry in await rows(records, SuppressionEntry) if entry.lifted_at is None]
    assert len(await rows(records, SuppressionEntry)) - lifted == len(standing)
    assert len(standing) <= 1


async def test_of_ten_who_lift_one_entry_at_once_one_does(records: Records):
    await suppress(records, ADMIN, NUMBER, source="phone")
    work = [lift(records, Actor(f"u{n}"), NUMBER, reason=f"reason {n}") for n in range(10)]
    ended = await asyncio.gather(*work, return_exceptions=True)
    assert sum(isinstance(end, NotListed) for end in ended) == 9
    assert [event.action for event in await rows(records, AuditEvent)] == ["suppress", "lift"]


async def test_a_lifted_entry_stays_on_record_and_the_number_can_be_listed_anew(records: Records):
    await suppress(records, ADMIN, NUMBER, source="phone")
    lifted = await lift(records, ADMIN, NUMBER, reason="wrong number")
    assert lifted.standing.in_force
    assert await listed(records) == ()
    assert (await suppress(records, ADMIN, NUMBER, source="phone")).added
    old, new = await rows(records, SuppressionEntry)
    assert (old.lifted_at, old.lifted_by, old.lift_reason) == (AT, "admin", "wrong number")
    assert new.lifted_at is None
    assert [event.action for event in await rows(records, AuditEvent)] == ["suppress", "lift", "suppress"]
    assert len(await rows(records, OutboxRow)) == 3


async def test_lifting_wants_a_reason_a_listed_number_and_an_admin(records: Records):
    with pytest.raises(NotListed, match="Nothing was changed"):
        await lift(records, ADMIN, NUMBER, reason="x")
    await suppress(records, ADMIN, NUMBER, source="phone")
    with pytest.raises(Unwritable, match="reason is missing"):
        await lift(records, ADMIN, NUMBER, reason=" \n ")
    for role in (Role.AGENT, Role.SUPERVISOR, Role.AUDITOR):
        with pytest.raises(NotPermitted, match=role):
            await lift(records, Actor("other", role=role), NUMBER, reason="x")
    assert await listed(records) == ("internal",)
    assert [event.action for event in await rows(records, AuditEvent)] == ["suppress"]


async def test_the_lead_of_an_entry_must_be_on_record(records: Records):
    with pytest.raises(UnknownLead):
        await suppress(records, ADMIN, NUMBER, source="phone", lead=LeadId("L-1"))
    assert await rows(records, SuppressionEntry) == []
    await add_lead(records, ADMIN, LeadId("L-1"), NUMBER)
    await suppress(records, ADMIN, NUMBER, source="phone", lead=LeadId("L-1"))
    assert [entry.lead_id for entry in await rows(records, SuppressionEntry)] == ["L-1"]


@pytest.mark.parametrize("note", ["null \x00 byte", "bell \x07", "half a pair \ud800"])
async def test_what_no_database_stores_is_taken_out_of_a_note(records: Records, note: str):
    await suppress(records, ADMIN, NUMBER, source="phone", note=note)
    (entry,) = await rows(records, SuppressionEntry)
    assert entry.note == note.rstrip("\x00\x07\ud800").replace("\x00", " ").strip()


async def test_many_numbers_go_in_as_one_change(records: Records, projector: FakeProjector):
    numbers = [E164(f"+1415555{line:04d}") for line in range(CHUNK)]
    await suppress(records, ADMIN, numbers[7], source="phone")
    done = await suppress_many(records, ADMIN, [*numbers, *numbers[:5]][:CHUNK], source="import", note="list.csv")
    assert (done.added, done.already) == (CHUNK - 1, 1)
    assert projector.drains == 2
    event, outbox = (await rows(records, AuditEvent))[-1], (await rows(records, OutboxRow))[-1]
    assert (event.particulars["added"], event.particulars["already"]) == (CHUNK - 1, 1)
    assert outbox.numbers == numbers
    async with records.database.read() as session:
        assert await session.scalar(select(func.count()).select_from(SuppressionEntry)) == CHUNK


async def test_more_than_a_chunk_at_once_is_a_mistake(records: Records):
    with pytest.raises(ValueError, match="at most 1000"):
        await suppress_many(records, ADMIN, [E164(f"+1415555{n:04d}") for n in range(CHUNK + 1)], source="import")


async def test_overlapping_chunks_at_once_make_one_entry_each_and_never_deadlock(records: Records):
    numbers = [E164(f"+1415555{line:04d}") for line in range(600)]
    chunks = [numbers[start : start + 300] for start in range(0, 300, 50)]
    chunks += [chunk[::-1] for chunk in chunks]
    done = await asyncio.gather(*(suppress_many(records, ADMIN, chunk, source="import") for chunk in chunks))
    covered = {number for chunk in chunks for number in chunk}
    assert sum(one.added for one in done) == len(covered)
    async with records.database.read() as session:
        assert await session.scalar(select(func.count()).select_from(SuppressionEntry)) == len(covered)


async def test_when_the_outbox_cannot_be_written_nothing_is(records: Records):
    async with records.database.alter() as connection:
        await connection.execute(text("DROP TABLE outbox"))
    with pytest.raises(DatabaseUnavailable, match="dnc-admin migrate"):
        await suppress(records, ADMIN, NUMBER, source="phone")
    assert await listed(records) == ()
    assert await rows(records, AuditEvent) == []
