"""Signing in and out over HTTP: who can sign in, how long sessions last, and requests refused before any view."""

import asyncio
import re
import threading

import pytest
from sqlalchemy import select

from admin_web.people import totp
from admin_web.people.accounts import set_password
from admin_web.people.sessions import IDLE, LIFE
from admin_web.record.database import Database, DatabaseUnavailable
from admin_web.record.models import AuditEvent, SignInSession, User
from compliance.consent import Role
from tests.support.records import ADMIN, Clock
from tests.support.site import PASSWORD, Site, password_hash, settings_of


@pytest.fixture
async def timed_site(database_url, redis_server, tmp_path):
    clock = Clock()
    async with Site(settings_of(database_url, redis_server.url, tmp_path / "data"), clock) as site:
        site.clock = clock
        yield site


async def signed_in(browser) -> bool:
    return (await browser.get("/sign-in")).status == 303


async def actions(site: Site) -> list[str]:
    async with site.database.read() as session:
        return list(await session.scalars(select(AuditEvent.action).order_by(AuditEvent.id)))


async def test_the_right_password_opens_a_session_and_signing_out_ends_it_on_the_server(site: Site):
    browser = site.browser()
    assert (await browser.sign_in("agent")).location == "/"
    assert await signed_in(browser)
    kept = browser.cookie()
    await browser.post("/sign-out")
    browser.use_cookie(kept)
    assert not await signed_in(browser)
    assert await actions(site) == ["sign-in", "sign-out"]


async def test_a_session_cookie_is_out_of_reach_of_scripts_and_other_sites(site: Site):
    answer = await site.browser().sign_in("agent")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


async def test_what_is_on_record_of_a_session_opens_none(site: Site):
    browser = await site.person("agent")
    async with site.database.read() as session:
        (kept,) = await session.scalars(select(SignInSession.token_hash))
    thief = site.browser()
    thief.use_cookie(kept)
    assert kept != browser.cookie()
    assert not await signed_in(thief)


async def test_behind_a_trusted_proxy_with_https_the_cookie_is_held_to_the_host(database_url, redis_server, tmp_path):
    settings = settings_of(database_url, redis_server.url, tmp_path / "data", web_proxies="127.0.0.1")
    async with Site(settings) as site:
        browser = site.browser()
        headers = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "dnc.example"}
        sent = {"name": "agent", "password": PASSWORD}
        answer = await browser.post("/sign-in", sent, **headers, Origin="https://dnc.example")
        assert answer.headers["Set-Cookie"].startswith("__Host-dnc_session=")
        assert "Secure" in answer.headers["Set-Cookie"]
        async with site.database.read() as session:
            assert (await session.scalars(select(SignInSession.address))).all() == ["192.0.2.1"]


@pytest.mark.parametrize(("path", "prefix"), [("", "__Host-"), ("/dnc", "__Secure-")])
async def test_over_https_no_cookie_can_be_set_by_another_host(database_url, redis_server, tmp_path, path, prefix):
    proxied = {"web_proxies": "127.0.0.1", "web_prefix": path}
    settings = settings_of(database_url, redis_server.url, tmp_path / "data", **proxied)
    async with Site(settings) as site:
        browser = site.browser()
        headers = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "dnc.example"}
        origin = {**headers, "Origin": "https://dnc.example"}
        answer = await browser.post(f"{path}/sign-in", {"name": "agent", "password": PASSWORD}, **origin)
        given = answer.headers.getall("Set-Cookie")
        cookies = "; ".join(cookie.partition(";")[0] for cookie in given)
        page = await browser.get(f"{path}/account", **headers, Cookie=cookies)
        own = "four-words-of-ones-own"
        csrf = re.findall(r'name="csrf" value="([^"]+)"', page.text)[0]
        change = {"present": PASSWORD, "new": own, "again": own, "csrf": csrf}
        told = await browser.post(f"{path}/account/password", change, **origin, Cookie=cookies)
        notice, known = told.headers.getall("Set-Cookie")
        shown = await browser.get(f"{path}/account", **headers, Cookie=f"{cookies}; {notice.partition(';')[0]}")
    assert "password is changed" in shown.text
    for cookie in (*given, notice, known, shown.headers["Set-Cookie"]):
        assert cookie.startswith(prefix)
        assert {"Secure", f"Path={path or '/'}"} <= {part.strip() for part in cookie.split(";")}


