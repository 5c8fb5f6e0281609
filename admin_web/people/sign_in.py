"""Sign-in by name, password, and one-time code if the user has turned it on."""

import asyncio
from datetime import datetime

from sqlalchemy import select

from admin_web.people import sessions, throttle, totp
from admin_web.people.accounts import hash_password, is_password, random_password
from admin_web.record.changes import Actor, changing
from admin_web.record.database import Database
from admin_web.record.models import User
from compliance import zones
from compliance.refusal import Refused
from compliance.zones import UnknownZone

_AT_ONCE = asyncio.Semaphore(2)
"""Passwords that are checked at the same time. Each check takes 64 MiB and about 50 ms of CPU time. Without this limit,
a flood of attempts would exhaust the machine.
"""

_NOBODY: list[str] = []


class NotSignedIn(Refused):
    """The name, the password or the code is wrong. The message does not say which, so that it reveals no user names."""


class WrongPassword(Refused):
    """A person who is signed in gave a wrong password for their own account."""


async def sign_in(
    database: Database, name: str, password: str, code: str, origin: Actor, at: datetime, time_zone: str = ""
) -> str:
    """Open a session and return its cookie. `origin` names the browser instead of a user, and has its address.

    A user who has no time zone yet gets the browser's, `time_zone`, if there is such a zone. Raises NotSignedIn,
    TooManyAttempts.
    """
    await throttle.take(database, throttle.buckets(name, origin.address), at)
    user = await _user(database, name)
    right = await _is_password(password, user)
    async with changing(database, Actor(name[:64] if user else "", origin.address), lambda: at) as change:
        held = await change.session.scalar(select(User).where(User.name == name).with_for_update())
        if held is not None and right and held.disabled_at is None and _code_fits(held, code, at):
            await throttle.refill(change.session, name, origin.address, at)
            change.audit("sign-in", "user", name, **_first_zone(held, time_zone))
            return sessions.start(change.session, name, origin.address, origin.name, at)
        if held is not None:
            change.audit("sign-in-refused", "user", name)
    raise NotSignedIn("Name, password or one-time code is wrong. Nothing was changed.")


async def require_password(database: Database, actor: Actor, password: str, at: datetime) -> None:
    """Check the password of a person who is signed in. Raises WrongPassword, TooManyAttempts.

    This check stops a stranger at an unattended browser from taking over the account.
    """
    await throttle.take(database, throttle.buckets(actor.name, actor.address), at)
    if not await _is_password(password, await _user(database, actor.name)):
        raise WrongPassword("This is not your current password. Nothing was changed.")
    async with database.write() as session:
        await throttle.refill(session, actor.name, actor.address, at)


def _code_fits(user: User, code: str, at: datetime) -> bool:
    """Return whether the one-time code is right, and record its use.

    Any code is right if the user has no one-time codes.
    """
    if user.totp_secret is None or user.totp_confirmed_at is None:
        return True
    step = totp.step_of(user.totp_secret, code, at, user.totp_last_step)
    if step is None:
        return False
    user.totp_last_step = step
    return True


def _first_zone(user: User, name: str) -> dict[str, str]:
    """Set the browser's time zone for a user who has none yet. Return the particulars of the audit event.

    The name comes from a script. An unknown one does not keep the user from signing in.
    """
    if user.time_zone or not name:
        return {}
    try:
        zones.named(name)
    except UnknownZone:
        return {}
    user.time_zone = name
    return {"zone": name}


async def _user(database: Database, name: str) -> User | None:
    async with database.read() as session:
        return await session.scalar(select(User).where(User.name == name))


async def _is_password(password: str, user: User | None) -> bool:
    """Check a password.

    The check takes equally long for known and unknown names, so that its duration reveals no names.
    """
    async with _AT_ONCE:
        if user is not None:
            return await is_password(password, user.password_hash)
        if not _NOBODY:
            _NOBODY.append(await hash_password(random_password()))
        await is_password(password, _NOBODY[0])
        return False
