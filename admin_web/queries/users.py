"""Users, for the pages of users and of the own account."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select

from admin_web.people.sessions import is_open
from admin_web.queries.paging import PAGE_ROWS, Key, Page, page_of
from admin_web.record.database import Database
from admin_web.record.models import SignInSession, User
from compliance.consent import Role


@dataclass(frozen=True, slots=True)
class UserRow:
    """One user. `codes_since` is when one-time codes were turned on, None if off; `sessions` counts the open ones."""

    name: str
    full_name: str
    role: str
    codes_since: datetime | None
    created_at: datetime
    created_by: str
    disabled_at: datetime | None
    disabled_by: str | None
    extension: str
    time_zone: str
    sessions: int


_USER = (
    User.name, User.full_name, User.role, User.totp_confirmed_at, User.created_at, User.created_by, User.disabled_at,
    User.disabled_by, User.extension, User.time_zone,
)  # fmt: skip


async def user_page(database: Database, at: datetime, behind: Key | None = None) -> Page[UserRow]:
    """Return a page of users by name, including disabled ones, in their state at `at` (aware UTC)."""
    query = _users(at).order_by(User.name).limit(PAGE_ROWS + 1)
    if behind is not None:
        query = query.where(User.name > behind[0])
    async with database.read() as session:
        found = [UserRow(*row) for row in await session.execute(query)]
    return page_of(found, lambda row: (row.name,))


async def user_of(database: Database, name: str, at: datetime) -> UserRow | None:
    """Return one user at `at` (aware UTC); None when they do not exist."""
    async with database.read() as session:
        found = (await session.execute(_users(at).where(User.name == name))).one_or_none()
    return UserRow(*found) if found else None


async def another_admin(database: Database, name: str) -> str:
    """Return the name of an admin who can sign in, other than `name`; empty if there is none."""
    others = select(User.name).where(User.role == Role.ADMIN, User.disabled_at.is_(None), User.name != name)
    async with database.read() as session:
        return await session.scalar(others.order_by(User.name).limit(1)) or ""


def _users(at: datetime) -> Select[*tuple[Any, ...]]:
    open_ones = select(func.count()).where(SignInSession.user_name == User.name, *is_open(at)).scalar_subquery()
    return select(*_USER, open_ones)
