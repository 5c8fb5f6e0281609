"""Sign-in by name, password, and one-time code or recovery code if the user has turned codes on."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from admin_web.people import recovery_codes, sessions, throttle, totp
from admin_web.people.accounts import locked_user
from admin_web.people.known_browsers import KnownBrowser, read_browser
from admin_web.people.passwords import hash_password, is_password, random_password
from admin_web.people.sign_in_queue import turn
from admin_web.people.site_secrets import KNOWN_BROWSERS, secret_of
from admin_web.record.changes import Actor, Change, changing
from admin_web.record.database import Database
from admin_web.record.models import User
from compliance import zones
from compliance.refusal import Refused
from compliance.zones import UnknownZone

_NOBODY: list[str] = []


class NotSignedIn(Refused):
    """The name, the password or the code is wrong. The message does not say which, so that it reveals no user names.

    `user` is the name if a user has it, else empty.
    """

    def __init__(self, said: str, user: str) -> None:
        super().__init__(said)
        self.user = user


class PasswordEnded(NotSignedIn):
    """The password is right, but it was a first password and has ended."""


class WrongPassword(Refused):
    """A person who is signed in gave a wrong password for their own account."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a person gives to sign in. `code` is a one-time code or a recovery code.

    `browser` is the cookie by which the browser is known, and `time_zone` the zone that the browser reports.
    """

    name: str
    password: str
    code: str = ""
    browser: str = ""
    time_zone: str = ""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The cookies of a new session: the session's own, and the one by which the browser is known from now on."""

    session: str
    browser: str


async def sign_in(database: Database, given: Given, origin: Actor, at: datetime) -> SignedIn:
    """Open a session. `origin` names the browser instead of a user, and has its address.

    A user who has no time zone yet gets the browser's, `time_zone`, if there is such a zone. Raises NotSignedIn,
    TooManyAttempts.
    """
    async with turn():
        return await _sign_in(database, given, origin, at)


async def _sign_in(database: Database, given: Given, origin: Actor, at: datetime) -> SignedIn:
    browser = read_browser(given.browser, await secret_of(database, KNOWN_BROWSERS, at))
    user = await _user(database, given.name)
    attempt = _attempt(given.name, origin.address, browser, user)
    await throttle.take(database, attempt, at)
    right = await _is_password(given.password, user)
    async with changing(database, Actor(given.name[:64] if user else "", origin.address), lambda: at) as change:
        held = await change.session.scalar(select(User).where(User.name == given.name).with_for_update())
        if held is None or not right or held.disabled_at is not None or not _is_unchanged(held, user):
            raise _wrong(user)
        second = await _second_factor(change, held, given.code)
        if second is None:
            raise _wrong(user)
        if held.password_until is not None and at >= held.password_until:
            raise PasswordEnded("This first password has ended. Ask an admin of your company for a new one.", held.name)
        await throttle.give_back(change.session, attempt, at)
        change.audit("sign-in", "user", held.name, code=second, **_first_zone(held, given.time_zone))
        session = sessions.start(change.session, held.name, origin.address, origin.name, at)
    return SignedIn(session, browser.with_name(held.name, held.password_hash))


async def require_password(database: Database, actor: Actor, password: str, at: datetime) -> User:
    """Check the password of a person who is signed in, and return the user as checked.

    This check stops a stranger at an unattended browser from taking over the account. Raises WrongPassword,
    TooManyAttempts.
    """
    attempt = throttle.account_attempt(actor.name)
    async with turn():
        await throttle.take(database, attempt, at)
        user = await _user(database, actor.name)
        if user is None or not await _is_password(password, user):
            raise WrongPassword(_NOT_CURRENT)
        async with database.write() as session:
            await throttle.give_back(session, attempt, at)
    return user


async def unchanged_user(change: Change, checked: User) -> User:
    """Return a user and lock the row until this change ends. Raises WrongPassword unless the password is as checked."""
    held = await locked_user(change, checked.name)
    if not _is_unchanged(held, checked):
        raise WrongPassword(_NOT_CURRENT)
    return held


def _is_unchanged(held: User, checked: User | None) -> bool:
    """Return whether a user still has the password that was checked.

    Checking takes a while, without a lock. Whoever changes their password in that time wants the old one to be void.
    """
    return checked is not None and held.password_hash == checked.password_hash


_NOT_CURRENT = "This is not your current password. Nothing was changed."


def _attempt(name: str, address: str, browser: KnownBrowser, user: User | None) -> throttle.Attempt:
    known = user is not None and browser.knows(name, user.password_hash)
    return throttle.sign_in_attempt(name, address, browser.id if known else "")


def _wrong(user: User | None) -> NotSignedIn:
    said = "Name, password or one-time code is wrong. Nothing was changed."
    return NotSignedIn(said, user.name if user else "")


async def _second_factor(change: Change, user: User, code: str) -> str | None:
    """Check the second factor and use it up. Return its kind, "" if the user has none, and None if it is wrong."""
    if user.totp_secret is None or user.totp_confirmed_at is None:
        return ""
    if recovery_codes.is_recovery_code(code):
        return "recovery" if await recovery_codes.use(change.session, user.name, code, change.at) else None
    step = totp.step_of(user.totp_secret, code, change.at, user.totp_last_step)
    if step is None:
        return None
    user.totp_last_step = step
    return "one-time"


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
    if user is not None:
        return await is_password(password, user.password_hash)
    if not _NOBODY:
        _NOBODY.append(await hash_password(random_password()))
    await is_password(password, _NOBODY[0])
    return False
