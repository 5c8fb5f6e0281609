"""Sign-in sessions. They are stored on the server; the browser has only a random cookie."""

import hashlib
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Update, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.database import Database, DatabaseUnavailable
from admin_web.record.models import SignInSession, User
from compliance.consent import Role

LIFE = timedelta(hours=12)
IDLE = timedelta(hours=2)
SEEN_EVERY = timedelta(minutes=1)
"""The shortest interval between two records of a session's last use. Without it every page view would write to SQL."""


@dataclass(frozen=True, slots=True)
class Person:
    """The person who sends a request, identified by an open session.

    `time_zone` is the name of the zone in which they see times and days; empty for the installation's.
    """

    name: str
    full_name: str
    role: Role
    session_id: int
    csrf_token: str
    time_zone: str = ""
    first_password: bool = False
    """Whether somebody else has set the password, so that the person must change it."""
    codes_on: bool = False
    """Whether sign-in needs a one-time code."""


def start(session: AsyncSession, user_name: str, address: str, browser: str, at: datetime) -> str:
    """Open a session within a transaction and return its cookie. Only the hash of the cookie is stored."""
    token = secrets.token_urlsafe(32)
    opened = SignInSession(
        token_hash=hashed(token),
        csrf_token=secrets.token_urlsafe(32),
        user_name=user_name,
        address=address[:64],
        browser=browser[:200],
        started_at=at,
        seen_at=at,
        expires_at=at + LIFE,
    )
    session.add(opened)
    return token


async def person_of(database: Database, token: str, at: datetime) -> Person | None:
    """Return the person whose cookie this is; None if the session has ended or expired, or the person is disabled.

    A session expires after `LIFE`, or after `IDLE` without a request.
    """
    columns = (
        User.name, User.full_name, User.role, User.password_until, User.totp_confirmed_at, User.time_zone,
        SignInSession.id, SignInSession.csrf_token, SignInSession.seen_at,
    )  # fmt: skip
    found = (
        select(*columns)
        .join(User, User.name == SignInSession.user_name)
        .where(SignInSession.token_hash == hashed(token), *is_open(at), User.disabled_at.is_(None))
    )
    async with database.read() as session:
        row = (await session.execute(found)).one_or_none()
    if row is None:
        return None
    name, full_name, role, password_until, codes_since, time_zone, session_id, csrf_token, seen_at = row
    if at - seen_at >= SEEN_EVERY:
        await _seen(database, session_id, at)
    first, codes_on = password_until is not None, codes_since is not None
    return Person(name, full_name, Role(role), session_id, csrf_token, time_zone, first, codes_on)


async def end_own(session: AsyncSession, session_id: int, user_name: str, at: datetime) -> bool:
    """End one session of a person within a transaction. Returns False if it is not theirs or has already ended."""
    own = _ending(user_name, at).where(SignInSession.id == session_id, SignInSession.user_name == user_name)
    return await session.scalar(own.returning(SignInSession.id)) is not None


async def end_all(session: AsyncSession, user_name: str, by: str, at: datetime, *, but: int | None = None) -> int:
    """End all sessions of a person within a transaction, except `but`. Returns how many were ended."""
    ending = _ending(by, at).where(SignInSession.user_name == user_name).returning(SignInSession.id)
    ended = await session.scalars(ending if but is None else ending.where(SignInSession.id != but))
    return len(ended.all())


async def open_sessions(database: Database, user_name: str, at: datetime) -> Sequence[SignInSession]:
    """Return the sessions of a person that are open at `at`, most recently used first."""
    of_person = select(SignInSession).where(SignInSession.user_name == user_name, *is_open(at))
    async with database.read() as session:
        return (await session.scalars(of_person.order_by(SignInSession.seen_at.desc()))).all()


def is_open(at: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return the SQL conditions of a session that is open at `at` (aware UTC): neither ended nor expired nor idle.

    A session that began long after `at` was opened by a site with a wrong clock, and would live longer than `LIFE`.
    """
    table = SignInSession
    begun = table.expires_at < at + LIFE + IDLE
    return table.ended_at.is_(None), table.expires_at > at, begun, table.seen_at > at - IDLE


def hashed(token: str) -> str:
    """Return the SHA-256 of a cookie. It has 256 random bits and cannot be guessed, so no slow hash is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def _ending(by: str, at: datetime) -> Update:
    return update(SignInSession).where(SignInSession.ended_at.is_(None)).values(ended_at=at, ended_by=by)


async def _seen(database: Database, session_id: int, at: datetime) -> None:
    with suppress(DatabaseUnavailable):  # The page need not fail: a request one minute later writes again.
        async with database.write() as session:
            await session.execute(update(SignInSession).where(SignInSession.id == session_id).values(seen_at=at))