async def test_forwarded_headers_of_anybody_else_are_not_believed(site: Site):
    browser = site.browser()
    await browser.post("/sign-in", {"name": "agent", "password": PASSWORD}, **{"X-Forwarded-For": "192.0.2.1"})
    async with site.database.read() as session:
        assert (await session.scalars(select(SignInSession.address))).all() == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("name", "password"), [("agent", "wrong"), ("nobody", PASSWORD), ("", ""), ("agent\0", PASSWORD), ("x" * 5000, "y")]
)
async def test_a_wrong_name_and_a_wrong_password_are_refused_alike(site: Site, name: str, password: str):
    answer = await site.browser().sign_in(name, password)
    assert answer.status == 422
    assert "Name, password or one-time code is wrong." in answer.text
    assert "Set-Cookie" not in answer.headers


async def test_a_disabled_person_is_out_at_once_and_does_not_come_back(site: Site):
    browser = await site.person("agent")
    async with site.database.write() as session:
        user = await session.scalar(select(User).where(User.name == "agent"))
        user.disabled_at, user.disabled_by = site.now(), "admin"
    assert not await signed_in(browser)
    assert (await browser.sign_in("agent")).status == 422


async def test_a_session_ends_when_it_idles_and_when_its_life_is_over(timed_site: Site):
    browser = await timed_site.person("agent")
    timed_site.clock.at += IDLE
    assert not await signed_in(browser)
    browser, began = await timed_site.person("agent"), timed_site.clock.at
    while timed_site.clock.at + IDLE / 2 < began + LIFE:
        timed_site.clock.at += IDLE / 2
        assert await signed_in(browser)
    timed_site.clock.at = began + LIFE
    assert not await signed_in(browser)


async def test_pages_are_shown_while_the_database_takes_no_writes(timed_site: Site, monkeypatch: pytest.MonkeyPatch):
    browser = await timed_site.person(Role.AGENT)

    def locked(_: Database):
        raise DatabaseUnavailable("another transaction has locked it")

    with monkeypatch.context() as patch:
        patch.setattr(Database, "write", locked)
        timed_site.clock.move(minutes=2)
        assert (await browser.get("/leads")).status == 200
    timed_site.clock.move(minutes=119)
    assert (await browser.get("/leads")).status == 303  # The use in between was not recorded.


async def test_signing_in_always_gives_a_new_cookie_and_ends_the_old_session(site: Site):
    browser = await site.person("agent")
    fixed = browser.cookie()
    await browser.sign_in("supervisor")
    assert browser.cookie() != fixed
    other = site.browser()
    other.use_cookie(fixed)
    assert not await signed_in(other)


async def test_a_flood_of_attempts_is_held_up_and_the_right_password_too_until_the_wait_is_over(timed_site: Site):
    browser = timed_site.browser()
    statuses = [(await browser.sign_in("agent", "wrong")).status for _ in range(8)]
    assert statuses == [422] * 6 + [429] * 2
    held = await browser.sign_in("agent")
    assert held.status == 429
    assert "Try again in 60 seconds." in held.text
    assert (await timed_site.browser().sign_in("supervisor")).status == 303
    timed_site.clock.move(seconds=60)
    assert (await browser.sign_in("agent")).status == 303


async def test_a_browser_that_has_signed_in_before_is_kept_out_by_nobody_else(timed_site: Site):
    own = timed_site.browser()
    await own.sign_in("agent")
    await own.post("/sign-out")
    for _ in range(7):
        answer = await timed_site.browser().sign_in("agent", "wrong")
    assert answer.status == 429
    assert (await timed_site.browser().sign_in("agent")).status == 429
    assert (await own.sign_in("agent")).status == 303


