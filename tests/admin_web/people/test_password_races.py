"""A password that is changed while it is being checked: the old one opens and changes nothing any more."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import select

from admin_web.people import own_account, sign_in
from admin_web.people.accounts import set_password
from admin_web.people.sign_in import Given, NotSignedIn, WrongPassword
from admin_web.record.changes import Actor, utc_now
from admin_web.record.database import Database
from admin_web.record.models import SignInSession, User
from compliance.consent import Role
from tests.support.records import ADMIN, AT, rows
from tests.support.site import PASSWORD, Site

AGENT = Actor(Role.AGENT, "192.0.2.7", Role.AGENT)
NEXT = "another password, by an admin"

Step = Callable[[Database], Awaitable[object]]

STEPS: dict[str, Step] = {
    "change-password": lambda database: own_account.change_password(
        database, AGENT, 1, PASSWORD, "crossbow harbour velvet", utc_now
    ),
    "begin-codes": lambda database: own_account.begin_totp(database, AGENT, PASSWORD, utc_now),
    "end-codes": lambda database: own_account.end_totp(database, AGENT, 1, PASSWORD, utc_now),
    "renew-recovery-codes": lambda database: own_account.renew_recovery_codes(database, AGENT, PASSWORD, utc_now),
}


@pytest.fixture
def changed_meanwhile(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """An admin sets another password for the agent after the old one was checked, and before it counts."""
    check = sign_in.is_password

    async def checked(password: str, hashed: str) -> bool:
        right = await check(password, hashed)
        await set_password(site.database, ADMIN, Role.AGENT, NEXT)
        return right

    monkeypatch.setattr(sign_in, "is_password", checked)


async def agent(site: Site) -> User:
    async with site.database.read() as session:
        return (await session.scalars(select(User).where(User.name == Role.AGENT))).one()


@pytest.mark.usefixtures("changed_meanwhile")
async def test_the_old_password_opens_no_session_once_it_is_changed(site: Site):
    with pytest.raises(NotSignedIn):
        await sign_in.sign_in(site.database, Given(Role.AGENT, PASSWORD), Actor("browser", "192.0.2.7"), utc_now())
    assert not await rows(site.records, SignInSession)


@pytest.mark.usefixtures("changed_meanwhile")
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
async def test_the_old_password_changes_no_account_once_it_is_changed(site: Site, step: Step):
    async with site.database.write() as session:
        user = (await session.scalars(select(User).where(User.name == Role.AGENT))).one()
        user.totp_secret = "A" * 32
    with pytest.raises(WrongPassword):
        await step(site.database)
    kept = await agent(site)
    assert await sign_in.is_password(NEXT, kept.password_hash)
    assert (kept.totp_secret, kept.totp_confirmed_at) == ("A" * 32, None)


async def test_a_password_that_nobody_changes_still_counts(site: Site):
    given = Given(Role.AGENT, PASSWORD)
    assert (await sign_in.sign_in(site.database, given, Actor("browser", "192.0.2.7"), AT)).session
    await STEPS["begin-codes"](site.database)
    assert (await agent(site)).totp_secret
