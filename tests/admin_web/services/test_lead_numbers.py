"""A lead may have several numbers. Each is judged by itself, and an override opens the lead on one of them."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from admin_web.judging.facts import facts_on_record
from admin_web.pbx.pbx import Originate
from admin_web.record.changes import Records
from admin_web.record.lead_numbers import LabelledNumber, numbers_of
from admin_web.record.models import AuditEvent, CallRequest, DoNotCallRequest, Lead, LeadNumber, Override, User
from admin_web.services.calling import call_lead
from admin_web.services.consents import NumberNotNamed, OtherNumber
from admin_web.services.do_not_call import block_lead
from admin_web.services.keeping import NothingToKeep, keep_override
from admin_web.services.lead_numbers import MOST_NUMBERS, NotANumberOfLead, TooManyNumbers
from admin_web.services.leads import LeadGiven, NumberMoved, add_lead, change_lead, put_leads
from admin_web.services.overrides import grant_override
from admin_web.services.requests import record_request
from admin_web.services.suppression import suppress_many
from admin_web.services.wrap_up import Outcome, wrap_up
from compliance.numbers import E164
from compliance.openable import OverrideStands
from compliance.rule import judge
from compliance.verdict import Verdict
from tests.support.records import ADMIN, AT, CONSENT, LEAD, NUMBER, OTHER, SECOND, SUPERVISOR, Clock, rows

THIRD = E164("+14155550102")
TWO = (LabelledNumber(NUMBER, "home"), LabelledNumber(OTHER, "mobile"))


async def numbers(records: Records) -> list[str]:
    async with records.database.read() as session:
        return [one.number for one in await numbers_of(session, LEAD)]


async def opened(records: Records) -> list[bool]:
    """Return for the first two numbers whether the gate lets a call to the lead pass."""
    async with records.database.read() as session:
        facts = await facts_on_record(session, [(NUMBER, LEAD), (OTHER, LEAD)], records.now())
    return [judge(one, records.now()).verdict is Verdict.ALLOW for one in facts]


@pytest.fixture
async def listed(records: Records) -> Records:
    """A lead with two numbers, both on the list."""
    await add_lead(records, ADMIN, LEAD, NUMBER, "Lead 1", TWO)
    await suppress_many(records, ADMIN, [NUMBER, OTHER], source="import")
    return records


async def place(records: Records, number: E164 | None) -> int:
    return (await grant_override(records, SUPERVISOR, replace(CONSENT, number=number))).override_id


async def test_an_override_does_not_open_the_other_number_of_the_lead(listed: Records):
    await place(listed, OTHER)
    assert await opened(listed) == [False, True]


async def test_a_consent_for_a_lead_with_several_numbers_names_one_of_them(listed: Records):
    with pytest.raises(NumberNotNamed, match=r"has the numbers \+14155550100 and \+14155550101"):
        await place(listed, None)
    with pytest.raises(OtherNumber):
        await place(listed, THIRD)
    assert await rows(listed, Override) == []


async def test_a_lead_may_hold_one_override_on_each_number(listed: Records):
    await place(listed, NUMBER)
    with pytest.raises(OverrideStands):
        await place(listed, NUMBER)
    await place(listed, OTHER)
    assert await opened(listed) == [True, True]


async def test_an_override_ends_with_its_number_and_the_other_stays(listed: Records):
    first, second = await place(listed, NUMBER), await place(listed, OTHER)
    done = await change_lead(listed, ADMIN, LEAD, numbers=TWO[1:])
    assert done.ended_overrides == (first,)
    assert await opened(listed) == [False, True]
    again = await change_lead(listed, ADMIN, LEAD, numbers=TWO)
    assert (again.changed, again.ended_overrides) == (True, ())
    assert await opened(listed) == [False, True]
    ended = {one.id: one.revoke_reason for one in await rows(listed, Override)}
    assert (ended[first], ended[second]) == (f"The lead's number changed from {NUMBER} to {OTHER}.", None)


async def test_another_order_of_the_numbers_ends_nothing(listed: Records):
    await place(listed, NUMBER)
    done = await change_lead(listed, ADMIN, LEAD, numbers=TWO[::-1])
    assert (done.changed, done.ended_overrides) == (True, ())
    assert await numbers(listed) == [OTHER, NUMBER]
    assert await opened(listed) == [True, False]


async def test_a_removed_further_number_is_named_with_the_override_that_ends(listed: Records):
    override = await place(listed, OTHER)
    assert (await change_lead(listed, ADMIN, LEAD, numbers=TWO[:1])).ended_overrides == (override,)
    (row,) = await rows(listed, Override)
    assert row.revoke_reason == f"The lead's number {OTHER} was removed."
    event = [one for one in await rows(listed, AuditEvent) if one.action == "change-lead"][-1]
    assert (event.particulars["was"], event.particulars["number"]) == (NUMBER, NUMBER)


async def test_another_first_number_leaves_the_others(records: Records):
    await add_lead(records, ADMIN, LEAD, NUMBER, numbers=TWO)
    await change_lead(records, ADMIN, LEAD, number=THIRD)
    assert await numbers(records) == [THIRD, OTHER]
    await change_lead(records, ADMIN, LEAD, number=OTHER)
    assert await numbers(records) == [OTHER]
    assert (await change_lead(records, ADMIN, LEAD, number=OTHER)).changed is False


async def test_a_kept_override_needs_its_number(listed: Records, clock: Clock):
    override = await place(listed, OTHER)
    await record_request(listed, ADMIN, OTHER, source="phone")
    await change_lead(listed, ADMIN, LEAD, numbers=TWO[:1])
    with pytest.raises(NothingToKeep):
        await keep_override(listed, ADMIN, override, reason="another person", seen=1)


@pytest.mark.parametrize("by", [{"numbers": TWO[:1]}, {"numbers": (LabelledNumber(THIRD),)}])
async def test_what_a_request_ended_is_not_kept_after_the_lead_has_lost_the_number_for_a_while(
    listed: Records, clock: Clock, by
):
    """In the meantime the telephone may have been another person's."""
    override = await place(listed, OTHER)
    await record_request(listed, ADMIN, OTHER, source="phone")
    await change_lead(listed, ADMIN, LEAD, **by)
    await change_lead(listed, ADMIN, LEAD, numbers=TWO)
    with pytest.raises(NothingToKeep):
        await keep_override(listed, ADMIN, override, reason="another person", seen=1)
    assert await opened(listed) == [False, False]
    (row,) = await rows(listed, Override)
    assert row.revoke_reason is not None
    assert "(request 1). The lead's number" in row.revoke_reason


