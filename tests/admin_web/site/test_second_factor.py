"""One-time codes and recovery codes over HTTP: how they are turned on and off, and who must have them."""

import re

import pyotp
import pytest
from sqlalchemy import select

from admin_web.people import totp
from admin_web.people.recovery_codes import HOW_MANY
from admin_web.record.models import AuditEvent, RecoveryCode
from compliance.consent import Role
from tests.support.site import PASSWORD, Answer, Browser, Site, settings_of

RIGHT = {"password": PASSWORD}


@pytest.fixture
async def strict(database_url, redis_server, tmp_path, clock):
    """A site that requires codes of admins and supervisors."""
    settings = settings_of(database_url, redis_server.url, tmp_path / "data", require_totp="admin, supervisor")
    async with Site(settings, clock) as site:
        site.clock = clock
        yield site


@pytest.fixture
async def timed(database_url, redis_server, tmp_path, clock):
    async with Site(settings_of(database_url, redis_server.url, tmp_path / "data"), clock) as site:
        site.clock = clock
        yield site


async def is_in(browser: Browser) -> bool:
    return (await browser.get("/account")).status == 200


async def secret_of(browser: Browser) -> str:
    found = re.search(r"<code>([A-Z2-7]{32})</code>", await browser.page("/account"))
    assert found
    return found[1]


def codes_of(answer: Answer) -> list[str]:
    return re.findall(r"<code>((?:[a-z2-9]{4}-){5}[a-z2-9]{4})</code>", answer.text)


async def enrol(site: Site, browser: Browser) -> tuple[str, list[str]]:
    """Turn codes on, and return the secret and the recovery codes."""
    site.clock.move(seconds=totp.STEP_S)
    await browser.post("/account/codes", RIGHT)
    secret = await secret_of(browser)
    answer = await browser.post("/account/codes/confirm", {"code": pyotp.TOTP(secret).at(site.clock.at)})
    assert answer.status == 200, answer.text[-2000:]
    assert answer.headers["Cache-Control"] == "no-store"
    site.clock.move(seconds=totp.STEP_S)
    return secret, codes_of(answer)


async def test_codes_are_turned_on_by_a_code_and_each_code_counts_once(timed: Site):
    browser = await timed.person(Role.AGENT)
    assert (await browser.get("/account/codes/image.svg")).status == 404
    await browser.post("/account/codes", RIGHT)
    secret = await secret_of(browser)
    image = await browser.get("/account/codes/image.svg")
    assert image.headers["Content-Type"] == "image/svg+xml"
    assert image.body.startswith(b"<?xml")
    assert (await timed.browser().sign_in("agent")).status == 303  # No code is needed before confirmation.
    assert (await browser.post("/account/codes/confirm", {"code": "000000"})).status == 422
    code = pyotp.TOTP(secret).at(timed.clock.at)
    assert "One-time codes are on" in (await browser.post("/account/codes/confirm", {"code": code})).text
    assert (await timed.browser().sign_in("agent", code=code)).status == 422  # This code was already used to confirm.
    assert (await timed.browser().sign_in("agent")).status == 422
    timed.clock.move(seconds=totp.STEP_S)
    code = pyotp.TOTP(secret).at(timed.clock.at)
    assert (await timed.browser().sign_in("agent", code=code)).status == 303
    assert (await timed.browser().sign_in("agent", code=code)).status == 422
    assert (await browser.get("/account/codes/image.svg")).status == 404
    assert secret not in await browser.page("/account")
    assert (await browser.post("/account/codes", RIGHT)).status == 409


@pytest.mark.parametrize("path", ["/account/codes", "/account/codes/recovery", "/account/codes/end"])
@pytest.mark.parametrize("given", [{}, {"password": ""}, {"password": "wrong"}])
async def test_a_second_factor_is_changed_only_with_the_password(timed: Site, path: str, given: dict[str, str]):
    browser = await timed.person(Role.AGENT)
    if path != "/account/codes":
        _, codes = await enrol(timed, browser)
    assert (await browser.post(path, given)).status == 422
    page = await browser.page("/account")
    if path == "/account/codes":
        assert "Enter the code that the app shows" not in page
    else:
        assert f"you have {HOW_MANY} left" in page
        assert (await timed.browser().sign_in("agent", code=codes[0])).status == 303


async def test_turning_codes_on_or_off_ends_the_other_sessions_and_not_this_one(timed: Site):
    here, there, other = [await timed.person(role) for role in (Role.AGENT, Role.AGENT, Role.AUDITOR)]
    await enrol(timed, here)
    assert [await is_in(browser) for browser in (here, there, other)] == [True, False, True]
    there = await timed.person(Role.AGENT)
    await here.post("/account/codes/end", RIGHT)
    assert [await is_in(browser) for browser in (here, there, other)] == [True, False, True]


