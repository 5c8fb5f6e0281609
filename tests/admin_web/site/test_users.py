"""User accounts over HTTP: who can sign in, and how soon a disabled user is signed out."""

import asyncio
import html
import re
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from admin_web.people import throttle
from admin_web.people.accounts import LastAdmin, add_user, change_user, disable_user, enable_user, users
from admin_web.record.changes import Actor
from admin_web.record.database import Database
from admin_web.record.models import AuditEvent, SignInSession, User
from admin_web.worker.retention import forget
from compliance.consent import Role
from compliance.refusal import NotPermitted
from tests.support.records import ADMIN, AT, SUPERVISOR
from tests.support.site import PASSWORD, Browser, Site

SHELL = Actor("shell:test")
OTHER_PASSWORD = "another one of the tests"


async def is_in(browser: Browser) -> bool:
    return (await browser.get("/account")).status == 200


async def actions(site: Site) -> list[str]:
    async with site.database.read() as session:
        return list(await session.scalars(select(AuditEvent.action).order_by(AuditEvent.id)))


def shown_password(text: str) -> str:
    found = re.search(r'<p class="h2"><code>([^<]+)</code>', text)
    assert found
    return html.unescape(found[1])


async def test_a_person_is_added_with_a_password_that_is_shown_once_and_works(site: Site):
    admin = await site.person(Role.ADMIN)
    answer = await admin.post("/users/+new", {"name": "newcomer", "role": "agent", "full_name": ""})
    password = shown_password(answer.text)
    assert (await site.browser().sign_in("newcomer", password)).status == 303
    assert password not in await admin.page("/users/newcomer")
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "Capital", "role": "agent"}, "A user name has"),
        ({"name": "agent", "role": "agent"}, "There is already a user agent"),
        ({"name": "newcomer", "role": "king"}, "Choose a role."),
        ({"name": "newcomer", "role": "agent", "full_name": "x" * 201}, "The full name is longer"),
    ],
)
async def test_a_form_that_cannot_be_is_shown_again_with_what_was_typed(site: Site, fields, said):
    answer = await (await site.person(Role.ADMIN)).post("/users/+new", fields)
    assert (answer.status, said in answer.text) == (422, True)
    assert f'value="{fields["name"]}"' in answer.text
    assert len(await users(site.database)) == len(Role)


async def test_a_disabled_person_is_out_on_the_next_click_and_in_again_only_by_signing_in(site: Site):
    admin, agent = await site.person(Role.ADMIN), await site.person(Role.AGENT)
    assert "disabled and signed out" in await admin.follow(await admin.post("/users/agent/disable"))
    assert not await is_in(agent)
    assert (await site.browser().sign_in("agent")).status == 422
    await admin.post("/users/agent/enable")
    assert not await is_in(agent)
    assert (await site.browser().sign_in("agent")).status == 303
    assert [each for each in await actions(site) if "able" in each] == ["disable-user", "enable-user"]


async def test_a_role_is_in_force_on_the_next_click(site: Site):
    admin, agent = await site.person(Role.ADMIN), await site.person(Role.AGENT)
    assert (await agent.get("/calls")).status == 403
    await admin.post("/users/agent", {"role": "auditor", "extension": "agent-7"})
    assert (await agent.get("/calls")).status == 200
    async with site.database.read() as session:
        assert await session.scalar(select(User.extension).where(User.name == "agent")) == "agent-7"


async def test_an_extension_that_could_say_more_to_the_pbx_is_refused(site: Site):
    answer = await (await site.person(Role.ADMIN)).post("/users/agent", {"role": "agent", "extension": "7&SIP/8"})
    assert (answer.status, "An extension has" in answer.text, "7&amp;SIP/8" in answer.text) == (422, True, True)


async def test_the_last_admin_stays_one_and_stays_able_to_sign_in(site: Site):
    admin = await site.person(Role.ADMIN)
    assert "is the last admin" in await admin.follow(await admin.post("/users/admin/disable"))
    answer = await admin.post("/users/admin", {"role": "agent", "extension": ""})
    assert (answer.status, "is the last admin" in answer.text) == (422, True)
    assert (await admin.post("/users/admin", {"role": "admin", "extension": "9"})).status == 303
    assert await is_in(admin)


async def test_two_admins_who_disable_each_other_at_once_leave_one(database: Database):
    for name in ("first", "second"):
        await add_user(database, SHELL, name, Role.ADMIN, PASSWORD)
    ended = await asyncio.gather(
        disable_user(database, SHELL, "first"), change_user(database, SHELL, "second", role=Role.AGENT),
        return_exceptions=True,
    )  # fmt: skip
    assert sorted(map(str, map(type, ended))) == sorted(map(str, (bool, LastAdmin)))
    standing = [user for user in await users(database) if user.role == Role.ADMIN and user.disabled_at is None]
    assert len(standing) == 1