async def test_an_override_on_another_number_does_not_stop_the_keeping(listed: Records):
    override = await place(listed, OTHER)
    await place(listed, NUMBER)
    await record_request(listed, ADMIN, OTHER, source="phone")
    assert (await keep_override(listed, ADMIN, override, reason="another person", seen=1)).reopened


async def test_do_not_call_blocks_all_numbers_of_the_lead(records: Records):
    await add_lead(records, ADMIN, LEAD, NUMBER, numbers=TWO)
    done = await block_lead(records, ADMIN, LEAD)
    assert (done.numbers, done.number, done.added) == ((NUMBER, OTHER), NUMBER, True)
    assert await opened(records) == [False, False]
    assert {(one.number, one.lead_id) for one in await rows(records, DoNotCallRequest)} == {
        (NUMBER, LEAD),
        (OTHER, LEAD),
    }


async def test_a_wrap_up_blocks_all_numbers_or_those_that_are_named(records: Records):
    await add_lead(records, ADMIN, LEAD, NUMBER, numbers=TWO)
    done = await wrap_up(records, ADMIN, LEAD, Outcome.DO_NOT_CALL, numbers=[OTHER])
    assert done.blocked is not None
    assert done.blocked.numbers == (OTHER,)
    assert await opened(records) == [True, False]
    await wrap_up(records, ADMIN, LEAD, Outcome.DO_NOT_CALL)
    assert await opened(records) == [False, False]


async def test_do_not_call_ends_the_leads_overrides_on_every_number(listed: Records):
    placed = {await place(listed, NUMBER), await place(listed, OTHER)}
    assert set((await block_lead(listed, ADMIN, LEAD)).ended) == placed


async def test_a_number_that_the_lead_does_not_have_is_refused(records: Records):
    await add_lead(records, ADMIN, LEAD, NUMBER, numbers=TWO)
    with pytest.raises(NotANumberOfLead, match="does not have the number"):
        await block_lead(records, ADMIN, LEAD, [NUMBER, THIRD])
    assert await rows(records, DoNotCallRequest) == []


