"""The consent form: it says what the override opens, and refuses incomplete forms with a helpful message."""

import re
from datetime import timedelta

import pytest

from admin_web.record.lead_numbers import LabelledNumber
from admin_web.record.models import Document, Override
from admin_web.services.leads import add_lead, change_lead
from admin_web.services.suppression import lift, suppress
from compliance.consent import ATTESTATION, Role, ends_at
from tests.support.consent import PDF, grant
from tests.support.records import ADMIN, LEAD, NUMBER, OTHER, SECOND, rows
from tests.support.site import Answer, Browser, Site

FORM = "/leads/L-1/override"
CONSENT = {"basis": "signed-consent", "basis_note": "", "consented_on": "2026-01-15", "attestation": ATTESTATION}
FILE = ("consent.pdf", PDF, "application/pdf")
HIDDEN = re.compile(r'<input type="hidden" name="(number|until|replaces)" value="([^"]*)"')


@pytest.fixture
async def listed(site: Site) -> None:
    """Four leads share a listed number."""
    await suppress(site.records, ADMIN, NUMBER, source="test")
    for lead in (LEAD, SECOND, "L-3", "L-4"):
        await add_lead(site.records, ADMIN, lead, NUMBER, f"Lead {lead}")


@pytest.fixture
async def supervisor(site: Site) -> Browser:
    return await site.person(Role.SUPERVISOR)


async def hidden(browser: Browser) -> dict[str, str]:
    """Return the hidden fields: the state of the lead when the form was opened."""
    return dict(HIDDEN.findall(await browser.page(FORM)))


async def send(browser: Browser, file: tuple[str, bytes, str] | None = FILE, **changed: str) -> Answer:
    """Open the form, fill it in as `changed`, and send it."""
    return await browser.upload(FORM, {**await hidden(browser), **CONSENT, **changed}, "document", file)


async def nothing_is_saved(site: Site) -> bool:
    """Return whether a refused form has left no row and no file."""
    kept = [path for path in (site.settings.data_dir / "documents").rglob("*") if path.is_file()]
    return not (await rows(site.records, Override) or await rows(site.records, Document) or kept)


