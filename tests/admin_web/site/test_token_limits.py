"""The limits of API tokens: who answers for them, their end, where they come from, and how often."""

from datetime import timedelta

import pytest
from aiohttp import ClientSession
from sqlalchemy import select, update

from admin_web.api.quotas import Quotas
from admin_web.people.accounts import add_user
from admin_web.people.tokens import (
    LONGEST_LIFE,
    USUAL_LIFE,
    USUAL_PER_MINUTE,
    NotResponsible,
    Scope,
    TokenTerms,
    make_token,
    only_admin,
    tokens,
)
from admin_web.record.models import ApiToken, AuditEvent
from compliance.consent import Role
from compliance.refusal import Unwritable
from tests.support.api import Answered
from tests.support.records import ADMIN, AT
from tests.support.site import PASSWORD, Site, settings_of

READ = [Scope.READ]


async def ask(site: Site, token: str, **headers: str) -> Answered:
    sent = {"Authorization": f"Bearer {token}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with ClientSession() as session, session.get(site._server.make_url("/api/v1/leads"), headers=sent) as answer:
        return Answered(answer.status, answer.headers, await answer.text())


@pytest.fixture
async def proxied(database_url, redis_server, tmp_path):
    async with Site(settings_of(database_url, redis_server.url, tmp_path / "data", web_proxies="127.0.0.1")) as site:
        yield site


def forwarded(address: str) -> dict[str, str]:
    return {"X_Forwarded_For": address, "X_Forwarded_Proto": "https", "X_Forwarded_Host": "dnc.example"}


@pytest.mark.parametrize(
    ("networks", "address", "status"),
    [
        ("192.0.2.7", "192.0.2.7", 200),
        ("192.0.2.7", "192.0.2.8", 403),
        ("192.0.2.0/24, 2001:db8::/48", "192.0.2.200", 200),
        ("192.0.2.0/24, 2001:db8::/48", "2001:db8:0:1::7", 200),
        ("192.0.2.0/24, 2001:db8::/48", "2001:db8:1::7", 403),
        ("192.0.2.0/24", "::ffff:192.0.2.7", 200),
        ("127.0.0.1", "192.0.2.7", 403),
        ("", "192.0.2.7", 200),
    ],
)
async def test_a_token_works_only_from_its_addresses_as_the_trusted_proxy_reports_them(
    proxied: Site, networks: str, address: str, status: int
):
    token = await make_token(proxied.database, ADMIN, "crm", READ, TokenTerms(addresses=networks))
    answer = await ask(proxied, token, **forwarded(address))
    assert answer.status == status
    if status == 403:
        assert answer.problem == "forbidden"
        assert answer.json["detail"].startswith("This token may not be used from your address")


async def test_nobody_claims_an_address_of_a_token_without_a_trusted_proxy(site: Site):
    token = await make_token(site.database, ADMIN, "crm", READ, TokenTerms(addresses="192.0.2.7"))
    assert (await ask(site, token, **forwarded("192.0.2.7"))).status == 403


@pytest.mark.parametrize("headers", [{}, forwarded("192.0.2.7")], ids=["direct", "behind-a-proxy"])
async def test_each_response_says_what_is_left_and_too_many_requests_are_refused(
    proxied: Site, headers: dict[str, str]
):
    token = await make_token(proxied.database, ADMIN, "crm", READ, TokenTerms(per_minute=2))
    other = await make_token(proxied.database, ADMIN, "dialer", READ)
    answers = [await ask(proxied, token, **headers) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.headers["RateLimit"].split(";")[1] for answer in answers] == ["r=1", "r=0", "r=0"]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"token";q=2;w=60'}
    assert answers[2].problem == "too-many-requests"
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 30
    assert (await ask(proxied, other, **headers)).headers["RateLimit-Policy"] == f'"token";q={USUAL_PER_MINUTE};w=60'
    assert "RateLimit" not in (await ask(proxied, "dnc_" + "x" * 43, **headers)).headers


@pytest.mark.parametrize("headers", [{}, {"X-Forwarded-For": "192.0.2.7"}], ids=["direct", "behind-a-proxy"])
async def test_a_streamed_response_says_what_is_left_too(proxied: Site, headers: dict[str, str]):
    token = await make_token(proxied.database, ADMIN, "crm", [Scope.SCRUB], TokenTerms(per_minute=2))
    sent = {"Authorization": f"Bearer {token}", "Content-Type": "text/plain", **headers}
    url = proxied._server.make_url("/api/v1/scrub")
    async with ClientSession() as session, session.post(url, headers=sent, data=b"4155550100\n") as answer:
        assert (answer.status, answer.headers["RateLimit"].split(";")[1]) == (200, "r=1")


def test_a_quota_comes_back_over_a_minute_and_a_clock_set_back_takes_nothing():
    quotas, at = Quotas(), AT
    assert [quotas.take(1, 60, at).allowed for _ in range(61)] == [True] * 60 + [False]
    assert quotas.take(2, 60, at).allowed
    assert quotas.take(1, 60, at).retry_after_s == 1
    assert [quotas.take(1, 60, at + timedelta(seconds=2)).allowed for _ in range(3)] == [True, True, False]
    assert not quotas.take(1, 60, at).allowed
    assert quotas.take(1, 60, at + timedelta(hours=1)).left == 59


async def test_a_new_token_ends_within_a_year_and_never_later_than_the_longest_life(records):
    await make_token(records.database, ADMIN, "crm", READ)
    (row,) = await tokens(records.database)
    assert row.token.expires_at - row.token.created_at == USUAL_LIFE <= timedelta(days=366)
    for end in (row.token.created_at + LONGEST_LIFE + timedelta(days=1), AT.replace(year=9999), row.token.created_at):
        with pytest.raises(Unwritable, match="end of a token"):
            await make_token(records.database, ADMIN, "late", READ, TokenTerms(end))


async def test_tokens_of_before_the_upgrade_go_on_and_are_shown_without_an_end_or_a_person(site: Site):
    token = await make_token(site.database, ADMIN, "crm", READ)
    async with site.database.write() as session:
        await session.execute(update(ApiToken).values(expires_at=None, responsible=None, per_minute=None))
    assert (await ask(site, token)).status == 200
    page = await (await site.person(Role.ADMIN)).page("/tokens")
    assert (">no end<" in page, ">nobody<" in page, ">valid<" in page) == (True, True, True)


async def test_whoever_makes_a_token_is_responsible_unless_they_name_another_admin(site: Site):
    await add_user(site.database, ADMIN, "second", Role.ADMIN, PASSWORD)
    admin = await site.person(Role.ADMIN)
    await admin.post("/tokens/new", {"name": "one", "scope-read": "yes"})
    await admin.post("/tokens/new", {"name": "two", "scope-read": "yes", "responsible": "second"})
    assert {row.token.name: row.token.responsible for row in await tokens(site.database)} == {
        "one": "admin",
        "two": "second",
    }


@pytest.mark.parametrize("way", ["disabled", "demoted"])
async def test_the_tokens_of_an_admin_who_goes_are_offered_for_revocation_and_go_on_until_then(site: Site, way: str):
    await add_user(site.database, ADMIN, "second", Role.ADMIN, PASSWORD)
    token = await make_token(site.database, ADMIN, "crm", READ, TokenTerms(responsible="second"))
    kept = await make_token(site.database, ADMIN, "dialer", READ, TokenTerms(responsible="second"))
    admin = await site.person(Role.ADMIN)
    assert "no longer an admin" not in await admin.page("/tokens")
    fields = {"role": "supervisor", "extension": ""}
    gone = await admin.post("/users/second/disable") if way == "disabled" else await admin.post("/users/second", fields)
    page = await admin.follow(gone)
    assert "These API tokens go on until you revoke them or hand them over: crm, dialer." in page
    assert "nobody answers for them" in page
    assert (await ask(site, token)).status == 200
    assert "no longer an admin" in await admin.page("/tokens")
    await admin.post("/tokens/assign", {"name": "dialer", "responsible": "admin"})
    assert "Revoked: crm." in await admin.follow(await admin.post("/users/second/tokens"))
    assert [(await ask(site, one)).status for one in (token, kept)] == [401, 200]
    assert "no longer an admin" not in await admin.page("/tokens")
    assert "There was no token to revoke." in await admin.follow(await admin.post("/users/second/tokens"))


async def test_an_admin_who_stays_one_keeps_their_tokens_without_a_word(site: Site):
    await make_token(site.database, ADMIN, "crm", READ, TokenTerms(responsible="admin"))
    admin = await site.person(Role.ADMIN)
    saved = await admin.post("/users/admin", {"role": "admin", "extension": "9"})
    assert "go on until" not in await admin.follow(saved)


@pytest.mark.parametrize("person", ["agent", "supervisor", "auditor", "nobody", ""])
async def test_a_token_is_handed_over_to_an_admin_only(site: Site, person: str):
    await make_token(site.database, ADMIN, "crm", READ, TokenTerms(responsible="admin"))
    admin = await site.person(Role.ADMIN)
    answer = await admin.post("/tokens/assign", {"name": "crm", "responsible": person})
    assert "is no admin" in await admin.follow(answer)
    assert [row.token.responsible for row in await tokens(site.database)] == ["admin"]


async def test_the_shell_names_the_only_admin_and_asks_which_one_if_there_are_several(site: Site):
    assert await only_admin(site.database) == "admin"
    await add_user(site.database, ADMIN, "second", Role.ADMIN, PASSWORD)
    with pytest.raises(NotResponsible, match="Say which admin"):
        await only_admin(site.database)


async def test_refused_tokens_are_on_record_without_the_token(site: Site):
    token = await make_token(site.database, ADMIN, "crm", [Scope.SUPPRESS], TokenTerms(per_minute=1))
    away = await make_token(site.database, ADMIN, "away", READ, TokenTerms(addresses="192.0.2.7"))
    for sent in (token, token, away, "dnc_" + "x" * 43):
        await ask(site, sent)
    async with site.database.read() as session:
        refused = select(AuditEvent).where(AuditEvent.action != "make-token")
        found = await session.scalars(refused.order_by(AuditEvent.id))
        events = [(event.action, event.subject_id, event.done_by) for event in found]
    assert events == [
        ("forbidden", "crm", "token:crm"),
        ("throttled", "crm", "token:crm"),
        ("token-refused", "away", "token:away"),
        ("token-refused", "", ""),
    ]
