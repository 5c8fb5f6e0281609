"""The list of leads: ordered by name, each once, filtered by the state that the gate's rule gives."""

import asyncio
from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import text

from admin_web.queries import leads as reading
from admin_web.queries.lead import lead_page
from admin_web.queries.lead_state import LeadState
from admin_web.queries.leads import LeadFilter, lead_list, wanted
from admin_web.queries.paging import read_key
from admin_web.record.changes import Records
from admin_web.record.models import Lead, Override
from admin_web.record.schema import go_back, migrate
from admin_web.services.consents import Consent
from admin_web.services.leads import LeadGiven, UnknownLead, change_lead, put_leads
from admin_web.services.overrides import NothingToRenew, NotYetRenewable, grant_override, renew_override
from admin_web.services.revocation import revoke_override
from admin_web.services.suppression import lift, suppress
from admin_web.services.wrap_up import Outcome, wrap_up
from compliance.consent import ATTESTATION, Basis
from compliance.numbers import E164, LeadId
from tests.support.records import ADMIN, AT, DOCUMENT, SUPERVISOR, Clock, rows


def number(line: int) -> E164:
    return E164(f"+1415555{line:04d}")


async def add(records: Records, *leads: tuple[str, int, str]) -> None:
    await put_leads(records, ADMIN, [LeadGiven(LeadId(lead), number(line), name) for lead, line, name in leads])


def consent(lead: str, days: int | None = None) -> Consent:
    expires_at = None if days is None else AT + timedelta(days=days)
    return Consent(LeadId(lead), Basis.SIGNED_CONSENT, date(2026, 2, 27), DOCUMENT, ATTESTATION, expires_at=expires_at)


async def found(records: Records, text: str = "", state: str = "", rows_at_once: int = 50) -> list[str]:
    """Return the ids of all leads found, page by page."""
    sought, after, seen = wanted(text, state, region="US"), None, []
    while True:
        got = await lead_list(records.database, sought, records.now(), after=after, rows=rows_at_once)
        assert len(got.page.rows) <= rows_at_once + 1
        seen += [row.id for row in got.page.rows]
        if (after := read_key(got.page.next_key, str, str)) is None:
            return seen


@pytest.mark.parametrize("rows_at_once", [1, 2, 3, 50])
async def test_leads_come_by_folded_name_then_id_each_once_whatever_the_page(records: Records, rows_at_once: int):
    await add(records, ("c", 1, "Éclair"), ("b", 2, "zebra"), ("a", 3, "ZEBRA"), ("d", 4, "apple"), ("e", 5, ""))
    assert await found(records, rows_at_once=rows_at_once) == ["e", "d", "c", "a", "b"]


async def test_a_changed_name_is_found_by_its_new_spelling_alone(records: Records):
    await add(records, ("a", 1, "Contoso"))
    await change_lead(records, ADMIN, LeadId("a"), name="Wingtip")
    assert await found(records, "wing") == ["a"]
    assert await found(records, "cont") == []


@pytest.mark.parametrize("sign", ["%", "_", "a%", "\\", "'", '"'])
async def test_signs_of_sql_are_letters_like_any_other(records: Records, sign: str):
    await add(records, ("x", 1, "abc"), ("y", 2, f"{sign} odd"))
    assert await found(records, sign) == ["y"]


async def test_the_lead_whose_id_was_typed_comes_first_also_when_it_reads_as_a_number(records: Records):
    await add(records, ("4155550002", 1, "first"), ("b", 2, "second"))
    assert await found(records, "4155550002") == ["4155550002", "b"]


@pytest.mark.parametrize("at_once", [(1, 3), (4, 8), (500, 2000)])
async def test_sifting_by_state_gives_the_leads_of_that_state_and_no_other(records: Records, monkeypatch, at_once):
    monkeypatch.setattr(reading, "SIFTED_AT_ONCE", at_once[0])
    monkeypatch.setattr(reading, "MOST_SIFTED", at_once[1])
    await add(records, *((f"l{n:02d}", n % 10, f"Lead {n:02d}") for n in range(30)))
    for line in (2, 3, 4):
        await suppress(records, ADMIN, number(line), source="test")
    await grant_override(records, SUPERVISOR, consent("l02"))
    await grant_override(records, SUPERVISOR, consent("l13"))
    await lift(records, ADMIN, number(4), reason="test")
    assert await found(records, state="override", rows_at_once=1) == ["l02", "l13"]
    assert await found(records, state="do-not-call", rows_at_once=1) == ["l03", "l12", "l22", "l23"]
    dialable = [f"l{n:02d}" for n in range(30) if n % 10 not in {2, 3}]
    assert await found(records, state="dialable", rows_at_once=7) == dialable


