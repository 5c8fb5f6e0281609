"""An override opens one lead on one number until its expiry, with consent on record. Revoking it ends it."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from admin_web.record.changes import Actor, Records
from admin_web.record.models import AuditEvent, Document, Lead, OutboxRow, Override
from admin_web.services.consents import ExpiryNotAllowed, OtherNumber
from admin_web.services.leads import UnknownLead, add_lead
from admin_web.services.overrides import grant_override
from admin_web.services.revocation import UnknownOverride, review_override, revoke_override
from admin_web.services.suppression import lift, suppress
from compliance.consent import ATTESTATION, Basis, Role
from compliance.consent_statement import ConsentInFuture, NotAttested
from compliance.numbers import LeadId
from compliance.openable import NotSuppressed, OverrideStands
from compliance.refusal import NotPermitted, Refused, Unwritable
from tests.support.records import (
    ADMIN,
    AT,
    CONSENT,
    LEAD,
    NUMBER,
    OTHER,
    SECOND,
    SUPERVISOR,
    Clock,
    FakeProjector,
    rows,
)


@pytest.fixture
async def listed(records: Records) -> None:
    """Two leads share a listed number."""
    await suppress(records, ADMIN, NUMBER, source="phone")
    for lead in (LEAD, SECOND):
        await add_lead(records, ADMIN, lead, NUMBER)


async def nothing_granted(records: Records) -> bool:
    tables = await rows(records, Override), await rows(records, Document)
    outbox = [row for row in await rows(records, OutboxRow) if row.lead_id]
    return not any(tables) and not outbox


@pytest.mark.usefixtures("listed")
async def test_a_granted_override_has_its_document_its_attestation_and_its_end(records: Records):
    granted = await grant_override(records, SUPERVISOR, CONSENT)
    (override,), (document,) = await rows(records, Override), await rows(records, Document)
    assert (granted.override_id, granted.lead, granted.number) == (override.id, LEAD, NUMBER)
    assert granted.expires_at == override.expires_at == datetime(2027, 3, 1, 12, tzinfo=UTC)
    assert granted.standing.in_force
    assert (override.lead_id, override.number, override.basis) == (LEAD, NUMBER, "signed-consent")
    assert (override.consented_on, override.attestation) == (date(2026, 2, 27), ATTESTATION)
    assert (override.placed_at, override.placed_by, override.placed_from) == (AT, "supervisor", "192.0.2.7")
    assert override.document_id == document.id
    assert (document.sha256, document.name, document.size) == ("ab" * 32, "consent.pdf", 1234)
    assert (document.stored_by, document.media_type) == ("supervisor", "application/pdf")
    event, outbox = (await rows(records, AuditEvent))[-1], (await rows(records, OutboxRow))[-1]
    assert (event.action, event.subject_id, event.particulars["lead"]) == ("grant-override", str(override.id), LEAD)
    assert (outbox.list_name, outbox.numbers, outbox.lead_id) == (None, [NUMBER], LEAD)


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(
    ("consent", "refusal"),
    [
        (replace(CONSENT, attestation=""), NotAttested),
        (replace(CONSENT, attestation=ATTESTATION + " Mostly."), NotAttested),
        (replace(CONSENT, basis=Basis.OTHER), Unwritable),
        (replace(CONSENT, basis=Basis.OTHER, basis_note="  "), Unwritable),
        (replace(CONSENT, consented_on=date(2026, 3, 3)), ConsentInFuture),
        (replace(CONSENT, expires_at=AT), ExpiryNotAllowed),
        (replace(CONSENT, expires_at=datetime(2027, 3, 1, 12, 0, 1, tzinfo=UTC)), ExpiryNotAllowed),
        (replace(CONSENT, lead=LeadId("L-9")), UnknownLead),
        (replace(CONSENT, number=OTHER), OtherNumber),
        (replace(CONSENT, lead=LeadId("L-9"), number=OTHER), NotSuppressed),
    ],
)
async def test_consent_that_is_not_good_is_refused_in_a_sentence_and_leaves_nothing(records, consent, refusal):
    with pytest.raises(refusal) as caught:
        await grant_override(records, SUPERVISOR, consent)
    assert isinstance(caught.value, Refused)
    assert str(caught.value).endswith(".")
    assert await nothing_granted(records)
    assert len(await rows(records, Lead)) == 2


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("role", [Role.AGENT, Role.AUDITOR])
async def test_agents_and_auditors_place_no_override(records: Records, role: Role):
    with pytest.raises(NotPermitted, match=role):
        await grant_override(records, Actor("other", role=role), CONSENT)
    assert await nothing_granted(records)


@pytest.mark.usefixtures("listed")
async def test_the_operators_shell_has_no_role_and_may(records: Records):
    assert (await grant_override(records, Actor("shell:root"), CONSENT)).standing.in_force


@pytest.mark.usefixtures("listed")
async def test_other_grounds_are_accepted_when_they_are_named(records: Records):
    await grant_override(records, SUPERVISOR, replace(CONSENT, basis=Basis.OTHER, basis_note="court order"))
    assert (await rows(records, Override))[0].basis_note == "court order"


@pytest.mark.usefixtures("listed")
async def test_consent_dated_today_in_the_east_is_not_in_the_future(records: Records, clock: Clock):
    clock.move(hours=-2)  # 10:00 UTC is midnight in Kiribati
    await grant_override(records, SUPERVISOR, replace(CONSENT, consented_on=date(2026, 3, 2)))


@pytest.mark.usefixtures("listed")
async def test_a_shorter_end_may_be_asked_for(records: Records):
    soon = AT + timedelta(seconds=3)
    assert (await grant_override(records, SUPERVISOR, replace(CONSENT, expires_at=soon))).expires_at == soon


@pytest.mark.usefixtures("listed")
async def test_a_lead_that_is_not_on_record_is_added_with_its_number(records: Records):
    granted = await grant_override(records, SUPERVISOR, replace(CONSENT, lead=LeadId("new"), number=NUMBER))
    assert granted.number == NUMBER
    assert {lead.id for lead in await rows(records, Lead)} == {LEAD, SECOND, "new"}


@pytest.mark.usefixtures("listed")
async def test_a_second_override_on_a_lead_waits_for_the_end_of_the_first(records: Records, clock: Clock):
    first = await grant_override(records, SUPERVISOR, replace(CONSENT, expires_at=AT + timedelta(days=1)))
    with pytest.raises(OverrideStands, match=f"override {first.override_id} until 2 Mar 2026 12:00 UTC"):
        await grant_override(records, SUPERVISOR, CONSENT)
    await grant_override(records, SUPERVISOR, replace(CONSENT, lead=SECOND))
    clock.move(days=1)
    second = await grant_override(records, SUPERVISOR, CONSENT)
    await revoke_override(records, ADMIN, second.override_id, reason="test")
    await grant_override(records, SUPERVISOR, CONSENT)
    assert len(await rows(records, Override)) == 4


@pytest.mark.usefixtures("listed")
async def test_of_ten_who_place_an_override_on_one_lead_at_once_one_does(records: Records):
    ended = await asyncio.gather(
        *(grant_override(records, Actor(f"u{n}"), CONSENT) for n in range(10)), return_exceptions=True
    )
    assert sum(isinstance(end, OverrideStands) for end in ended) == 9
    assert len(await rows(records, Override)) == 1
    assert len(await rows(records, Document)) == 1


@pytest.mark.usefixtures("listed")
async def test_of_ten_who_place_an_override_on_one_new_lead_at_once_one_does(records: Records):
    consent = replace(CONSENT, lead=LeadId("new"), number=NUMBER)
    ended = await asyncio.gather(
        *(grant_override(records, Actor(f"u{n}"), consent) for n in range(10)), return_exceptions=True
    )
    assert sum(isinstance(end, OverrideStands) for end in ended) == 9
    assert len(await rows(records, Override)) == 1


@pytest.mark.usefixtures("listed")
async def test_revoking_ends_an_override_once_and_brings_it_into_force_each_time(
    records: Records, projector: FakeProjector, clock: Clock
):
    granted = await grant_override(records, SUPERVISOR, CONSENT)
    projector.broken = "no Redis"
    clock.move(hours=1)
    revoked = await revoke_override(records, ADMIN, granted.override_id, reason="asked again")
    assert (revoked.already, revoked.lead, revoked.number, revoked.standing.in_force) == (False, LEAD, NUMBER, False)
    projector.broken = ""
    again = await revoke_override(records, Actor("other", role=Role.ADMIN), granted.override_id, reason="me too")
    assert (again.already, again.standing.in_force) == (True, True)
    (override,) = await rows(records, Override)
    assert (override.revoked_at, override.revoked_by) == (AT + timedelta(hours=1), "admin")
    assert override.revoke_reason == "asked again"
    assert [row.lead_id for row in await rows(records, OutboxRow)][-3:] == [LEAD] * 3


@pytest.mark.usefixtures("listed")
async def test_revoking_and_reviewing_want_an_admin_and_an_override(records: Records):
    granted = await grant_override(records, SUPERVISOR, CONSENT)
    for role in (Role.AGENT, Role.SUPERVISOR, Role.AUDITOR):
        with pytest.raises(NotPermitted):
            await revoke_override(records, Actor("other", role=role), granted.override_id, reason="x")
        with pytest.raises(NotPermitted):
            await review_override(records, Actor("other", role=role), granted.override_id)
    with pytest.raises(UnknownOverride):
        await revoke_override(records, ADMIN, granted.override_id + 1, reason="x")
    with pytest.raises(Unwritable):
        await revoke_override(records, ADMIN, granted.override_id, reason="")
    (override,) = await rows(records, Override)
    assert (override.revoked_at, override.reviewed_at) == (None, None)


@pytest.mark.usefixtures("listed")
async def test_a_review_stays_with_its_first_reviewer(records: Records, clock: Clock):
    granted = await grant_override(records, SUPERVISOR, CONSENT)
    assert not (await review_override(records, ADMIN, granted.override_id)).already
    clock.move(days=1)
    assert (await review_override(records, Actor("other", role=Role.ADMIN), granted.override_id)).already
    (override,) = await rows(records, Override)
    assert (override.reviewed_at, override.reviewed_by) == (AT, "admin")


@pytest.mark.usefixtures("listed")
async def test_suppressing_names_the_overrides_that_still_open_the_number(records: Records, clock: Clock):
    granted = await grant_override(records, SUPERVISOR, CONSENT)
    assert (await suppress(records, ADMIN, NUMBER, source="phone")).open_overrides == (granted.override_id,)
    clock.move(days=366)
    assert (await suppress(records, ADMIN, NUMBER, source="phone")).open_overrides == ()


@pytest.mark.usefixtures("listed")
async def test_an_override_granted_while_the_number_is_being_lifted_leaves_a_whole_record(records: Records):
    ended = await asyncio.gather(
        grant_override(records, SUPERVISOR, CONSENT),
        lift(records, ADMIN, NUMBER, reason="test"),
        return_exceptions=True,
    )
    assert not isinstance(ended[1], BaseException)
    assert len(await rows(records, Override)) == (0 if isinstance(ended[0], NotSuppressed) else 1)