async def test_a_known_browser_guesses_no_more_passwords_than_another_one(timed_site: Site):
    own = timed_site.browser()
    await own.sign_in("agent")
    await own.post("/sign-out")
    statuses = [(await own.sign_in("agent", "wrong")).status for _ in range(8)]
    assert statuses == [422] * 6 + [429] * 2
    assert (await own.sign_in("supervisor")).status == 303  # The browser is known for one of them only.


async def test_a_browser_that_is_known_for_an_older_password_has_no_attempts_of_its_own(timed_site: Site):
    former = timed_site.browser()
    await former.sign_in("agent")
    await former.post("/sign-out")
    await set_password(timed_site.database, ADMIN, "agent", "nine horses under a bridge", now=timed_site.clock)
    for _ in range(6):
        await timed_site.browser().sign_in("agent", "wrong")
    assert (await former.sign_in("agent", "another guess")).status == 429
    timed_site.clock.move(minutes=1)
    assert (await former.sign_in("agent", "nine horses under a bridge")).status == 303
    await former.post("/sign-out")
    for _ in range(6):
        await timed_site.browser().sign_in("agent", "wrong")
    assert (await former.sign_in("agent", "nine horses under a bridge")).status == 303


async def test_a_browser_in_which_a_person_changes_the_password_is_known_for_the_new_one(timed_site: Site):
    own, new = await timed_site.person("agent"), "nine horses under a bridge"
    assert (await own.post("/account/password", {"present": PASSWORD, "new": new, "again": new})).status == 303
    await own.post("/sign-out")
    while (await timed_site.browser().sign_in("agent", "wrong")).status != 429:
        pass
    assert (await timed_site.browser().sign_in("agent", new)).status == 429
    assert (await own.sign_in("agent", new)).status == 303


async def test_the_cookie_of_a_known_browser_is_signed_and_out_of_reach_of_scripts(timed_site: Site):
    answer = await timed_site.browser().sign_in("agent")
    (cookie,) = [one for one in answer.headers.getall("Set-Cookie") if one.startswith("dnc_browser=")]
    assert "HttpOnly" in cookie
    assert "Max-Age=15552000" in cookie
    thief = timed_site.browser()
    forged = f"{'A' * 22}.{'0' * 32}"
    for _ in range(6):
        await thief.sign_in("agent", "wrong")
    thief.session.cookie_jar.update_cookies({"dnc_browser": forged}, thief.session._base_url)
    assert (await thief.sign_in("agent")).status == 429


@pytest.mark.exhaustive
async def test_two_hundred_people_behind_one_address_sign_in_at_the_same_moment(timed_site: Site):
    hashed = await password_hash()
    async with timed_site.database.write() as session:
        for place in range(200):
            person = {"name": f"p{place}", "role": "agent", "password_hash": hashed}
            session.add(User(**person, created_at=timed_site.now(), created_by="tests"))
    browsers = [timed_site.browser() for _ in range(200)]
    fields = {"password": PASSWORD, "code": ""}
    answers = [browser.post("/sign-in", {"name": f"p{place}", **fields}) for place, browser in enumerate(browsers)]
    assert {answer.status for answer in await asyncio.gather(*answers)} == {303}
    assert (await timed_site.browser().sign_in("agent")).status == 303


async def test_an_unlocked_person_signs_in_although_somebody_goes_on_failing_for_the_name(timed_site: Site):
    stranger = timed_site.browser()
    while (await stranger.sign_in("agent", "wrong")).status != 429:
        pass
    assert (await timed_site.browser().sign_in("agent")).status == 429
    admin = await timed_site.person("admin")
    assert "15 minutes" in await admin.follow(await admin.post("/users/agent/unlock"))
    for _ in range(30):
        assert (await stranger.sign_in("agent", "wrong")).status == 422
    assert (await timed_site.browser().sign_in("agent")).status == 303
    timed_site.clock.move(minutes=15)
    assert [(await stranger.sign_in("agent", "wrong")).status for _ in range(7)][-1] == 429