@pytest.mark.usefixtures("listed")
async def test_the_form_says_what_it_opens_and_opens_just_that(site: Site, supervisor: Browser):
    page = await supervisor.page(FORM)
    until = ends_at(site.now())
    assert "this lead only" in page
    assert "3 other leads on this number stay blocked." in page
    assert f">{until.day} {until:%b %Y %H:%M}</time></strong>" in page
    assert ATTESTATION in page
    after = await supervisor.follow(await send(supervisor))
    assert "In force now." in after
    assert "Override active" in after
    (override,), (document,) = await rows(site.records, Override), await rows(site.records, Document)
    assert (override.lead_id, override.number, override.basis) == (LEAD, NUMBER, "signed-consent")
    assert (override.attestation, override.placed_by) == (ATTESTATION, "supervisor")
    assert override.placed_from
    assert abs(override.expires_at - until) < timedelta(minutes=1)
    assert (document.name, document.size) == ("consent.pdf", len(PDF))
    queue = await supervisor.page("/queue")
    assert re.findall(r'<th scope="row"><a href="([^"]+)"', queue) == ["/leads/L-1"]


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(
    ("changed", "file", "sentence"),
    [
        ({}, None, "An override cannot be placed without it."),
        ({}, ("consent.pdf", b"", "application/pdf"), "The document is empty."),
        ({}, ("consent.pdf", b"MZ" + bytes(500), "application/pdf"), "is not a PDF"),
        ({}, ("consent.exe", PDF, "application/pdf"), "Choose a file whose name ends in"),
        ({}, ("consent.pdf", PDF + bytes(200_000), "application/pdf"), "larger than 0.1 MB"),
        ({"attestation": ""}, FILE, "Read the statement and confirm it"),
        ({"attestation": "on"}, FILE, "Read the statement and confirm it"),
        ({"basis": ""}, FILE, "Choose what the consent rests on."),
        ({"basis": "hearsay"}, FILE, "Choose what the consent rests on."),
        ({"basis": "other", "basis_note": "  "}, FILE, "Say what the consent rests on."),
        ({"consented_on": "2126-01-01"}, FILE, "dated in the future"),
        ({"consented_on": "yesterday"}, FILE, "Give the date of the consent"),
        ({"number": OTHER}, FILE, "another number since you opened this form"),
        ({"until": "2126-01-01T00:00:00+00:00"}, FILE, "not later than"),
        ({"basis_note": "x" * 2001}, FILE, "longer than 2000 characters"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_missing_is_refused_with_its_sentence_and_nothing_is_saved(
    site: Site, supervisor: Browser, changed, file, sentence
):
    site.documents.most = 100_000
    answer = await send(supervisor, file, **changed)
    assert answer.status == 422
    assert sentence in answer.text
    assert "Choose the document again" in answer.text
    assert await nothing_is_saved(site)


@pytest.mark.usefixtures("listed")
async def test_what_was_typed_is_kept_when_something_else_is_missing(supervisor: Browser):
    sent = {"basis": "other", "basis_note": "An enquiry by mail", "consented_on": "2026-01-15", "attestation": ""}
    page = (await send(supervisor, **sent)).text
    assert re.search(r'value="other" required checked', page)
    assert "An enquiry by mail</textarea>" in page
    assert 'value="2026-01-15"' in page
    assert 'aria-describedby="attestation-error"' in page


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("role", [Role.AGENT, Role.AUDITOR])
async def test_a_role_that_may_not_override_is_turned_away(site: Site, role: Role):
    browser = await site.person(role)
    assert (await browser.get(FORM)).status == 403
    answer = await browser.upload(FORM, {**CONSENT, "number": NUMBER}, "document", FILE)
    assert answer.status == 403
    assert await nothing_is_saved(site)


async def test_a_lead_that_is_not_listed_has_no_form(site: Site, supervisor: Browser):
    await add_lead(site.records, ADMIN, LEAD, NUMBER)
    answer = await supervisor.get(FORM)
    assert answer.status == 409
    assert "can be called without an override" in answer.text
    sent = await supervisor.upload(FORM, {**CONSENT, "number": NUMBER}, "document", FILE)
    assert sent.status == 409
    assert await nothing_is_saved(site)


@pytest.mark.usefixtures("listed")
async def test_a_form_sent_after_the_number_was_lifted_opens_nothing(site: Site, supervisor: Browser):
    carried = await hidden(supervisor)
    await lift(site.records, ADMIN, NUMBER, reason="test")
    answer = await supervisor.upload(FORM, {**carried, **CONSENT}, "document", FILE)
    assert answer.status == 409
    assert await nothing_is_saved(site)


@pytest.mark.usefixtures("listed")
async def test_a_form_sent_after_the_number_changed_asks_to_look_again(site: Site, supervisor: Browser):
    await suppress(site.records, ADMIN, OTHER, source="test")
    carried = await hidden(supervisor)
    await change_lead(site.records, ADMIN, LEAD, number=OTHER)
    answer = await supervisor.upload(FORM, {**carried, **CONSENT}, "document", FILE)
    assert answer.status == 422
    assert "another number since you opened this form" in answer.text
    assert f'name="number" value="{OTHER}"' in answer.text
    assert await nothing_is_saved(site)


@pytest.mark.usefixtures("listed")
async def test_a_second_override_on_the_lead_is_refused(site: Site, supervisor: Browser):
    carried = await hidden(supervisor)
    await grant(site, LEAD)
    for answer in (
        await supervisor.get(FORM),
        await supervisor.upload(FORM, {**carried, **CONSENT}, "document", FILE),
    ):
        assert answer.status == 409
        assert "holds override 1" in answer.text
    assert len(await rows(site.records, Override)) == 1


@pytest.mark.usefixtures("listed")
async def test_an_override_that_ends_soon_is_renewed_by_a_new_document_without_a_gap(site: Site, supervisor: Browser):
    await grant(site, LEAD, site.now() + timedelta(days=29))
    page = await supervisor.page(FORM)
    assert "Renew the override" in page
    assert "Saving also ends override 1." in page
    await supervisor.follow(await send(supervisor))
    old, new = await rows(site.records, Override)
    assert old.revoked_at == new.placed_at
    assert "override 2 took its place" in old.revoke_reason
    assert new.document_id != old.document_id
    assert "/leads/L-1" in await supervisor.page("/queue")


@pytest.mark.usefixtures("listed")
async def test_a_form_for_a_first_override_renews_nothing_that_somebody_else_placed_meanwhile(
    site: Site, supervisor: Browser
):
    carried = await hidden(supervisor)
    await grant(site, LEAD, site.now() + timedelta(days=2))
    answer = await supervisor.upload(FORM, {**carried, **CONSENT}, "document", FILE)
    assert answer.status == 422
    assert "has changed since you opened this form" in answer.text
    assert 'name="replaces" value="1"' in answer.text
    assert len(await rows(site.records, Override)) == 1


@pytest.mark.usefixtures("listed")
async def test_a_form_without_its_token_keeps_nothing_of_the_file(site: Site, supervisor: Browser):
    sent = {**await hidden(supervisor), **CONSENT}
    answer = await supervisor.upload(FORM, {"csrf": "forged", **sent}, "document", FILE)
    assert answer.status == 403
    assert await nothing_is_saved(site)


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("name", ["../../etc/passwd.pdf", "<img src=x onerror=alert(1)>.pdf"])
async def test_a_hostile_file_name_is_only_shown(site: Site, supervisor: Browser, name: str):
    await supervisor.follow(await send(supervisor, (name, PDF, "application/pdf")))
    (document,) = await rows(site.records, Document)
    assert "/" not in document.name
    assert document.name.isprintable()


@pytest.mark.usefixtures("listed")
async def test_with_redis_away_an_override_is_recorded_and_the_page_says_not_yet_in_force(
    site: Site, supervisor: Browser, redis_server
):
    carried = await hidden(supervisor)
    redis_server.stop()
    after = await supervisor.follow(await supervisor.upload(FORM, {**carried, **CONSENT}, "document", FILE))
    assert "Recorded, not yet in force" in after
    assert len(await rows(site.records, Override)) == 1


async def test_the_form_names_the_number_that_it_opens_and_opens_no_other(site: Site, supervisor: Browser):
    numbers = (LabelledNumber(NUMBER), LabelledNumber(OTHER))
    await add_lead(site.records, ADMIN, LEAD, NUMBER, numbers=numbers)
    for number in (NUMBER, OTHER):
        await suppress(site.records, ADMIN, number, source="test")
    page = await supervisor.page(f"{FORM}?number=%2B{OTHER[1:]}")
    assert "It opens none of the lead's other numbers" in page
    fields = {**dict(HIDDEN.findall(page)), **CONSENT}
    await supervisor.follow(await supervisor.upload(FORM, fields, "document", FILE))
    (override,) = await rows(site.records, Override)
    assert override.number == OTHER
    assert (await hidden(supervisor))["number"] == NUMBER