async def test_nobody_but_an_admin_manages_users_even_past_the_pages(database: Database):
    await add_user(database, ADMIN, "somebody", Role.AGENT, PASSWORD)
    for refused in (
        disable_user(database, SUPERVISOR, "somebody"), enable_user(database, SUPERVISOR, "somebody"),
        change_user(database, SUPERVISOR, "somebody", role=Role.ADMIN),
        add_user(database, SUPERVISOR, "another", Role.ADMIN, PASSWORD),
    ):  # fmt: skip
        with pytest.raises(NotPermitted):
            await refused


async def test_a_new_password_made_by_an_admin_ends_every_session_and_the_old_password(site: Site):
    admin, agent = await site.person(Role.ADMIN), await site.person(Role.AGENT)
    password = shown_password((await admin.post("/users/agent/password")).text)
    assert not await is_in(agent)
    assert (await site.browser().sign_in("agent")).status == 422
    assert (await site.browser().sign_in("agent", password)).status == 303


async def test_an_admin_ends_every_session_of_a_person(site: Site):
    admin, one, two = await site.person(Role.ADMIN), await site.person(Role.AGENT), await site.person(Role.AGENT)
    assert "2 sessions ended." in await admin.follow(await admin.post("/users/agent/sign-out"))
    assert not await is_in(one)
    assert not await is_in(two)
    assert await is_in(admin)


async def test_an_unknown_person_is_no_page(site: Site):
    admin = await site.person(Role.ADMIN)
    for path in ("/users/nobody", "/users/Nobody", "/users/" + "x" * 65):
        assert (await admin.get(path)).status == 404
    for what in ("password", "disable", "enable", "sign-out", "codes"):
        assert (await admin.post(f"/users/nobody/{what}")).status == 404


async def test_a_person_ends_their_other_sessions_and_nobody_elses(site: Site):
    here, there = await site.person(Role.AGENT), await site.person(Role.AGENT)
    other = await site.person(Role.AUDITOR)
    async with site.database.read() as session:
        sessions = (await session.execute(select(SignInSession.id, SignInSession.user_name))).all()
    mine, foreign = [one.id for one in sessions if one.user_name == "agent"], sessions[-1].id
    page = await here.page("/account")
    assert page.count("/account/sessions/") == 1
    assert "no such open session of yours" in await here.follow(await here.post(f"/account/sessions/{foreign}/end"))
    assert await is_in(other)
    await here.post(f"/account/sessions/{max(mine)}/end")
    assert not await is_in(there)
    assert await is_in(here)


async def test_changing_the_password_takes_the_present_one_and_ends_the_other_sessions(site: Site):
    here, there = await site.person(Role.AGENT), await site.person(Role.AGENT)
    new = {"new": OTHER_PASSWORD, "again": OTHER_PASSWORD}
    for fields, said in (
        ({"present": "wrong", **new}, "not your current password"),
        ({"present": PASSWORD, "new": OTHER_PASSWORD, "again": "x"}, "differ"),
        ({"present": PASSWORD, "new": "short", "again": "short"}, "12 to 1024"),
    ):
        answer = await here.post("/account/password", fields)
        assert (answer.status, said in answer.text) == (422, True), said
        assert PASSWORD not in answer.text
    assert await is_in(there)
    assert "1 other session ended" in await here.follow(
        await here.post("/account/password", {"present": PASSWORD, **new})
    )
    assert await is_in(here)
    assert not await is_in(there)
    assert (await site.browser().sign_in("agent", OTHER_PASSWORD)).status == 303


async def test_a_browser_that_was_left_open_guesses_no_password(site: Site):
    browser = await site.person(Role.AGENT)
    sent = {"present": "wrong", "new": OTHER_PASSWORD, "again": OTHER_PASSWORD}
    said = [(await browser.post("/account/password", sent)).text for _ in range(7)]
    assert "not your current password" in said[0]
    assert "Too many attempts" in said[-1]


async def test_what_people_are_called_is_text_and_no_markup(site: Site):
    async with site.database.write() as session:
        named = update(User).where(User.name == "agent").values(full_name="<script>alert(1)</script>")
        await session.execute(named)
    admin = await site.person(Role.ADMIN)
    for path in ("/users", "/users/agent"):
        assert "<script>alert" not in await admin.page(path)


async def test_attempts_to_sign_in_are_counted_for_a_day_at_most(database: Database):
    await throttle.take(database, throttle.sign_in_attempt("agent", "192.0.2.1"), AT)
    assert await forget(database, AT + timedelta(days=1)) == 0
    assert await forget(database, AT + timedelta(days=1, seconds=1)) == 3
