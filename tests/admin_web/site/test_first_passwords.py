"""Passwords that somebody else has set: they end, and they open only the page on which they are changed."""

import html
import re
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from admin_web.people.accounts import add_first_admin, add_user, set_password
from admin_web.people.passwords import FIRST_PASSWORD_LIFE
from admin_web.record.changes import Actor
from admin_web.record.models import User
from compliance.consent import Role
from tests.support.site import PASSWORD, Answer, Browser, Site, settings_of

OWN = "another one of the tests"
SHELL = Actor("shell:test")


@pytest.fixture
async def timed(database_url, redis_server, tmp_path, clock):
    async with Site(settings_of(database_url, redis_server.url, tmp_path / "data"), clock) as site:
        site.clock = clock
        yield site


def shown_password(answer: Answer) -> str:
    found = re.search(r'<p class="h2"><code>([^<]+)</code>', answer.text)
    assert found, answer.text[-2000:]
    return html.unescape(found[1])


async def set_by(site: Site, way: str) -> str:
    """Set the password of `newcomer` in one of four ways, and return it."""
    admin = await site.person(Role.ADMIN)
    if way == "added in the site":
        return shown_password(await admin.post("/users/+new", {"name": "newcomer", "role": "agent", "full_name": ""}))
    await add_user(site.database, SHELL, "newcomer", Role.AGENT, PASSWORD, now=site.clock)
    if way == "new password in the site":
        return shown_password(await admin.post("/users/newcomer/password"))
    if way == "new password by command":
        await set_password(site.database, SHELL, "newcomer", "nine horses under a bridge", now=site.clock)
        return "nine horses under a bridge"
    return PASSWORD


WAYS = pytest.mark.parametrize(
    "way", ["added in the site", "added by command", "new password in the site", "new password by command"]
)


async def change(browser: Browser, present: str, new: str = OWN) -> Answer:
    return await browser.post("/account/password", {"present": present, "new": new, "again": new})


@WAYS
async def test_a_password_that_somebody_else_has_set_opens_only_its_change(timed: Site, way: str):
    first, browser = await set_by(timed, way), timed.browser()
    assert (await browser.sign_in("newcomer", first)).status == 303
    for path in ("/", "/leads", "/queue", "/lists"):
        assert (await browser.get(path)).location == "/account"
    assert (await browser.post("/leads/+new", {"id": "L-1"})).status == 403
    assert (await browser.post("/account/codes", {"password": first})).status == 403
    page = await browser.page("/account")
    assert "Choose your own password first" in page
    assert 'href="/leads"' not in page
    assert (await change(browser, first, first)).status == 422
    assert (await change(browser, first)).status == 303
    assert (await browser.get("/leads")).status == 200
    assert (await timed.browser().sign_in("newcomer", first)).status == 422
    assert (await timed.browser().sign_in("newcomer", OWN)).status == 303


@WAYS
async def test_a_password_that_somebody_else_has_set_ends_after_three_days(timed: Site, way: str):
    first = await set_by(timed, way)
    timed.clock.move(seconds=FIRST_PASSWORD_LIFE.total_seconds() - 1)
    assert (await timed.browser().sign_in("newcomer", first)).status == 303
    timed.clock.move(seconds=1)
    answer = await timed.browser().sign_in("newcomer", first)
    assert (answer.status, "This first password has ended" in answer.text) == (422, True)
    assert "Name, password or one-time code is wrong" in (await timed.browser().sign_in("newcomer", "wrong")).text
    assert timedelta(days=3) == FIRST_PASSWORD_LIFE


async def test_a_password_of_ones_own_has_no_end(timed: Site):
    first, browser = await set_by(timed, "added in the site"), timed.browser()
    await browser.sign_in("newcomer", first)
    await change(browser, first)
    timed.clock.move(days=3650)
    assert (await timed.browser().sign_in("newcomer", OWN)).status == 303


async def test_passwords_of_before_the_upgrade_stay_valid_however_weak(timed: Site):
    async with timed.database.write() as session:
        (created,) = await session.execute(select(User.password_until).where(User.name == "agent"))
        assert created[0] is None
        await session.execute(update(User).where(User.name == "agent").values(name="weak", role="admin"))
    browser = timed.browser()
    assert (await browser.sign_in("weak")).status == 303
    assert (await browser.get("/leads")).status == 200


@pytest.mark.parametrize("new", ["password1234", "newcomer-2026", "dnc-gate x7391"])
async def test_a_weak_password_is_refused_beside_its_field(timed: Site, new: str):
    first, browser = await set_by(timed, "added in the site"), timed.browser()
    await browser.sign_in("newcomer", first)
    answer = await change(browser, first, new)
    assert (answer.status, 'id="new-error"' in answer.text) == (422, True)


async def test_the_first_admin_gets_a_first_password_too(records, clock):
    password = await add_first_admin(records.database, SHELL)
    assert password
    async with records.database.read() as session:
        assert await session.scalar(select(User.password_until)) is not None
