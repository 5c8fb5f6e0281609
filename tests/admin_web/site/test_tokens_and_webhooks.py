"""API tokens and webhooks, managed by an admin in the site."""

import html
import re
from datetime import timedelta

import pytest
from aiohttp import ClientSession

from admin_web.people.tokens import Scope, make_token
from admin_web.record.models import ApiToken, AuditEvent, Webhook, WebhookDelivery
from admin_web.services.webhooks import MOST, add_webhook
from admin_web.settings import AdminSettings
from compliance.consent import Role
from tests.support.records import ADMIN, rows
from tests.support.site import Answer, Site

SHOWN = re.compile(r'<p class="said"><code>([^<]+)</code>')
HOOK = "https://crm.example/dnc"


def shown(answer: Answer) -> str:
    """Return the secret that a response shows once."""
    assert answer.status == 200, answer.text[-3000:]
    assert answer.headers["Cache-Control"] == "no-store"
    found = SHOWN.search(answer.text)
    assert found
    return html.unescape(found[1])


async def status_with(site: Site, token: str, path: str = "/api/v1/leads") -> int:
    headers = {"Authorization": f"Bearer {token}"}
    async with ClientSession(headers=headers) as session, session.get(site._server.make_url(path)) as answer:
        return answer.status


async def test_a_token_is_shown_once_opens_what_was_ticked_and_nothing_once_revoked(site: Site):
    admin = await site.person(Role.ADMIN)
    token = shown(await admin.post("/tokens/new", {"name": "crm", "scope-read": "yes"}))
    assert await status_with(site, token) == 200
    assert await status_with(site, token, "/api/v1/numbers/+14155550100") == 403
    listed = await admin.page("/tokens")
    assert token not in listed
    assert ("crm" in listed, ">valid<" in listed) == (True, True)
    answer = await admin.post("/tokens/revoke", {"name": "crm"})
    assert "is revoked and no longer valid" in await admin.follow(answer)
    assert await status_with(site, token) == 401
    assert ">revoked<" in await admin.page("/tokens")
    assert token not in str([event.particulars for event in await rows(site.records, AuditEvent)])


async def test_a_token_is_good_through_its_last_day(site: Site):
    admin, today = await site.person(Role.ADMIN), site.now().date()
    shown(await admin.post("/tokens/new", {"name": "crm", "scope-read": "yes", "last_day": today.isoformat()}))
    (token,) = await rows(site.records, ApiToken)
    assert token.expires_at.date() == today + timedelta(days=1)
    assert token.is_good(token.expires_at - timedelta(seconds=1))
    assert not token.is_good(token.expires_at)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "crm"}, "Choose at least one thing"),
        ({"name": "", "scope-read": "yes"}, "The name"),
        ({"name": "x" * 59, "scope-read": "yes"}, "The name"),
        ({"name": "taken", "scope-read": "yes"}, "There is already a token taken"),
        ({"name": "crm", "scope-read": "yes", "last_day": "2020-01-01"}, "This day is in the past"),
        ({"name": "crm", "scope-read": "yes", "last_day": "2999-01-01"}, "Choose a day within"),
        ({"name": "crm", "scope-read": "yes", "last_day": "tomorrow"}, "Choose a day within"),
        ({"name": "crm", "scope-read": "yes", "addresses": "192.0.2.1/24"}, "has host bits set"),
        ({"name": "crm", "scope-read": "yes", "addresses": "crm.example"}, "Write addresses or networks"),
        ({"name": "crm", "scope-read": "yes", "per_minute": "0"}, "Write a whole number"),
        ({"name": "crm", "scope-read": "yes", "per_minute": "1e3"}, "Write a whole number"),
        ({"name": "crm", "scope-read": "yes", "responsible": "agent"}, "agent is no admin who can sign in"),
        ({"name": "crm", "scope-read": "yes", "responsible": "nobody"}, "nobody is no admin who can sign in"),
    ],
)
async def test_a_token_that_is_not_in_order_is_refused_beside_its_field_and_the_rest_is_kept(
    site: Site, fields: dict[str, str], said: str
):
    await make_token(site.database, ADMIN, "taken", [Scope.READ])
    answer = await (await site.person(Role.ADMIN)).post("/tokens/new", fields)
    assert (answer.status, said in answer.text) == (422, True), answer.text[-3000:]
    assert ('name="scope-read" value="yes" checked' in answer.text) == ("scope-read" in fields)
    assert len(await rows(site.records, ApiToken)) == 1


