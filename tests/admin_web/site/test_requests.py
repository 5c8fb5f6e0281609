"""Requests not to be called in the browser: recorded, compared with the consent, contested, kept, withdrawn."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from admin_web.record.models import DoNotCallRequest, Override
from admin_web.services.leads import add_lead
from admin_web.services.requests import record_request
from admin_web.services.suppression import suppress
from compliance.consent import ATTESTATION, Role
from lab.redis import RedisServer
from tests.support.consent import PDF, grant
from tests.support.projection import GateView
from tests.support.records import ADMIN, LEAD, NUMBER, SECOND, rows
from tests.support.samples import PDF as SIGNED_PDF
from tests.support.samples import PNG
from tests.support.site import Answer, Browser, Site

FILE = ("consent.pdf", PDF, "application/pdf")
FORM = "/leads/L-1/override"


@pytest.fixture
async def shared(site: Site) -> None:
    """Two leads on one number that an import has listed."""
    await add_lead(site.records, ADMIN, LEAD, NUMBER)
    await add_lead(site.records, ADMIN, SECOND, NUMBER)
    await suppress(site.records, ADMIN, NUMBER, source="import")


async def send(site: Site, browser: Browser, days: int, file: tuple[str, bytes, str] = FILE, **fields: str) -> Answer:
    """Send the consent form with a consent that is dated so many days from today."""
    consented_on = site.records.today() + timedelta(days=days)
    sent = {
        "number": NUMBER, "until": "", "replaces": "", "basis": "signed-consent", "basis_note": "",
        "consented_on": consented_on.isoformat(), "attestation": ATTESTATION, **fields,
    }  # fmt: skip
    return await browser.upload(FORM, sent, "document", file)


@pytest.mark.usefixtures("shared")
async def test_a_request_on_the_list_page_ends_every_override_on_the_number_at_the_gate(
    site: Site, redis_server: RedisServer
):
    await grant(site, LEAD)
    await grant(site, SECOND)
    gate, agent = GateView(redis_server), await site.person(Role.AGENT)
    await site.projection.renew_lease()
    assert gate.allows(NUMBER, LEAD)
    page = await agent.follow(await agent.post("/lists/add", {"number": NUMBER, "note": "asked by letter"}))
    assert "was already on the list; the request is recorded." in page
    assert "The request ended overrides 1, 2." in page
    assert "In force now." in page
    assert "asked by letter" in page
    assert not gate.allows(NUMBER, LEAD)
    assert not gate.allows(NUMBER, SECOND)
    gate.redis.close()


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("day", ["2999-01-01", "1900-01-01", "yesterday"])
async def test_a_request_with_an_impossible_day_is_refused_beside_its_field(site: Site, day: str):
    agent = await site.person(Role.AGENT)
    answer = await agent.post("/lists/add", {"number": NUMBER, "asked_on": day})
    assert answer.status == 422
    assert 'id="asked_on-error"' in answer.text
    assert await rows(site.records, DoNotCallRequest) == []


@pytest.mark.usefixtures("shared")
async def test_the_form_shows_the_dates_side_by_side_and_refuses_an_older_consent(site: Site):
    await record_request(site.records, ADMIN, NUMBER, source="ivr")
    supervisor, today = await site.person(Role.SUPERVISOR), site.records.today()
    page = await supervisor.page(FORM)
    assert "Newest request not to be called" in page
    assert f"{today.day} {today:%b %Y}" in page
    answer = await send(site, supervisor, -1)
    assert (answer.status, "asked on" in answer.text, "is older, so it opens nothing" in answer.text) == (
        422,
        True,
        True,
    )
    answer = await send(site, supervisor, 0)
    assert "Say how you know that the consent is the later one" in answer.text
    assert await rows(site.records, Override) == []
    assert (await send(site, supervisor, 0, same_day_reason="Signed at six, in the shop.")).status == 303
    admin = await site.person(Role.ADMIN)
    assert "Signed at six, in the shop." in await admin.page("/monitor/1")


def words_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


@pytest.mark.usefixtures("shared")
async def test_the_days_of_request_entry_and_consent_stand_side_by_side_on_every_page_that_judges(site: Site):
    today = site.records.today()
    asked, consented = (f"{day.day} {day:%b %Y}" for day in (today - timedelta(days=5), today - timedelta(days=2)))
    listed = f"{today.day} {today:%b %Y} [0-9:]+"
    await record_request(site.records, ADMIN, NUMBER, source="ivr", asked_on=today - timedelta(days=5))
    supervisor, admin = await site.person(Role.SUPERVISOR), await site.person(Role.ADMIN)
    form = words_of(await supervisor.page(FORM))
    assert re.search(f"Newest request not to be called {asked} On the company's own list since {listed}", form)
    assert (await send(site, supervisor, -2)).status == 303
    assert re.search(f"consent {consented} request {asked} listed {listed}", words_of(await admin.page("/monitor")))
    review = f"Date of consent {consented} Newest request not to be called {asked} .*own list since {listed}"
    assert re.search(review, words_of(await admin.page("/monitor/1")))


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(
    ("name", "content", "kind", "shown"),
    [
        ("consent.pdf", SIGNED_PDF, "application/pdf", "application/pdf, .* Bytes, 1 page"),
        ("consent.png", PNG, "image/png", "image/png, [0-9]+ Bytes, 1 × 1 pixels"),
    ],
)
async def test_the_review_page_shows_the_pages_or_the_pixels_of_the_document(
    site: Site, name: str, content: bytes, kind: str, shown: str
):
    assert (await send(site, await site.person(Role.SUPERVISOR), -1, (name, content, kind))).status == 303
    page = words_of(await (await site.person(Role.ADMIN)).page("/monitor/1"))
    assert re.search(shown, page)


@pytest.mark.usefixtures("shared")
async def test_the_details_of_a_consent_are_kept_and_shown(site: Site):
    details = {
        "seller": "Northwind <Traders>", "purpose": "offers", "request_shown": "May we call you?",
        "signature": "by hand",
    }  # fmt: skip
    assert (await send(site, await site.person(Role.SUPERVISOR), -1, **details)).status == 303
    page = await (await site.person(Role.ADMIN)).page("/monitor/1")
    for shown in ("Northwind &lt;Traders&gt;", "offers", "May we call you?", "by hand"):
        assert shown in page


def shown_request(page: str) -> str:
    """Return the id of the request that the form to keep an override shows."""
    found = re.search(r'name="request" value="(\d+)"', page)
    assert found, "the form names no request"
    return found[1]


@pytest.mark.usefixtures("shared")
async def test_an_override_of_another_lead_waits_in_the_monitor_until_an_admin_keeps_it(site: Site):
    await grant(site, LEAD)
    await record_request(site.records, ADMIN, NUMBER, source="api", lead=SECOND)
    admin = await site.person(Role.ADMIN)
    assert 'href="/monitor/1"' in await admin.page("/monitor?shown=contested")
    page = await admin.page("/monitor/1")
    assert "Keep this override" in page
    assert "The last request on record is request 1 of " in page
    seen = shown_request(page)
    answer = await admin.post("/monitor/1/keep", {"keep_reason": "", "request": seen})
    assert answer.status == 422
    await record_request(site.records, ADMIN, NUMBER, source="sms", lead=SECOND)
    reason = {"keep_reason": "Her husband asked, for himself."}
    late = await admin.post("/monitor/1/keep", {**reason, "request": seen})
    assert (late.status, "Request 2, of " in late.text) == (409, True)
    page = await admin.follow(await admin.post("/monitor/1/keep", {**reason, "request": shown_request(late.text)}))
    assert "Override 1 is kept." in page
    assert "Her husband asked, for himself." in page
    assert "Keep this override" not in page
    assert 'href="/monitor/1"' not in await admin.page("/monitor?shown=contested")
    again = await admin.post("/monitor/1/keep", {"keep_reason": "again", "request": "2"})
    assert (again.status, "Nobody has asked" in again.text) == (409, True)


@pytest.mark.usefixtures("shared")
async def test_an_admin_opens_again_what_a_request_by_number_ended(site: Site):
    await grant(site, LEAD)
    await record_request(site.records, ADMIN, NUMBER, source="ivr")
    admin = await site.person(Role.ADMIN)
    assert "which ended this override" in await admin.page("/monitor/1")
    kept = {"keep_reason": "It was the neighbour.", "request": shown_request(await admin.page("/monitor/1"))}
    page = await admin.follow(await admin.post("/monitor/1/keep", kept))
    assert "is kept and opens its lead again. In force now." in page


@pytest.mark.usefixtures("shared")
async def test_an_admin_withdraws_a_request_on_the_page_of_its_number(site: Site):
    done = await record_request(site.records, ADMIN, NUMBER, source="ivr")
    admin, path = await site.person(Role.ADMIN), f"/lists/numbers/{NUMBER}"
    assert "Withdraw this request" in await admin.page(path)
    for request, reason in ((str(done.request_id), ""), ("999", "x"), ("x", "x")):
        answer = await admin.post(f"{path}/withdraw", {"request": request, "withdraw_reason": reason})
        assert answer.status == 422
    sent = {"request": str(done.request_id), "withdraw_reason": "It was a bought list."}
    page = await admin.follow(await admin.post(f"{path}/withdraw", sent))
    assert "It was a bought list." in page
    assert "Withdraw this request" not in page
    supervisor = await site.person(Role.SUPERVISOR)
    assert (await supervisor.post(f"{path}/withdraw", sent)).status == 403


@pytest.mark.usefixtures("shared")
async def test_who_placed_an_override_is_told_who_can_review_it(site: Site):
    admin = await site.person(Role.ADMIN)
    assert (await send(site, admin, -1)).status == 303
    page = await admin.page("/monitor/1")
    assert "You placed this override, so another admin must review it." in page
    assert "There is no other admin: add a second one under Users." in page
    assert "Mark as reviewed" not in page
    answer = await admin.post("/monitor/1/review", {"state": "active"})
    assert (answer.status, "another admin must review it" in answer.text) == (409, True)


@pytest.mark.usefixtures("shared")
async def test_where_a_review_comes_first_the_site_says_so_at_each_step(site: Site, redis_server: RedisServer):
    rules = replace(site.records.rules, reviewed_first=True)
    object.__setattr__(site.records, "rules", rules)
    gate, supervisor = GateView(redis_server), await site.person(Role.SUPERVISOR)
    await site.projection.renew_lease()
    after = await supervisor.follow(await send(site, supervisor, -1))
    assert "It opens this lead once an admin has reviewed it." in after
    assert not gate.allows(NUMBER, LEAD)
    admin = await site.person(Role.ADMIN)
    assert "Not in force before its review" in await admin.page("/monitor/1")
    page = await admin.follow(await admin.post("/monitor/1/review", {"state": "held"}))
    assert "is marked as reviewed. In force now." in page
    assert gate.allows(NUMBER, LEAD)
    gate.redis.close()


@pytest.mark.usefixtures("shared")
async def test_the_same_file_under_another_lead_is_shown(site: Site):
    await grant(site, LEAD)
    await grant(site, SECOND)
    page = await (await site.person(Role.ADMIN)).page("/monitor/1")
    assert "The same file" in page
    assert 'href="/monitor/2"' in page


async def test_the_enforcement_page_shows_the_policy_in_force(site: Site):
    page = await (await site.person(Role.AUDITOR)).page("/enforcement")
    assert "as-documented" in page
    assert "the person&#39;s own request, if the consent is newer" in page