async def test_a_reset_by_an_admin_ends_the_sessions_and_the_recovery_codes(timed: Site):
    browser = await timed.person(Role.AGENT)
    await enrol(timed, browser)
    await (await timed.person(Role.ADMIN)).post("/users/agent/codes")
    assert not await is_in(browser)
    assert (await timed.browser().sign_in("agent")).status == 303
    async with timed.database.read() as session:
        assert (await session.scalars(select(RecoveryCode))).all() == []
        actions = set(await session.scalars(select(AuditEvent.action)))
    assert {"turn-on-totp", "reset-totp"} <= actions


async def test_a_recovery_code_replaces_a_one_time_code_once(timed: Site):
    browser = await timed.person(Role.AGENT)
    secret, codes = await enrol(timed, browser)
    assert len(set(codes)) == HOW_MANY
    assert (await timed.browser().sign_in("agent", code=codes[0])).status == 303
    assert (await timed.browser().sign_in("agent", code=codes[0])).status == 422
    assert (await timed.browser().sign_in("agent", code=codes[1].replace("-", "").upper())).status == 303
    assert (await timed.browser().sign_in("agent", "wrong", codes[2])).status == 422
    assert (await timed.browser().sign_in("agent", code=codes[2])).status == 303  # A wrong password used nothing up.
    assert (await timed.browser().sign_in("agent", code=pyotp.TOTP(secret).at(timed.clock.at))).status == 303
    assert f"you have {HOW_MANY - 3} left" in await browser.page("/account")
    async with timed.database.read() as session:
        particulars = await session.scalars(select(AuditEvent.particulars).where(AuditEvent.action == "sign-in"))
    assert [event["code"] for event in particulars] == ["recovery", "recovery", "recovery", "one-time"]


async def test_a_recovery_code_belongs_to_one_person(timed: Site):
    agent, auditor = await timed.person(Role.AGENT), await timed.person(Role.AUDITOR)
    (_, codes), _ = await enrol(timed, agent), await enrol(timed, auditor)
    assert (await timed.browser().sign_in("auditor", code=codes[0])).status == 422
    assert (await timed.browser().sign_in("agent", code=codes[0])).status == 303


async def test_recovery_codes_are_shown_once_and_only_their_hashes_are_kept(timed: Site):
    browser = await timed.person(Role.AGENT)
    _, codes = await enrol(timed, browser)
    assert not codes_of(await browser.get("/account"))
    async with timed.database.read() as session:
        kept = (await session.scalars(select(RecoveryCode.code_hash))).all()
    assert len(kept) == len(codes) == HOW_MANY
    assert not any(code.replace("-", "") in " ".join(kept) for code in codes)


async def test_new_recovery_codes_replace_the_old_ones(timed: Site):
    browser = await timed.person(Role.AGENT)
    _, old = await enrol(timed, browser)
    new = codes_of(await browser.post("/account/codes/recovery", RIGHT))
    assert len(new) == HOW_MANY
    assert (await timed.browser().sign_in("agent", code=old[0])).status == 422
    assert (await timed.browser().sign_in("agent", code=new[0])).status == 303


async def test_there_are_no_recovery_codes_without_one_time_codes(timed: Site):
    assert (await (await timed.person(Role.AGENT)).post("/account/codes/recovery", RIGHT)).status == 409


@pytest.mark.parametrize("role", [Role.ADMIN, Role.SUPERVISOR])
async def test_who_must_have_codes_sees_only_the_enrolment_until_it_is_done(strict: Site, role: Role):
    browser = await strict.person(role)
    assert (await browser.get("/leads")).location == "/account"
    assert (await browser.get("/")).location == "/account"
    assert (await browser.post("/leads/+new", {"id": "L-1"})).status == 403
    page = await browser.page("/account")
    assert "Your role needs one-time codes" in page
    assert 'href="/leads"' not in page
    await enrol(strict, browser)
    assert (await browser.get("/leads")).status == 200
    await browser.post("/account/codes/end", RIGHT)
    assert (await browser.get("/leads")).location == "/account"


@pytest.mark.parametrize("role", [Role.AGENT, Role.AUDITOR])
async def test_other_roles_need_no_codes(strict: Site, role: Role):
    assert (await (await strict.person(role)).get("/leads")).status == 200


async def test_who_becomes_a_supervisor_needs_codes_from_the_next_click_on(strict: Site):
    agent, admin = await strict.person(Role.AGENT), await strict.person(Role.ADMIN)
    await enrol(strict, admin)
    await admin.post("/users/agent", {"role": "supervisor", "extension": ""})
    assert (await agent.get("/leads")).location == "/account"
