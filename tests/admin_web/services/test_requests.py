"""A person's own request not to be called: what it ends, what it leaves open, and what it forbids later."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.judging.facts import facts_on_record
from admin_web.record.changes import Actor, Records
from admin_web.record.models import AuditEvent, DoNotCallRequest, Override, Recovery, SuppressionEntry
from admin_web.services import consents, keeping
from admin_web.services.consents import Consent
from admin_web.services.do_not_call import block_lead
from admin_web.services.keeping import KeptOverride, NothingToKeep, RequestNotSeen, keep_override
from admin_web.services.leads import add_lead
from admin_web.services.overrides import grant_override, renew_override
from admin_web.services.requests import (
    RequestNotDated,
    UnknownRequest,
    last_recorded,
    newest_request,
    record_request,
    record_requests,
    withdraw_request,
)
from admin_web.services.revocation import NotReviewed, OwnOverride, confirm_override, review_override, revoke_override
from admin_web.services.suppression import lift, suppress, suppress_many
from admin_web.services.wrap_up import Outcome, wrap_up
from compliance import dates
from compliance.consent import Basis, Role
from compliance.consent_rules import US_STRICT, ConsentRules, Tie
from compliance.consent_statement import TieMissing
from compliance.numbers import E164, LeadId
from compliance.openable import BasisNotEnough, ConsentOutdated, SameDayUnexplained
from compliance.refusal import NotPermitted, Unwritable
from tests.support.records import ADMIN, AT, CONSENT, LEAD, NUMBER, OTHER, SECOND, SUPERVISOR, Clock, rows

DAY = AT.date()
SECOND_ADMIN = Actor("second", "192.0.2.9", Role.ADMIN)


def dated(days: int, **fields: object) -> Consent:
    """Return a consent that is dated so many days after AT."""
    return replace(CONSENT, consented_on=DAY + timedelta(days=days), **fields)


@pytest.fixture
async def opened(records: Records, clock: Clock) -> int:
    """Both leads are on NUMBER, which is listed by an import, and LEAD holds an override of a week ago."""
    await add_lead(records, ADMIN, LEAD, NUMBER)
    await add_lead(records, ADMIN, SECOND, NUMBER)
    await suppress_many(records, ADMIN, [NUMBER], source="import")
    granted = await grant_override(records, SUPERVISOR, dated(-7))
    clock.move(hours=1)
    return granted.override_id


async def opens(records: Records, lead: LeadId = LEAD) -> bool:
    """Return whether an override of the lead is live in the facts that the gate decides by."""
    async with records.database.read() as session:
        (facts,) = await facts_on_record(session, [(NUMBER, lead)], records.now())
    return facts.override is not None


async def keep(records: Records, override_id: int, reason: str) -> KeptOverride:
    """Keep an override as an admin who has seen every request."""
    seen = max([one.id for one in await rows(records, DoNotCallRequest)], default=None)
    return await keep_override(records, ADMIN, override_id, reason=reason, seen=seen)


async def contested(records: Records) -> list[int]:
    async with records.database.read() as session:
        found = await session.scalars(
            Override.__table__.select()
            .with_only_columns(Override.id)
            .where(Override.contested(), *Override.live(records.now()))
        )
        return list(found)


@pytest.mark.parametrize("door", ["number", "many", "switch", "wrap-up", "named"])
async def test_a_request_by_any_door_ends_the_override_of_who_asked(records: Records, opened: int, door: str):
    if door == "number":
        await record_request(records, ADMIN, NUMBER, source="ivr")
    elif door == "many":
        await record_requests(records, ADMIN, [OTHER, NUMBER], source="sms")
    elif door == "switch":
        await block_lead(records, SUPERVISOR, LEAD)
    elif door == "wrap-up":
        await wrap_up(records, SUPERVISOR, LEAD, Outcome.DO_NOT_CALL)
    else:
        await record_request(records, ADMIN, NUMBER, source="api", lead=LEAD)
    assert not await opens(records)
    request = next(one for one in await rows(records, DoNotCallRequest) if one.number == NUMBER)
    (override,) = await rows(records, Override)
    assert (override.id, override.ended_by_request, override.revoked_at) == (opened, request.id, records.now())
    assert request.asked_on == DAY
    ends = [event for event in await rows(records, AuditEvent) if event.action == "revoke-override"]
    assert len(ends) == 1


async def test_each_request_is_a_dated_row_also_when_the_number_is_listed_already(records: Records, clock: Clock):
    first = await record_request(records, ADMIN, NUMBER, source="ivr")
    clock.move(days=3)
    second = await record_request(records, ADMIN, NUMBER, source="sms", note="STOP")
    assert (first.added, second.added, second.entry_id) == (True, False, first.entry_id)
    assert [(one.asked_on, one.source) for one in await rows(records, DoNotCallRequest)] == [
        (DAY, "ivr"), (DAY + timedelta(days=3), "sms"),
    ]  # fmt: skip


async def test_another_lead_on_the_number_stays_open_and_waits_for_an_admin(records: Records, opened: int):
    done = await record_request(records, ADMIN, NUMBER, source="api", lead=SECOND)
    assert (done.ended, done.still_open) == ((), (opened,))
    assert await opens(records)
    assert await contested(records) == [opened]
    await keep(records, opened, "Two people share this telephone; the other one asked.")
    assert await opens(records)
    assert await contested(records) == []


async def test_a_request_at_the_moment_of_the_keeping_is_not_answered_by_it(records: Records, opened: int):
    """The clock stands still: only the order of the two decides."""
    await record_request(records, ADMIN, NUMBER, source="api", lead=SECOND)
    await keep(records, opened, "another person")
    await record_request(records, ADMIN, NUMBER, source="api", lead=SECOND)
    assert await contested(records) == [opened]


@pytest.mark.parametrize("first", ["api", "ivr"], ids=["contested", "ended"])
async def test_an_override_is_kept_only_by_who_has_seen_the_last_request(records: Records, opened: int, first: str):
    lead = SECOND if first == "api" else None
    seen = await record_request(records, ADMIN, NUMBER, source=first, lead=lead)
    unseen = await record_request(records, ADMIN, NUMBER, source="sms", note="STOP", lead=lead)
    for known in (None, 0, seen.request_id):
        with pytest.raises(RequestNotSeen, match=f"Request {unseen.request_id}, of {dates.day(DAY)} by sms"):
            await keep_override(records, ADMIN, opened, reason="another person", seen=known)
    (override,) = await rows(records, Override)
    assert (override.kept_at, await opens(records)) == (None, first == "api")
    await keep_override(records, ADMIN, opened, reason="another person", seen=unseen.request_id)
    assert (await opens(records), await contested(records)) == (True, [])


async def test_a_withdrawn_request_need_not_be_seen(records: Records, opened: int):
    seen = await record_request(records, ADMIN, NUMBER, source="api", lead=SECOND)
    wrong = await record_request(records, ADMIN, NUMBER, source="sms", lead=SECOND)
    await withdraw_request(records, ADMIN, wrong.request_id, reason="wrong button")
    await keep_override(records, ADMIN, opened, reason="another person", seen=seen.request_id)
    assert await contested(records) == []


@pytest.mark.parametrize("lead", [SECOND, None], ids=["another lead", "by number"])
async def test_a_request_during_a_keeping_is_not_answered_by_it(
    records: Records, opened: int, monkeypatch: pytest.MonkeyPatch, lead: LeadId | None
):
    """The request arrives when the keeping has just read which one is the last."""
    await record_request(records, ADMIN, NUMBER, source="api", lead=SECOND)
    asking: list[asyncio.Task[object]] = []

    async def read_and_wait(session: AsyncSession, number: E164) -> DoNotCallRequest | None:
        found = await last_recorded(session, number)
        asking.append(asyncio.create_task(record_request(records, ADMIN, NUMBER, source="sms", lead=lead)))
        await asyncio.wait(asking, timeout=0.5)
        return found

    monkeypatch.setattr(keeping, "last_recorded", read_and_wait)
    await keep(records, opened, "another person")
    await asking[0]
    live = await opens(records)
    assert (live, await contested(records)) == ((True, [opened]) if lead else (False, []))


async def test_a_request_of_another_lead_during_a_grant_contests_it(records: Records, monkeypatch: pytest.MonkeyPatch):
    """It has the day of the consent, and its moment is that of the grant: only the order of the two decides."""
    await add_lead(records, ADMIN, LEAD, NUMBER)
    await add_lead(records, ADMIN, SECOND, NUMBER)
    await suppress_many(records, ADMIN, [NUMBER], source="import")
    asking: list[asyncio.Task[object]] = []

    async def read_and_wait(session: AsyncSession, number: E164) -> date | None:
        found = await newest_request(session, number)
        asking.append(asyncio.create_task(record_request(records, ADMIN, NUMBER, source="sms", lead=SECOND)))
        await asyncio.wait(asking, timeout=0.5)
        return found

    monkeypatch.setattr(consents, "newest_request", read_and_wait)
    granted = await grant_override(records, SUPERVISOR, dated(0))
    await asking[0]
    assert (await opens(records), await contested(records)) == (True, [granted.override_id])


async def test_a_request_after_the_keeping_contests_again(records: Records, opened: int, clock: Clock):
    await record_request(records, ADMIN, NUMBER, source="api", lead=SECOND)
    await keep(records, opened, "another person")
    clock.move(minutes=1)
    await record_request(records, ADMIN, NUMBER, source="api", lead=SECOND)
    assert await contested(records) == [opened]


async def test_a_request_that_is_withdrawn_contests_nothing_any_more(records: Records, opened: int):
    done = await record_request(records, ADMIN, NUMBER, source="api", lead=SECOND)
    await withdraw_request(records, ADMIN, done.request_id, reason="wrong button")
    assert await contested(records) == []


async def test_a_consent_of_the_day_of_a_later_request_ends(records: Records, clock: Clock):
    await add_lead(records, ADMIN, LEAD, NUMBER)
    await suppress(records, ADMIN, NUMBER, source="import")
    granted = await grant_override(records, SUPERVISOR, dated(0))
    clock.move(hours=1)
    assert (await record_request(records, ADMIN, NUMBER, source="ivr")).ended == (granted.override_id,)


async def test_a_request_of_a_lead_with_another_number_counts_as_one_by_number_alone(records: Records, opened: int):
    await add_lead(records, ADMIN, LeadId("L-3"), OTHER)
    done = await record_request(records, ADMIN, NUMBER, source="api", lead=LeadId("L-3"))
    assert done.ended == (opened,)


async def test_an_admin_may_keep_what_a_request_by_number_ended(records: Records, opened: int):
    await record_request(records, ADMIN, NUMBER, source="ivr")
    with pytest.raises(NotPermitted):
        await keep_override(records, SUPERVISOR, opened, reason="x", seen=None)
    with pytest.raises(Unwritable):
        await keep(records, opened, " ")
    assert not await opens(records)
    kept = await keep(records, opened, "The caller gave another name.")
    assert kept.reopened
    assert await opens(records)
    (override,) = await rows(records, Override)
    assert (override.revoked_at, override.kept_by, override.keep_reason) == (
        None,
        "admin",
        "The caller gave another name.",
    )
    with pytest.raises(NothingToKeep, match="since admin decided to keep"):
        await keep(records, opened, "again")


@pytest.mark.parametrize("recovery", [None, 1])
async def test_what_waits_for_its_review_or_is_held_by_a_recovery_opens_nothing_when_it_is_kept(
    records: Records, opened: int, recovery: int | None
):
    async with records.database.write() as session:
        override = await session.get_one(Override, opened)
        override.held, override.recovery_id = True, recovery
    await record_request(records, ADMIN, NUMBER, source="ivr")
    assert not (await keep(records, opened, "The caller gave another name.")).reopened
    assert not await opens(records)


@pytest.mark.parametrize(("hours", "discarded", "held"), [(0, False, True), (-1, False, False), (0, True, False)])
async def test_what_ended_before_a_recovery_is_held_by_it_when_it_is_kept(
    records: Records, opened: int, hours: int, discarded: bool, held: bool
):
    """It may have been revoked after the backup, and Redis does not show it."""
    await record_request(records, ADMIN, NUMBER, source="ivr")
    began = records.now() + timedelta(hours=hours)
    async with records.database.write() as session:
        for mark, row in (("a1", 1), ("a2", 5462)):
            session.add(Recovery(projection_id=row, mark=mark, began_at=began, discarded=discarded))
    assert (await keep(records, opened, "another person")).reopened is not held
    assert await opens(records) is not held
    assert [(one.id, one.held) for one in await rows(records, Recovery)] == [(1, 0), (2, held)]
    if held:
        await confirm_override(records, ADMIN, opened, reason="asked them")
    assert await opens(records)


async def test_what_waited_for_its_review_before_a_recovery_needs_it_when_it_is_kept(records: Records, opened: int):
    async with records.database.write() as session:
        (await session.get_one(Override, opened)).held = True
        session.add(Recovery(projection_id=1, mark="a1", began_at=records.now()))
    await record_request(records, ADMIN, NUMBER, source="ivr")
    await keep(records, opened, "another person")
    with pytest.raises(NotReviewed):
        await confirm_override(records, ADMIN, opened, reason="asked them")


@pytest.mark.parametrize("asked_first", [False, True])
async def test_what_an_admin_revoked_is_never_kept(records: Records, opened: int, asked_first: bool):
    if asked_first:
        await record_request(records, ADMIN, NUMBER, source="ivr")
    await revoke_override(records, ADMIN, opened, reason="false document")
    await record_request(records, ADMIN, NUMBER, source="ivr")
    with pytest.raises(NothingToKeep):
        await keep(records, opened, "x")
    (row,) = await rows(records, Override)
    assert row.revoke_reason is not None
    assert row.revoke_reason.endswith("false document")
    revoked = [event for event in await rows(records, AuditEvent) if event.action == "revoke-override"]
    assert revoked[-1].particulars["reason"] == "false document"


async def test_what_a_request_ended_is_not_reopened_beside_a_newer_override(
    records: Records, opened: int, clock: Clock
):
    await record_request(records, ADMIN, NUMBER, source="ivr")
    clock.move(days=1)
    await grant_override(records, SUPERVISOR, dated(1))
    with pytest.raises(NothingToKeep, match="another override"):
        await keep(records, opened, "x")


@pytest.mark.parametrize("days", [-1, -400, -3000])
async def test_a_consent_older_than_the_newest_request_opens_nothing(records: Records, days: int):
    await add_lead(records, ADMIN, LEAD, NUMBER)
    await record_request(records, ADMIN, NUMBER, source="ivr", asked_on=DAY - timedelta(days=4000))
    await record_request(records, ADMIN, NUMBER, source="ivr")
    with pytest.raises(ConsentOutdated, match=dates.day(DAY)):
        await grant_override(records, SUPERVISOR, dated(days))
    assert await rows(records, Override) == []


@pytest.mark.parametrize("rules", [ConsentRules(), ConsentRules(US_STRICT), ConsentRules(reviewed_first=True)])
async def test_no_rules_of_an_installation_open_a_lead_by_an_older_consent(records: Records, rules: ConsentRules):
    await add_lead(records, ADMIN, LEAD, NUMBER)
    await record_request(records, ADMIN, NUMBER, source="ivr")
    for basis in Basis:
        consent = dated(-1, basis=basis, basis_note="by letter", tie=Tie.PURCHASE)
        with pytest.raises(ConsentOutdated):
            await grant_override(replace(records, rules=rules), ADMIN, consent)


async def test_a_consent_of_the_same_day_needs_a_reason_which_the_reviewer_sees(records: Records):
    await add_lead(records, ADMIN, LEAD, NUMBER)
    await record_request(records, ADMIN, NUMBER, source="ivr")
    for reason in ("", "  \n"):
        with pytest.raises(SameDayUnexplained):
            await grant_override(records, SUPERVISOR, dated(0, same_day_reason=reason))
    await grant_override(records, SUPERVISOR, dated(0, same_day_reason="Signed in the shop at five."))
    (override,) = await rows(records, Override)
    assert override.same_day_reason == "Signed in the shop at five."
    assert await contested(records) == []


async def test_a_consent_after_the_request_opens_the_lead_and_a_backdated_request_does_not_end_it(
    records: Records, clock: Clock
):
    await add_lead(records, ADMIN, LEAD, NUMBER)
    await record_request(records, ADMIN, NUMBER, source="ivr")
    clock.move(days=2)
    await grant_override(records, SUPERVISOR, dated(1))
    done = await record_request(records, ADMIN, NUMBER, source="letter", asked_on=DAY)
    assert done.ended == ()
    assert await opens(records)


@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
async def test_a_request_during_a_grant_ends_the_override(
    records: Records, monkeypatch: pytest.MonkeyPatch, many: bool
):
    """The request arrives when the grant has just read that there is none."""
    await add_lead(records, ADMIN, LEAD, NUMBER)
    await suppress_many(records, ADMIN, [OTHER, NUMBER], source="import")
    asking: list[asyncio.Task[object]] = []

    async def read_and_wait(session: AsyncSession, number: E164) -> date | None:
        found = await newest_request(session, number)
        work = (
            record_requests(records, ADMIN, [NUMBER], source="ivr")
            if many
            else record_request(records, ADMIN, NUMBER, source="ivr")
        )
        asking.append(asyncio.create_task(work))
        await asyncio.wait(asking, timeout=0.5)
        return found

    monkeypatch.setattr(consents, "newest_request", read_and_wait)
    await grant_override(records, SUPERVISOR, dated(-7))
    await asking[0]
    assert not await opens(records)


async def test_an_imported_entry_is_opened_by_an_older_consent(records: Records):
    await add_lead(records, ADMIN, LEAD, NUMBER)
    await suppress_many(records, ADMIN, [NUMBER], source="import")
    await grant_override(records, SUPERVISOR, dated(-700))
    assert await opens(records)


async def test_a_request_still_counts_after_its_entry_was_lifted_and_imported_again(records: Records):
    await add_lead(records, ADMIN, LEAD, NUMBER)
    await record_request(records, ADMIN, NUMBER, source="ivr")
    await lift(records, ADMIN, NUMBER, reason="by mistake")
    await suppress_many(records, ADMIN, [NUMBER], source="import")
    with pytest.raises(ConsentOutdated):
        await grant_override(records, SUPERVISOR, dated(-1))


async def test_an_admin_withdraws_a_request_that_was_recorded_wrongly(records: Records):
    await add_lead(records, ADMIN, LEAD, NUMBER)
    asked = await record_request(records, ADMIN, NUMBER, source="ivr")
    with pytest.raises(NotPermitted):
        await withdraw_request(records, SUPERVISOR, asked.request_id, reason="x")
    with pytest.raises(Unwritable):
        await withdraw_request(records, ADMIN, asked.request_id, reason="")
    with pytest.raises(UnknownRequest):
        await withdraw_request(records, ADMIN, asked.request_id + 1, reason="x")
    assert await withdraw_request(records, ADMIN, asked.request_id, reason="The file was a purchased list.")
    assert not await withdraw_request(records, ADMIN, asked.request_id, reason="again")
    (request,) = await rows(records, DoNotCallRequest)
    assert (request.withdrawn_by, request.withdraw_reason) == ("admin", "The file was a purchased list.")
    (entry,) = await rows(records, SuppressionEntry)
    assert entry.lifted_at is None
    await grant_override(records, SUPERVISOR, dated(-1))
    assert await opens(records)


async def test_a_renewal_obeys_the_newest_request_too(records: Records, clock: Clock):
    await add_lead(records, ADMIN, LEAD, NUMBER)
    await suppress(records, ADMIN, NUMBER, source="import")
    soon = AT + timedelta(days=20)
    granted = await grant_override(records, SUPERVISOR, dated(-7, expires_at=soon))
    await record_request(records, ADMIN, NUMBER, source="ivr")
    await keep(records, granted.override_id, "another person")
    clock.move(days=1)
    with pytest.raises(ConsentOutdated):
        await renew_override(records, SUPERVISOR, dated(-1), granted.override_id)


@pytest.mark.parametrize("asked_on", [DAY + timedelta(days=1), date(1989, 12, 31)])
async def test_a_request_is_dated_neither_in_the_future_nor_long_ago(records: Records, asked_on: date):
    with pytest.raises(RequestNotDated):
        await record_request(records, ADMIN, NUMBER, source="ivr", asked_on=asked_on)
    with pytest.raises(RequestNotDated):
        await record_requests(records, ADMIN, [NUMBER], source="ivr", asked_on=asked_on)
    assert await rows(records, SuppressionEntry) == []


@pytest.mark.parametrize(("zone", "day"), [("America/New_York", 1), ("Pacific/Auckland", 2), ("UTC", 2)])
async def test_days_are_compared_in_the_zone_of_the_installation(records: Records, clock: Clock, zone: str, day: int):
    """At 02:00 UTC on 2 March it is still 1 March in New York."""
    clock.at = datetime(2026, 3, 2, 2, tzinfo=UTC)
    there = replace(records, rules=ConsentRules(zone=ZoneInfo(zone)))
    await add_lead(there, ADMIN, LEAD, NUMBER)
    await record_request(there, ADMIN, NUMBER, source="ivr")
    (request,) = await rows(there, DoNotCallRequest)
    assert request.asked_on == date(2026, 3, day)
    refusal = SameDayUnexplained if day == 1 else ConsentOutdated
    with pytest.raises(refusal):
        await grant_override(there, SUPERVISOR, replace(CONSENT, consented_on=date(2026, 3, 1)))


async def test_a_consent_dated_tomorrow_is_no_shield_against_a_request_of_today(records: Records):
    """East of here it is tomorrow already, so such a date is accepted; it counts from the day of the placing."""
    await add_lead(records, ADMIN, LEAD, NUMBER)
    await suppress(records, ADMIN, NUMBER, source="import")
    await grant_override(records, SUPERVISOR, dated(1))
    done = await record_request(records, ADMIN, NUMBER, source="ivr")
    assert len(done.ended) == 1


@pytest.fixture
def strict(records: Records) -> Records:
    """The record of an installation with the policy us-strict."""
    return replace(records, rules=ConsentRules(US_STRICT))


async def test_us_strict_lets_no_relationship_lift_a_request(strict: Records):
    await add_lead(strict, ADMIN, LEAD, NUMBER)
    await record_request(strict, ADMIN, NUMBER, source="ivr", asked_on=DAY - timedelta(days=30))
    tied = dated(-1, basis=Basis.EXISTING_RELATIONSHIP, tie=Tie.PURCHASE)
    with pytest.raises(BasisNotEnough, match="asked not to be called"):
        await grant_override(strict, SUPERVISOR, tied)
    with pytest.raises(BasisNotEnough):
        await grant_override(strict, SUPERVISOR, dated(-1, basis=Basis.OTHER, basis_note="x"))
    await grant_override(strict, SUPERVISOR, dated(-1, basis=Basis.WRITTEN_CONSENT))


@pytest.mark.parametrize(
    ("tie", "on", "end"),
    [
        (Tie.PURCHASE, date(2025, 1, 31), datetime(2026, 7, 31, tzinfo=UTC)),
        (Tie.INQUIRY, date(2025, 12, 31), datetime(2026, 3, 31, tzinfo=UTC)),
        (Tie.INQUIRY, date(2026, 2, 28), datetime(2026, 5, 28, tzinfo=UTC)),
        (Tie.PURCHASE, date(2026, 2, 28), datetime(2027, 3, 1, 12, tzinfo=UTC)),
    ],
)
async def test_us_strict_ends_a_relationship_by_its_last_purchase_or_inquiry(
    strict: Records, tie: Tie, on: date, end: datetime
):
    await add_lead(strict, ADMIN, LEAD, NUMBER)
    await suppress(strict, ADMIN, NUMBER, source="import")
    tied = replace(CONSENT, basis=Basis.EXISTING_RELATIONSHIP, consented_on=on)
    with pytest.raises(TieMissing):
        await grant_override(strict, SUPERVISOR, tied)
    granted = await grant_override(strict, SUPERVISOR, replace(tied, tie=tie))
    assert granted.expires_at == end


async def test_who_placed_an_override_does_not_review_it(records: Records):
    await add_lead(records, ADMIN, LEAD, NUMBER)
    await suppress(records, ADMIN, NUMBER, source="import")
    granted = await grant_override(records, ADMIN, CONSENT)
    with pytest.raises(OwnOverride, match="add a second one"):
        await review_override(records, ADMIN, granted.override_id)
    (override,) = await rows(records, Override)
    assert override.reviewed_at is None
    assert not (await review_override(records, SECOND_ADMIN, granted.override_id)).already


async def test_where_a_review_comes_first_an_override_opens_only_after_it(records: Records):
    held = replace(records, rules=ConsentRules(reviewed_first=True))
    await add_lead(held, ADMIN, LEAD, NUMBER)
    await suppress(held, ADMIN, NUMBER, source="import")
    granted = await grant_override(held, SUPERVISOR, CONSENT)
    assert granted.held
    assert not await opens(held)
    await review_override(held, ADMIN, granted.override_id)
    assert await opens(held)
