"""A number that a registry cannot check is blocked if its terms say so, and an override opens a lead on it."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from admin_web.record.models import Registry, RegistryExchange, RegistryVersion
from admin_web.services.leads import add_lead
from admin_web.services.registries import EditedTerms, add_registry, set_terms
from admin_web.services.suppression import suppress
from compliance.consent import ATTESTATION, Role
from compliance.openable import NotSuppressed
from compliance.redis_schema import exchange_and_line
from tests.support.consent import PDF, grant
from tests.support.records import ADMIN, LEAD, NUMBER, SECOND
from tests.support.site import Site

BLOCKING, PASSING = EditedTerms(when_uncovered="block"), EditedTerms(when_uncovered="pass", when_stale="warn")
UNCOVERED, STALE = "us-ftc should cover the number and was never imported for it", "the copy of us-ftc is too old"
HIDDEN = re.compile(r'<input type="hidden" name="(number|until|replaces)" value="([^"]*)"')


@pytest.fixture(autouse=True)
async def leads(site: Site) -> None:
    for lead in (LEAD, SECOND):
        await add_lead(site.records, ADMIN, lead, NUMBER, f"Lead {lead}")


async def an_old_copy(site: Site, terms: EditedTerms) -> None:
    """Insert a version of the registry that is forty days old and has no number in its area code."""
    await add_registry(site.records, ADMIN, "us-ftc", "", terms)
    async with site.database.write() as session:
        version = RegistryVersion(
            registry_name="us-ftc", obtained_at=site.now() - timedelta(days=40), file_name="f", file_sha256="0" * 64,
            area_codes=["415"], imported_at=site.now(), imported_by="t", whole_at=site.now(),
        )  # fmt: skip
        session.add(version)
        await session.flush()
        (await session.get_one(Registry, "us-ftc")).version_in_force_id = version.id


async def never_imported(site: Site, terms: EditedTerms) -> None:
    """Add a registry without any version."""
    await add_registry(site.records, ADMIN, "us-ftc", "", terms)


WAYS = [(never_imported, UNCOVERED), (an_old_copy, STALE)]


@pytest.mark.parametrize(("holding", "why"), WAYS)
async def test_such_a_lead_is_blocked_says_why_and_is_opened_by_an_override_of_its_own(site: Site, holding, why):
    await holding(site, BLOCKING)
    supervisor = await site.person(Role.SUPERVISOR)
    before = await supervisor.page("/leads/L-1")
    assert "This lead may not be called." in before
    assert why in before
    assert "on none of the lists that could be checked" in before
    form = await supervisor.page("/leads/L-1/override")
    assert f"It is blocked because one list could not be checked: {why}." in form
    assert "1 other lead on this number stays blocked." in form
    consent = {"basis": "signed-consent", "basis_note": "", "consented_on": "2026-01-15", "attestation": ATTESTATION}
    sent = await supervisor.upload(
        "/leads/L-1/override", dict(HIDDEN.findall(form)) | consent, "document", ("c.pdf", PDF, "application/pdf")
    )
    after = await supervisor.follow(sent)
    assert "Override active" in after
    assert "It is unknown whether its number is listed" in after
    assert why in after
    assert "This lead may not be called." in await supervisor.page("/leads/L-2")


@pytest.mark.parametrize(("holding", "why"), WAYS)
async def test_where_calls_pass_all_the_same_the_pages_say_so_and_there_is_nothing_to_open(site: Site, holding, why):
    await holding(site, PASSING)
    supervisor, admin = await site.person(Role.SUPERVISOR), await site.person(Role.ADMIN)
    page = await supervisor.page("/leads/L-1")
    assert "This lead may be called." in page
    assert f"{why}. By the terms of that registry, calls pass." in page
    assert "without an override" in (await supervisor.get("/leads/L-1/override")).text
    with pytest.raises(NotSuppressed, match="is on no list that blocks it"):
        await grant(site, LEAD)
    number = await admin.page(f"/lists/numbers/{NUMBER}")
    assert ("not checked" in number, "on no list<" in number, why in number) == (True, False, True)
    assert "By the terms of that registry, calls to it pass." in number


@pytest.mark.parametrize(("holding", "why"), WAYS)
async def test_the_page_of_the_number_says_that_it_is_blocked_and_that_lifting_would_not_open_it(
    site: Site, holding, why
):
    await holding(site, BLOCKING)
    admin = await site.person(Role.ADMIN)
    page = await admin.page(f"/lists/numbers/{NUMBER}")
    assert why in page
    assert "Calls to it are blocked, except for leads with an override." in page
    await suppress(site.records, ADMIN, NUMBER, source="test")
    page = await admin.page(f"/lists/numbers/{NUMBER}")
    assert why not in page
    assert "The number stays blocked:" in page
    assert "The number stays blocked all the same:" in await admin.page("/leads/L-1/lift")
    await set_terms(site.records, ADMIN, "us-ftc", PASSING)
    assert "Lifting opens 2 leads" in await admin.page(f"/lists/numbers/{NUMBER}")
    assert "All 2 leads on this number can be called again at once." in await admin.page("/leads/L-1/lift")


async def test_an_override_on_such_a_number_is_renewed_and_its_page_says_what_revoking_does(site: Site):
    await never_imported(site, BLOCKING)
    granted = await grant(site, LEAD, site.now() + timedelta(days=9))
    supervisor, admin = await site.person(Role.SUPERVISOR), await site.person(Role.ADMIN)
    assert "Renew the override" in await supervisor.page("/leads/L-1")
    page = await admin.page(f"/monitor/{granted.override_id}")
    assert ("not checked" in page, "blocked from the next call on" in page) == (True, True)
    await set_terms(site.records, ADMIN, "us-ftc", PASSING)
    assert "it has no effect while the number is not blocked" in await supervisor.page("/leads/L-1")
    page = await admin.page(f"/monitor/{granted.override_id}")
    assert "can be dialled without an override" in page


async def test_the_page_of_a_lead_names_the_campaigns_that_its_registry_spares(site: Site):
    await an_old_copy(site, replace(PASSING, spared=("service", "surveys")))
    exchange, line = exchange_and_line(NUMBER)
    async with site.database.write() as session:
        version = (await session.get_one(Registry, "us-ftc")).version_in_force_id
        session.add(RegistryExchange(version_id=version, exchange=exchange, lines=line.to_bytes(2, "big")))
    page = await (await site.person(Role.AGENT)).page("/leads/L-1")
    assert "This lead may not be called." in page
    assert "does not apply to calls of the campaigns service, surveys" in page


async def test_the_queue_offers_what_passes_unchecked_and_says_so(site: Site):
    await never_imported(site, PASSING)
    await site.projection.rebuild()
    agent = await site.person(Role.AGENT)
    queue = await agent.page("/queue")
    assert ("not checked" in queue, ">on no list<" in queue, UNCOVERED in queue) == (True, False, True)
    await set_terms(site.records, ADMIN, "us-ftc", BLOCKING)
    assert "/leads/L-1" not in await agent.page("/queue")
    await grant(site, LEAD)
    queue = await agent.page("/queue")
    assert ("/leads/L-1" in queue, "override 1" in queue, "/leads/L-2" in queue) == (True, True, False)
