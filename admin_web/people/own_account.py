"""Changes that users make to their own account: password, one-time codes, open sessions, time zone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from admin_web.people import recovery_codes, sessions, totp
from admin_web.people.accounts import locked_user
from admin_web.people.known_browsers import read_browser
from admin_web.people.passwords import new_hash
from admin_web.people.sign_in import require_password, unchanged_user
from admin_web.people.site_secrets import KNOWN_BROWSERS, secret_of
from admin_web.record.changes import Actor, changing
from admin_web.record.database import Database
from admin_web.record.models import User
from compliance import zones
from compliance.refusal import Refused, Unwritable

Now = Callable[[], datetime]


class WrongCode(Refused):
    """The one-time code is wrong, or has been used already."""


class TotpOn(Refused):
    """One-time codes are already turned on. To enrol another telephone, they must be turned off first."""


class NotEnrolled(Refused):
    """No secret was created, so a code cannot confirm one."""


class UnknownSession(Refused):
    """This person has no open session with this id."""


@dataclass(frozen=True, slots=True)
class PasswordChanged:
    """How many other sessions have ended, and the cookie by which this browser is known from now on."""

    ended: int
    browser: str


async def change_password(
    database: Database, actor: Actor, session_id: int, old: str, new: str, now: Now, browser: str = ""
) -> PasswordChanged:
    """Change the actor's own password and end all their other sessions. `browser` is the cookie of a known browser.

    The browser stays known: somebody who keeps failing for the name could otherwise keep the person out. Raises
    WrongPassword, TooManyAttempts, Unwritable.
    """
    checked = await require_password(database, actor, old, now())
    if new == old:
        raise Unwritable("The new password is the current one. Choose another one.")
    hashed = await new_hash(new, actor.name, checked.full_name)
    known = read_browser(browser, await secret_of(database, KNOWN_BROWSERS, now()))
    async with changing(database, actor, now) as change:
        user = await unchanged_user(change, checked)
        user.password_hash, user.password_until = hashed, None
        ended = await sessions.end_all(change.session, actor.name, actor.name, change.at, but=session_id)
        change.audit("change-password", "user", actor.name, sessions=ended)
    return PasswordChanged(ended, known.with_name(actor.name, hashed))


async def begin_totp(database: Database, actor: Actor, password: str, now: Now) -> None:
    """Create a secret for one-time codes. Sign-in requires codes only after the secret is confirmed.

    The password is needed, because whoever has the secret has the second factor. Raises WrongPassword,
    TooManyAttempts, TotpOn.
    """
    checked = await require_password(database, actor, password, now())
    async with changing(database, actor, now) as change:
        user = await unchanged_user(change, checked)
        if user.totp_confirmed_at is not None:
            raise TotpOn("One-time codes are already turned on. Turn them off first.")
        user.totp_secret, user.totp_last_step = totp.new_secret(), 0


async def confirm_totp(database: Database, actor: Actor, session_id: int, code: str, now: Now) -> Sequence[str]:
    """Turn one-time codes on and end the actor's other sessions. Returns the recovery codes.

    `code` proves that the telephone has the secret. Raises NotEnrolled, TotpOn, WrongCode.
    """
    async with changing(database, actor, now) as change:
        user = await locked_user(change, actor.name)
        if user.totp_confirmed_at is not None:
            raise TotpOn("One-time codes are already turned on.")
        if user.totp_secret is None:
            raise NotEnrolled("There is no secret to confirm, so one-time codes are still off. Begin again.")
        step = totp.step_of(user.totp_secret, code, change.at, user.totp_last_step)
        if step is None:
            raise WrongCode("This code is wrong. Check the clock of your telephone, then try the next code.")
        user.totp_confirmed_at, user.totp_last_step = change.at, step
        ended = await sessions.end_all(change.session, actor.name, actor.name, change.at, but=session_id)
        change.audit("turn-on-totp", "user", actor.name, sessions=ended)
        return await recovery_codes.renew(change.session, actor.name, change.at)


async def renew_recovery_codes(database: Database, actor: Actor, password: str, now: Now) -> Sequence[str]:
    """Replace the actor's recovery codes and return the new ones.

    Raises WrongPassword, TooManyAttempts, NotEnrolled.
    """
    checked = await require_password(database, actor, password, now())
    async with changing(database, actor, now) as change:
        user = await unchanged_user(change, checked)
        if user.totp_confirmed_at is None:
            raise NotEnrolled("One-time codes are off, so there is nothing to recover.")
        change.audit("renew-recovery-codes", "user", actor.name)
        return await recovery_codes.renew(change.session, actor.name, change.at)


async def end_totp(database: Database, actor: Actor, session_id: int, password: str, now: Now) -> None:
    """Turn one-time codes off and end the actor's other sessions, or delete a secret that was never confirmed.

    Raises WrongPassword, TooManyAttempts.
    """
    checked = await require_password(database, actor, password, now())
    async with changing(database, actor, now) as change:
        user = await unchanged_user(change, checked)
        if user.totp_confirmed_at is not None:
            ended = await sessions.end_all(change.session, actor.name, actor.name, change.at, but=session_id)
            change.audit("turn-off-totp", "user", actor.name, sessions=ended)
        user.totp_secret = user.totp_confirmed_at = None
        await recovery_codes.forget(change.session, actor.name)


async def sign_out(database: Database, actor: Actor, session_id: int, now: Now) -> None:
    """End the session in which the actor signs out. A session that has already ended is not changed."""
    async with changing(database, actor, now) as change:
        if await sessions.end_own(change.session, session_id, actor.name, change.at):
            change.audit("sign-out", "user", actor.name)


async def set_time_zone(database: Database, actor: Actor, name: str, now: Now) -> bool:
    """Set the time zone in which the actor sees times and days. Returns False if it was set already.

    Raises UnknownZone.
    """
    zones.named(name)
    async with changing(database, actor, now) as change:
        user = await locked_user(change, actor.name)
        if user.time_zone == name:
            return False
        change.audit("set-time-zone", "user", actor.name, zone=name, was=user.time_zone)
        user.time_zone = name
    return True


async def end_session(database: Database, actor: Actor, session_id: int, now: Now) -> None:
    """End one of the actor's own sessions. Raises UnknownSession."""
    async with changing(database, actor, now) as change:
        if not await sessions.end_own(change.session, session_id, actor.name, change.at):
            raise UnknownSession("There is no such open session of yours; it may have ended.")
        change.audit("end-session", "user", actor.name, session=session_id)


async def unconfirmed_secret(database: Database, name: str) -> str | None:
    """Return the secret that a user has not confirmed yet; None if there is none.

    A confirmed secret is never returned.
    """
    waiting = select(User.totp_secret).where(User.name == name, User.totp_confirmed_at.is_(None))
    async with database.read() as session:
        return await session.scalar(waiting)