async def test_passwords_are_checked_two_at_a_time_and_the_site_answers_meanwhile(
    timed_site: Site, monkeypatch: pytest.MonkeyPatch
):
    at_work, most, two, done = [], [], threading.Event(), threading.Event()

    def slow(hashed: str, password: str) -> bool:
        at_work.append(password)
        most.append(len(at_work))
        if len(at_work) == 2:
            two.set()
        done.wait(30)
        at_work.pop()
        return True

    monkeypatch.setattr("admin_web.people.passwords._verified", slow)
    monkeypatch.setattr("admin_web.people.sign_in_queue.MOST_WAITING", 8)
    waiting = [asyncio.create_task(timed_site.browser().sign_in("agent")) for _ in range(6)]
    waiting += [asyncio.create_task(timed_site.browser().sign_in("admin")) for _ in range(6)]
    refused: set[asyncio.Task] = set()
    while len(refused) < 4:
        refused, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=1)
    assert {task.result().status for task in refused} == {429}
    assert await asyncio.to_thread(two.wait, 30)
    assert (await timed_site.browser().get("/healthz")).status == 200
    done.set()
    statuses = [answer.status for answer in await asyncio.gather(*waiting)]
    assert sorted(statuses) == [303] * 8 + [429] * 4
    assert max(most) == 2


async def test_a_one_time_code_is_needed_once_it_is_turned_on_and_counts_once(timed_site: Site):
    secret = totp.new_secret()
    async with timed_site.database.write() as session:
        user = await session.scalar(select(User).where(User.name == "agent"))
        user.totp_secret, user.totp_confirmed_at = secret, timed_site.now()
    browser = timed_site.browser()
    code = totp.pyotp.TOTP(secret).at(timed_site.now())
    assert (await browser.sign_in("agent")).status == 422
    assert (await browser.sign_in("agent", code="12345a")).status == 422
    assert (await browser.sign_in("agent", code=code)).status == 303
    assert (await timed_site.browser().sign_in("agent", code=code)).status == 422


@pytest.mark.parametrize(
    "onward", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "//[", "//℀"]
)
async def test_signing_in_never_leads_to_another_site(site: Site, onward: str):
    answer = await site.browser().post("/sign-in", {"name": "agent", "password": PASSWORD, "next": onward})
    assert answer.location == "/"


async def test_who_is_signed_out_is_led_back_to_the_page_they_wanted(site: Site):
    browser = site.browser()
    answer = await browser.post("/sign-in", {"name": "agent", "password": PASSWORD, "next": "/leads?name=a%20b"})
    assert answer.location == "/leads?name=a%20b"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_form_that_another_site_sent_is_not_taken(site: Site, headers: dict[str, str]):
    browser = await site.person("agent")
    answer = await browser.post("/sign-out", **headers)
    assert answer.status == 403
    assert await signed_in(browser)


@pytest.mark.parametrize("token", ["", "x" * 43, "é"])
async def test_a_form_without_the_token_of_its_session_is_not_taken(site: Site, token: str):
    browser = await site.person("agent")
    assert (await browser.post("/sign-out", {"csrf": token})).status == 403
    other = await site.person("supervisor")
    assert (await browser.post("/sign-out", {"csrf": other.csrf})).status == 403
    assert await signed_in(browser)


async def test_a_form_in_any_other_wrapping_is_not_taken(site: Site):
    browser = await site.person("agent")
    assert (await browser.upload("/sign-out", {}, "file", None)).status == 415
    assert await signed_in(browser)


async def test_a_form_that_is_too_large_is_refused_with_a_page(site: Site):
    answer = await site.browser().sign_in("agent", "x" * 70_000)
    assert answer.status == 413
    assert "The request is too large" in answer.text


async def test_every_page_bears_the_headers_that_bind_a_browser(site: Site):
    for path in ("/sign-in", "/no-such-page", "/static/site.css"):
        headers = (await site.browser().get(path)).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'self';")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Server"] == "dnc-gate"