async def test_a_request_on_a_further_number_ends_only_the_leads_own_override(listed: Records):
    await add_lead(listed, ADMIN, SECOND, OTHER)
    mine = await place(listed, OTHER)
    theirs = (await grant_override(listed, SUPERVISOR, replace(CONSENT, lead=SECOND))).override_id
    done = await record_request(listed, ADMIN, OTHER, source="phone", lead=LEAD)
    assert (done.ended, done.still_open) == ((mine,), (theirs,))


async def test_many_leads_with_several_numbers_are_put_and_changed(records: Records):
    given = [LeadGiven(LEAD, NUMBER, "A", TWO), LeadGiven(SECOND, THIRD, "B")]
    assert (await put_leads(records, ADMIN, given))[:2] == (2, 0)
    assert (await put_leads(records, ADMIN, given))[:2] == (0, 0)
    changed = [LeadGiven(LEAD, NUMBER, "A", (*TWO, LabelledNumber(THIRD))), given[1]]
    assert (await put_leads(records, ADMIN, changed))[:2] == (0, 1)
    assert await numbers(records) == [NUMBER, OTHER, THIRD]
    assert (await put_leads(records, ADMIN, [LeadGiven(LEAD, NUMBER)]))[:2] == (0, 0)
    assert await numbers(records) == [NUMBER, OTHER, THIRD]


async def test_a_change_of_numbers_that_nobody_saw_is_refused(records: Records):
    await add_lead(records, ADMIN, LEAD, NUMBER, numbers=TWO)
    with pytest.raises(NumberMoved):
        await change_lead(records, ADMIN, LEAD, numbers=TWO[:1], was=[NUMBER])
    assert (await change_lead(records, ADMIN, LEAD, numbers=TWO[:1], was=[NUMBER, OTHER])).changed


async def test_a_lead_has_one_to_ten_numbers_and_each_once(records: Records):
    many = [LabelledNumber(E164(f"+1415555{line:04}")) for line in range(MOST_NUMBERS + 1)]
    with pytest.raises(TooManyNumbers, match="1 to 10"):
        await add_lead(records, ADMIN, LEAD, many[0].number, numbers=many)
    await add_lead(records, ADMIN, LEAD, NUMBER, numbers=(*TWO, TWO[0], LabelledNumber(OTHER, "work")))
    assert await numbers(records) == [NUMBER, OTHER]
    assert [one.label for one in await rows_of(records)] == ["mobile"]


async def rows_of(records: Records) -> list[LeadNumber]:
    async with records.database.read() as session:
        return list(await session.scalars(select(LeadNumber)))


async def test_two_leads_with_the_same_numbers_in_another_order_ask_at_once(records: Records):
    await add_lead(records, ADMIN, LEAD, NUMBER, numbers=TWO)
    await add_lead(records, ADMIN, SECOND, OTHER, numbers=TWO[::-1])
    await asyncio.gather(*(block_lead(records, ADMIN, lead) for lead in (LEAD, SECOND) * 4))
    assert await opened(records) == [False, False]


class Ringing:
    """A PBX whose telephones are picked up at once."""

    configured = True

    def __init__(self) -> None:
        self.dialed: list[str] = []

    async def originate(self, call: Originate) -> None:
        self.dialed.append(call.dialed)


async def test_a_click_dials_the_chosen_number_of_the_lead_and_none_that_it_does_not_have(
    records: Records, clock: Clock
):
    async with records.database.write() as session:
        session.add(User(name=ADMIN.name, role="admin", password_hash="", created_at=AT, created_by="test"))
    await add_lead(records, ADMIN, LEAD, NUMBER, numbers=TWO)
    pbx = Ringing()
    for number in (None, OTHER):
        await call_lead(records, pbx, ADMIN, LEAD, number)
        clock.move(minutes=1)
        assert (await rows(records, Lead))[0].last_called_at == clock() - timedelta(minutes=1)
    with pytest.raises(NotANumberOfLead, match="Nobody was called"):
        await call_lead(records, pbx, ADMIN, LEAD, THIRD)
    assert pbx.dialed == [NUMBER, OTHER]
    assert [one.number for one in await rows(records, CallRequest)] == [NUMBER, OTHER]
