"""An override expires by itself, and its expiry is recorded once."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from admin_web.judging.facts import live_overrides
from admin_web.projection.truth import Subjects, all_overrides, truth_of
from admin_web.queries.monitor import OverrideState, counts, override_page
from admin_web.queries.monitor_filter import MonitorFilter, Shown
from admin_web.record.changes import Records
from admin_web.record.models import AuditEvent, Document, OutboxRow, Override
from admin_web.services.leads import add_lead
from admin_web.services.overrides import grant_override
from admin_web.services.revocation import OverrideExpired, revoke_override
from admin_web.services.suppression import suppress
from admin_web.worker.expiry import AT_ONCE, record_expiries
from compliance.numbers import LeadId
from tests.support.records import ADMIN, AT, CONSENT, LEAD, NUMBER, SECOND, SUPERVISOR, Clock, rows

LATE = AT + timedelta(days=1000)
"""A time of Redis by which everything has ended."""

SOON = AT + timedelta(minutes=5)


@pytest.fixture
async def granted(records: Records) -> int:
    """An override that expires in five minutes."""
    await suppress(records, ADMIN, NUMBER, source="phone")
    for lead in (LEAD, SECOND):
        await add_lead(records, ADMIN, lead, NUMBER)
    return (await grant_override(records, SUPERVISOR, replace(CONSENT, expires_at=SOON))).override_id


async def expiries(records: Records) -> list[AuditEvent]:
    return [event for event in await rows(records, AuditEvent) if event.action == "expire-override"]


async def test_the_end_is_recorded_at_its_moment_and_not_before(records: Records, clock: Clock, granted: int):
    clock.move(minutes=4, seconds=59)
    assert await record_expiries(records, LATE) == 0
    clock.move(seconds=1)
    assert await record_expiries(records, LATE) == 1
    (event,) = await expiries(records)
    assert (event.done_by, event.subject_kind, event.subject_id) == ("system:worker", "override", str(granted))
    assert event.particulars == {"lead": LEAD, "number": NUMBER, "expires_at": "2026-03-01T12:05:00Z"}
    assert event.done_at == SOON


async def test_it_is_recorded_once_however_often_and_by_how_many_it_is_looked_for(
    records: Records, clock: Clock, granted: int
):
    clock.move(days=1)
    counts = await asyncio.gather(*(record_expiries(records, LATE) for _ in range(5)))
    assert sum(counts) == 1
    assert await record_expiries(records, LATE) == 0
    assert len(await expiries(records)) == 1


async def test_what_was_revoked_does_not_expire(records: Records, clock: Clock, granted: int):
    await revoke_override(records, ADMIN, granted, reason="asked again")
    clock.move(days=1)
    assert await record_expiries(records, LATE) == 0


async def test_many_ends_are_recorded_in_portions(records: Records, clock: Clock, granted: int):
    async with records.database.write() as session:
        (document,) = await rows(records, Document)
        shared = {
            "number": NUMBER, "basis": "signed-consent", "consented_on": AT.date(), "document_id": document.id,
            "attestation": "x", "placed_at": AT, "placed_by": "supervisor", "placed_from": "", "expires_at": SOON,
        }  # fmt: skip
        session.add_all(Override(lead_id=LeadId("L-2"), **shared) for _ in range(AT_ONCE + 10))
    clock.move(minutes=10)
    assert [await record_expiries(records, LATE) for _ in range(3)] == [AT_ONCE, 11, 0]
    assert len(await expiries(records)) == AT_ONCE + 11


async def test_a_clock_set_back_does_not_reopen_an_override_whose_end_is_on_record(
    records: Records, clock: Clock, granted: int
):
    clock.move(minutes=5)
    assert await record_expiries(records, LATE) == 1
    clock.move(hours=-1)
    async with records.database.read() as session:
        said = await truth_of(session, Subjects(openings={(NUMBER, LEAD)}), clock())
        every = [opening async for opening, _ in all_overrides(session, clock())]
        judged = await live_overrides(session, [NUMBER], clock())
    assert said.overrides == {(NUMBER, LEAD): None}
    assert every == []
    assert judged == {}
    (row,) = (await override_page(records.database, MonitorFilter(shown=Shown.EXPIRED), clock())).rows
    assert row.state(clock()) is OverrideState.EXPIRED
    assert (await counts(records.database, clock())).active == 0
    with pytest.raises(OverrideExpired):
        await revoke_override(records, ADMIN, granted, reason="asked again")


async def test_an_end_on_record_is_removed_from_redis_too(records: Records, clock: Clock, granted: int):
    clock.move(minutes=5)
    before = len(await rows(records, OutboxRow))
    await record_expiries(records, LATE)
    added = (await rows(records, OutboxRow))[before:]
    assert [(row.numbers, row.lead_id) for row in added] == [([NUMBER], LEAD)]


async def test_a_fast_clock_of_the_worker_ends_no_override_early(records: Records, clock: Clock, granted: int):
    clock.move(hours=3)
    assert await record_expiries(records, SOON - timedelta(seconds=1)) == 0
    assert await record_expiries(records, SOON) == 1


async def test_a_fast_clock_of_redis_ends_no_override_early(records: Records, clock: Clock, granted: int):
    assert await record_expiries(records, LATE) == 0
