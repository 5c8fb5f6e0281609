"""A lead is a person with one number. Its overrides end when the number changes."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from admin_web.record.changes import Actor, Records
from admin_web.record.models import AuditEvent, Lead, OutboxRow, Override
from admin_web.services.leads import LeadExists, LeadGiven, UnknownLead, add_lead, change_lead, put_leads
from admin_web.services.overrides import grant_override
from admin_web.services.suppression import suppress
from compliance.numbers import E164, LeadId
from compliance.refusal import Unwritable
from tests.support.records import ADMIN, AT, CONSENT, LEAD, NUMBER, OTHER, SUPERVISOR, Clock, rows


async def open_lead(records: Records) -> int:
    await suppress(records, ADMIN, NUMBER, source="phone")
    await add_lead(records, ADMIN, LEAD, NUMBER, "Lead 1")
    return (await grant_override(records, SUPERVISOR, CONSENT)).override_id


async def test_a_lead_is_added_once(records: Records):
    await add_lead(records, ADMIN, LEAD, NUMBER, " Lead 1 ")
    with pytest.raises(LeadExists, match="Change that lead"):
        await add_lead(records, ADMIN, LEAD, OTHER)
    (lead,) = await rows(records, Lead)
    assert (lead.id, lead.number, lead.name, lead.created_at, lead.created_by) == (
        LEAD,
        NUMBER,
        "Lead 1",
        AT,
        "admin",
    )
    assert [event.action for event in await rows(records, AuditEvent)] == ["add-lead"]


async def test_of_ten_who_add_one_lead_at_once_one_does(records: Records):
    ended = await asyncio.gather(*(add_lead(records, ADMIN, LEAD, NUMBER) for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(end, LeadExists) for end in ended) == 9
    assert len(await rows(records, Lead)) == 1


async def test_a_name_that_is_too_long_is_refused(records: Records):
    with pytest.raises(Unwritable, match="200"):
        await add_lead(records, ADMIN, LEAD, NUMBER, "x" * 201)
    assert await rows(records, Lead) == []


async def test_with_its_number_a_leads_override_ends_and_does_not_come_back(records: Records, clock: Clock):
    override_id = await open_lead(records)
    clock.move(hours=1)
    changed = await change_lead(records, ADMIN, LEAD, number=OTHER)
    assert (changed.changed, changed.ended_overrides, changed.standing.in_force) == (True, (override_id,), True)
    (override,) = await rows(records, Override)
    assert (override.revoked_at, override.revoked_by) == (AT + timedelta(hours=1), "admin")
    assert override.revoke_reason == f"The lead's number changed from {NUMBER} to {OTHER}."
    assert [(row.lead_id, row.numbers) for row in await rows(records, OutboxRow)][1:] == [(LEAD, [NUMBER])] * 2
    assert (await change_lead(records, ADMIN, LEAD, number=NUMBER)).ended_overrides == ()
    assert (await rows(records, Override))[0].revoked_at is not None


async def test_an_override_that_is_over_does_not_end_again_with_the_number(records: Records, clock: Clock):
    await open_lead(records)
    clock.move(days=366)
    assert (await change_lead(records, ADMIN, LEAD, number=OTHER)).ended_overrides == ()
    assert (await rows(records, Override))[0].revoked_at is None


async def test_a_new_name_leaves_the_override_alone(records: Records):
    await open_lead(records)
    changed = await change_lead(records, ADMIN, LEAD, name="Another name")
    assert (changed.changed, changed.ended_overrides) == (True, ())
    assert (await rows(records, Override))[0].revoked_at is None
    assert (await rows(records, Lead))[0].name == "Another name"


async def test_overrides_of_other_leads_on_the_number_stay(records: Records):
    await open_lead(records)
    second = LeadId("L-2")
    await add_lead(records, ADMIN, second, NUMBER)
    granted = await grant_override(records, SUPERVISOR, replace(CONSENT, lead=second))
    await change_lead(records, ADMIN, LEAD, number=OTHER)
    assert [row.id for row in await rows(records, Override) if row.revoked_at is None] == [granted.override_id]


async def test_a_change_that_changes_nothing_leaves_no_trace(records: Records):
    await add_lead(records, ADMIN, LEAD, NUMBER, "Lead 1")
    assert not (await change_lead(records, ADMIN, LEAD, number=NUMBER, name="Lead 1")).changed
    assert (await rows(records, Lead))[0].changed_at is None
    assert len(await rows(records, AuditEvent)) == 1


async def test_a_lead_that_is_not_there_cannot_change(records: Records):
    with pytest.raises(UnknownLead, match="Add it first"):
        await change_lead(records, ADMIN, LEAD, number=NUMBER)


async def test_an_import_adds_and_changes_in_one_transaction(records: Records):
    override_id = await open_lead(records)
    given = [LeadGiven(LEAD, OTHER), LeadGiven(LeadId("L-2"), NUMBER, "B"), LeadGiven(LeadId("L-2"), NUMBER, "B")]
    added, altered, standing = await put_leads(records, ADMIN, given)
    assert (added, altered, standing.in_force) == (1, 1, True)
    assert {(lead.id, lead.number, lead.name) for lead in await rows(records, Lead)} == {
        (LEAD, OTHER, "Lead 1"),
        ("L-2", NUMBER, "B"),
    }
    assert (await rows(records, Override))[0].id == override_id
    assert (await rows(records, Override))[0].revoked_at == AT


async def test_a_lead_changed_by_many_at_once_ends_its_override_once(records: Records):
    await open_lead(records)
    numbers = [E164(f"+1415555{line:04d}") for line in range(200, 210)]
    changed = await asyncio.gather(
        *(change_lead(records, Actor(f"u{n}"), LEAD, number=number) for n, number in enumerate(numbers))
    )
    assert sum(len(one.ended_overrides) for one in changed) == 1
    assert (await rows(records, Lead))[0].number in numbers