async def test_an_override_that_ended_or_was_revoked_leaves_the_lead_blocked(records: Records, clock: Clock):
    await add(records, ("a", 1, "a"), ("b", 1, "b"))
    await suppress(records, ADMIN, number(1), source="test")
    await grant_override(records, SUPERVISOR, consent("a", days=1))
    granted = await grant_override(records, SUPERVISOR, consent("b"))
    assert await found(records, state="override") == ["a", "b"]
    clock.move(days=1)
    assert await found(records, state="override") == ["b"]
    await revoke_override(records, ADMIN, granted.override_id, reason="test")
    assert await found(records, state="override") == []
    assert await found(records, state="do-not-call") == ["a", "b"]


def test_a_state_that_is_none_is_any():
    assert wanted("", "haunted", region="US") == LeadFilter()


async def test_the_page_of_a_lead_tells_its_state_its_others_and_what_happened_latest_first(
    records: Records, clock: Clock
):
    await add(records, ("a", 1, "a"), ("b", 1, "b"), ("c", 1, "c"))
    clock.move(minutes=1)
    await wrap_up(records, SUPERVISOR, LeadId("a"), Outcome.DO_NOT_CALL, note="Asked us.")
    clock.move(minutes=1)
    since = {"consented_on": AT.date(), "same_day_reason": "It was signed at noon, after the call."}
    await grant_override(records, SUPERVISOR, replace(consent("a", days=1), **since))
    await grant_override(records, SUPERVISOR, replace(consent("b", days=1), **since))
    page = await lead_page(records.database, LeadId("a"), clock.at)
    assert (page.stand.state, page.on_number, page.others_blocked) == (LeadState.OVERRIDE, 3, 1)
    assert [(other.id, other.stand.state) for other in page.others] == [("b", "override"), ("c", "do-not-call")]
    assert [(item.source, item.by, item.since) for item in page.listings] == [
        ("wrap-up", "supervisor", AT + timedelta(minutes=1))
    ]
    clock.move(days=2)
    page = await lead_page(records.database, LeadId("a"), clock.at)
    assert (page.stand.state, page.consent) == (LeadState.DO_NOT_CALL, None)
    kinds = [entry.kind for entry in page.timeline]
    assert kinds[:2] == ["expired", "override"]
    assert sorted(kinds[2:4]) == ["listed", "wrap-up"]
    assert kinds[4:] == ["lead"]
    with pytest.raises(UnknownLead):
        await lead_page(records.database, LeadId("z"), clock.at)


async def test_a_renewal_ends_the_old_override_at_the_moment_the_new_one_begins(records: Records, clock: Clock):
    await add(records, ("a", 1, "a"))
    await suppress(records, ADMIN, number(1), source="test")
    old = await grant_override(records, SUPERVISOR, consent("a", days=40))
    with pytest.raises(NotYetRenewable, match="last 30 days"):
        await renew_override(records, SUPERVISOR, consent("a"), old.override_id)
    clock.move(days=10)
    new = await renew_override(records, SUPERVISOR, consent("a"), old.override_id)
    first, second = await rows(records, Override)
    assert (first.revoked_at, first.revoked_by) == (second.placed_at, "supervisor") == (clock.at, "supervisor")
    assert second.id == new.override_id
    assert second.revoked_at is None
    with pytest.raises(NothingToRenew):
        await renew_override(records, SUPERVISOR, consent("a"), old.override_id)


async def test_of_two_renewals_at_once_the_second_finds_nothing_to_renew(records: Records):
    await add(records, ("a", 1, "a"))
    await suppress(records, ADMIN, number(1), source="test")
    old = await grant_override(records, SUPERVISOR, consent("a", days=3))
    both = (renew_override(records, SUPERVISOR, consent("a"), old.override_id) for _ in range(2))
    results = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Granted", "NothingToRenew"]
    assert len([row for row in await rows(records, Override) if row.revoked_at is None]) == 1


async def test_names_on_record_before_there_was_a_search_are_folded_by_the_migration(records: Records):
    await add(records, ("a", 1, "ÉCLAIR & Söhne"), ("b", 2, ""))
    await go_back(records.database, "0001")
    await migrate(records.database)
    leads = await rows(records, Lead)
    assert [lead.name_folded for lead in leads] == ["eclair & sohne", ""]
    await add(records, ("c", 3, "new"))
    async with records.database.read() as session:
        spelled = await session.scalars(text("SELECT DISTINCT last_called_at FROM leads"))
        assert len(spelled.all()) == 1