async def test_yesterday_is_no_last_day(site: Site):
    yesterday = (site.now() - timedelta(days=1)).date().isoformat()
    fields = {"name": "crm", "scope-read": "yes", "last_day": yesterday}
    answer = await (await site.person(Role.ADMIN)).post("/tokens/new", fields)
    assert "This day is in the past" in answer.text


async def test_a_token_that_is_unknown_is_told(site: Site):
    admin = await site.person(Role.ADMIN)
    assert "There is no token nobody" in await admin.follow(await admin.post("/tokens/revoke", {"name": "nobody"}))


async def test_a_webhook_is_added_tried_looked_at_and_turned_off(site: Site):
    admin = await site.person(Role.ADMIN)
    secret = shown(await admin.post("/webhooks/new", {"url": HOOK, "event-suppress": "yes", "event-expiry": "yes"}))
    (webhook,) = await rows(site.records, Webhook)
    assert (webhook.url, webhook.events, webhook.secret) == (HOOK, ["expiry", "suppress"], secret)
    tried = await admin.follow(await admin.post(f"/webhooks/{webhook.id}/test"))
    assert ("A test event is on its way" in tried, ">pending<" in tried) == (True, True)
    off = await admin.follow(await admin.post(f"/webhooks/{webhook.id}/disable"))
    assert ("The webhook is off." in off, ">failed<" in off) == (True, True)
    for page in (tried, off, await admin.page("/webhooks")):
        assert secret not in page
    (delivery,) = await rows(site.records, WebhookDelivery)
    assert delivery.given_up_at is not None
    assert (await admin.post(f"/webhooks/{webhook.id}/test")).status == 404


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"url": HOOK}, "Choose at least one event."),
        ({"url": "", "event-lift": "yes"}, "url-error"),
        ({"url": "http://crm.example/", "event-lift": "yes"}, "url-error"),
        ({"url": "https://127.0.0.1/", "event-lift": "yes"}, "url-error"),
        ({"url": "javascript:alert(1)", "event-lift": "yes"}, "url-error"),
    ],
)
async def test_a_webhook_that_is_not_in_order_is_refused(site: Site, fields: dict[str, str], said: str):
    answer = await (await site.person(Role.ADMIN)).post("/webhooks/new", fields)
    assert (answer.status, said in answer.text) == (422, True), answer.text[-3000:]
    assert await rows(site.records, Webhook) == []


async def test_one_webhook_too_many_is_refused_with_what_to_do(site: Site):
    settings = AdminSettings(webhook_private=True)
    for _ in range(MOST):
        await add_webhook(site.records, ADMIN, settings, HOOK, ["lift"])
    answer = await (await site.person(Role.ADMIN)).post("/webhooks/new", {"url": HOOK, "event-lift": "yes"})
    assert (answer.status, "Disable one first" in answer.text) == (422, True)


async def test_a_webhook_that_is_not_there_is_told(site: Site):
    assert (await (await site.person(Role.ADMIN)).get("/webhooks/7")).status == 404


async def test_an_address_that_holds_markup_is_shown_as_text(site: Site):
    admin = await site.person(Role.ADMIN)
    url = "https://crm.example/?<script>alert(1)</script>"
    answer = await admin.post("/webhooks/new", {"url": url, "event-lift": "yes"})
    for page in (answer.text, await admin.page("/webhooks")):
        assert "<script>alert(1)" not in page
