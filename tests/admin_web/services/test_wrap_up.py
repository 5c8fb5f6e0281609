"""A wrap-up records how a call ended, and moves the lead in the queue. Do Not Call blocks the number at once."""

from dataclasses import replace

import pytest

from admin_web.record.changes import Actor, Records
from admin_web.record.models import AuditEvent, DecisionRecord, Disposition, Lead, OutboxRow, Override, SuppressionEntry
from admin_web.services.do_not_call import block_lead
from admin_web.services.leads import UnknownLead, add_lead
from admin_web.services.overrides import grant_override
from admin_web.services.suppression import suppress
from admin_web.services.wrap_up import Outcome, wrap_up
from compliance.consent import Role
from compliance.refusal import NotPermitted, Unwritable
from tests.support.records import ADMIN, AT, CONSENT, LEAD, NUMBER, SECOND, SUPERVISOR, Clock, FakeProjector, rows

AGENT, AUDITOR = Actor("agent", "192.0.2.9", Role.AGENT), Actor("auditor", "192.0.2.10", Role.AUDITOR)


@pytest.fixture(autouse=True)
async def leads(records: Records) -> None:
    """Two leads share a number."""
    for lead in (LEAD, SECOND):
        await add_lead(records, ADMIN, lead, NUMBER)


async def open_override(records: Records, lead=LEAD) -> None:
    await suppress(records, ADMIN, NUMBER, source="test")
    await grant_override(records, SUPERVISOR, replace(CONSENT, lead=lead))


@pytest.mark.parametrize("outcome", [Outcome.NO_ANSWER, Outcome.CALL_BACK, Outcome.DO_NOT_CALL])
async def test_an_outcome_that_is_not_final_leaves_the_lead_in_the_queue_at_its_end(
    records: Records, clock: Clock, outcome: Outcome
):
    clock.move(hours=1)
    done = await wrap_up(records, AGENT, LEAD, outcome)
    lead = (await rows(records, Lead))[0]
    assert (lead.queued, lead.last_called_at) == (True, clock.at)
    assert done.queued


@pytest.mark.parametrize("outcome", [Outcome.SALE, Outcome.NOT_INTERESTED, Outcome.WRONG_NUMBER])
async def test_a_final_outcome_takes_the_lead_off_the_queue_for_good(records: Records, outcome: Outcome):
    await wrap_up(records, AGENT, LEAD, outcome)
    await wrap_up(records, AGENT, LEAD, Outcome.NO_ANSWER)
    first, second = await rows(records, Lead)
    assert (first.queued, second.queued) == (False, True)


async def test_a_wrap_up_is_on_record_with_who_when_and_what_and_touches_no_list(
    records: Records, projector: FakeProjector
):
    projector.broken = "Redis is away."
    done = await wrap_up(records, AGENT, LEAD, Outcome.CALL_BACK, note=" Tuesday\x00 ")
    (row,) = await rows(records, Disposition)
    assert (row.id, row.lead_id, row.outcome, row.note) == (done.disposition_id, LEAD, "call-back", "Tuesday")
    assert (row.wrapped_up_at, row.wrapped_up_by, row.decision_id) == (AT, "agent", "")
    event = (await rows(records, AuditEvent))[-1]
    assert (event.action, event.subject_id, event.particulars["outcome"]) == ("wrap-up", LEAD, "call-back")
    assert done.blocked is None
    assert await rows(records, SuppressionEntry) == []


async def test_do_not_call_writes_the_entry_in_the_same_transaction_and_brings_it_into_force(
    records: Records, projector: FakeProjector
):
    done = await wrap_up(records, AGENT, LEAD, Outcome.DO_NOT_CALL)
    (entry,) = await rows(records, SuppressionEntry)
    assert (entry.number, entry.list_name, entry.source) == (NUMBER, "internal", "wrap-up")
    assert (entry.lead_id, entry.added_by, entry.added_at) == (LEAD, "agent", AT)
    assert [row.numbers for row in await rows(records, OutboxRow)] == [[NUMBER]]
    assert done.blocked.standing.in_force
    assert projector.drains == 1


async def test_do_not_call_that_has_not_reached_redis_says_so_and_stays_recorded(
    records: Records, projector: FakeProjector
):
    projector.broken = "Redis is away."
    done = await wrap_up(records, AGENT, LEAD, Outcome.DO_NOT_CALL)
    assert str(done.blocked.standing) == "recorded, not yet in force: Redis is away."
    assert len(await rows(records, SuppressionEntry)) == 1


@pytest.mark.parametrize("way", ["switch", "wrap-up"])
async def test_do_not_call_ends_the_leads_own_override_and_names_the_others_that_stay_open(records: Records, way: str):
    await open_override(records, LEAD)
    await open_override(records, SECOND)
    if way == "switch":
        blocked = await block_lead(records, AGENT, LEAD)
    else:
        blocked = (await wrap_up(records, AGENT, LEAD, Outcome.DO_NOT_CALL)).blocked
    assert (blocked.added, blocked.ended, blocked.still_open) == (False, (1,), (SECOND,))
    own, other = await rows(records, Override)
    assert (own.revoked_at, own.revoked_by) == (AT, "agent")
    assert other.revoked_at is None
    assert [row.lead_id for row in await rows(records, OutboxRow)][-2:] == [None, LEAD]


async def test_the_switch_gives_its_own_source(records: Records):
    blocked = await block_lead(records, AGENT, LEAD)
    (entry,) = await rows(records, SuppressionEntry)
    assert (blocked.added, entry.source, entry.lead_id) == (True, "switch", LEAD)


async def test_a_wrap_up_names_the_call_only_if_it_was_to_that_lead(records: Records):
    async with records.database.write() as session:
        for decision, lead in (("d-1", LEAD), ("d-2", SECOND)):
            session.add(decision_record(decision, lead))
    for decision in ("d-1", "d-2", "no-such", "x" * 500):
        await wrap_up(records, AGENT, LEAD, Outcome.NO_ANSWER, decision_id=decision)
    assert [row.decision_id for row in await rows(records, Disposition)] == ["d-1", "", "", ""]


async def test_what_cannot_be_wrapped_up_changes_nothing(records: Records):
    with pytest.raises(UnknownLead):
        await wrap_up(records, AGENT, "no-such", Outcome.DO_NOT_CALL)
    with pytest.raises(Unwritable):
        await wrap_up(records, AGENT, LEAD, Outcome.DO_NOT_CALL, note="x" * 2001)
    with pytest.raises(NotPermitted):
        await wrap_up(records, AUDITOR, LEAD, Outcome.DO_NOT_CALL)
    assert await rows(records, Disposition) == []
    assert await rows(records, SuppressionEntry) == []


def decision_record(decision: str, lead: str) -> DecisionRecord:
    return DecisionRecord(
        id=decision, at=AT, verdict="ALLOW", reason="not-listed", detail="", override="", number=NUMBER, dialed=NUMBER,
        lead=lead, channel="c-1", generation=1, gate="g", archived_at=AT,
    )  # fmt: skip
