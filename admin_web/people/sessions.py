"""Sessions on the server's side: listed, ended, and known to the browser by a random cookie alone."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Update, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.database import Database
from admin_web.record.models import SignInSession, User
from compliance.consent import Role

LIFE = timedelta(hours=12)
IDLE = timedelta(hours=2)
SEEN_EVERY = timedelta(minutes=1)
"""How often a session's last use is written down; a page view is not a write each time."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who a request comes from, by an open session."""

    name: str
    full_name: str
    role: Role
    session_id: int
    csrf_token: str


def start(session: AsyncSession, user_name: str, address: str, browser: str, at: datetime) -> str:
    """Open a session within a transaction and give its cookie; only the hash of it is kept."""
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
    """Find who holds a cookie, unless the session ended, idled away or is over, or the person was disabled."""
    found = (
        select(User.name, User.full_name, User.role, SignInSession.id, SignInSession.csrf_token, SignInSession.seen_at)
        .join(User, User.name == SignInSession.user_name)
        .where(SignInSession.token_hash == hashed(token), *is_open(at), User.disabled_at.is_(None))
    )
    async with database.read() as session:
        row = (await session.execute(found)).one_or_none()
    if row is None:
        return None
    name, full_name, role, session_id, csrf_token, seen_at = row
    if at - seen_at >= SEEN_EVERY:
        await _seen(database, session_id, at)
    return Person(name, full_name, Role(role), session_id, csrf_token)


async def end(database: Database, session_id: int, by: str, at: datetime) -> None:
    """End one session; one that has ended stays as it is."""
    async with database.write() as session:
        await session.execute(_ending(by, at).where(SignInSession.id == session_id))


async def end_own(session: AsyncSession, session_id: int, user_name: str, at: datetime) -> bool:
    """End one session of a person within a transaction; False when it is none of theirs, or has ended."""
    own = _ending(user_name, at).where(SignInSession.id == session_id, SignInSession.user_name == user_name)
    return await session.scalar(own.returning(SignInSession.id)) is not None


async def end_all(session: AsyncSession, user_name: str, by: str, at: datetime, *, but: int | None = None) -> int:
    """End every session of a person within a transaction, except `but`; give how many that was."""
    ending = _ending(by, at).where(SignInSession.user_name == user_name).returning(SignInSession.id)
    ended = await session.scalars(ending if but is None else ending.where(SignInSession.id != but))
    return len(ended.all())


async def open_sessions(database: Database, user_name: str, at: datetime) -> Sequence[SignInSession]:
    """Give the sessions of a person that are open at `at`, the one used last first."""
    of_person = select(SignInSession).where(SignInSession.user_name == user_name, *is_open(at))
    async with database.read() as session:
        return (await session.scalars(of_person.order_by(SignInSession.seen_at.desc()))).all()


def is_open(at: datetime) -> tuple[ColumnElement[bool], ...]:
    """Say in SQL which sessions are open at `at` (aware UTC): neither ended nor over nor idled away."""
    table = SignInSession
    return table.ended_at.is_(None), table.expires_at > at, table.seen_at > at - IDLE


def hashed(token: str) -> str:
    """Give the SHA-256 of a cookie. It has 256 random bits: no slow hash is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def _ending(by: str, at: datetime) -> Update:
    return update(SignInSession).where(SignInSession.ended_at.is_(None)).values(ended_at=at, ended_by=by)


async def _seen(database: Database, session_id: int, at: datetime) -> None:
    async with database.write() as session:
        await session.execute(update(SignInSession).where(SignInSession.id == session_id).values(seen_at=at))
