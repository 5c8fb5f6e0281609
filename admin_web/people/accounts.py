"""People who sign in. Passwords are kept as argon2id hashes; a person is disabled, never deleted.

An operator's shell may do all of it, of roles only the admin. There is always one admin who can sign in.
"""

import asyncio
import re
import secrets
from collections.abc import Sequence

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select

from admin_web.pbx.pbx import EXTENSION
from admin_web.people import sessions
from admin_web.people.permissions import Permission, allowed
from admin_web.record.changes import Actor, Change, changing
from admin_web.record.database import Database
from admin_web.record.dialect import insert_into
from admin_web.record.models import User
from compliance.consent import Role
from compliance.refusal import Refused, Unwritable, cleaned, require

NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}", re.ASCII)
"""No colon: nobody signs in as `shell:root`."""

FIRST_ADMIN = "admin"

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 1024

_HASHER = PasswordHasher()
"""argon2id with the parameters of RFC 9106, section 4, for little memory: 64 MiB, three passes."""


class NameTaken(Refused):
    """Somebody bears this name already, or did: names stand in the record and are not given twice."""


class UnknownUser(Refused):
    """There is no such user."""


class LastAdmin(Refused):
    """Nobody else could manage users, lift entries or revoke overrides any more."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is the last admin who can sign in; make somebody else an admin first.")


async def add_user(database: Database, actor: Actor, name: str, role: Role, password: str, full_name: str = "") -> None:
    """Let a person sign in. Raises NameTaken, Unwritable, NotPermitted."""
    _require_admin(actor)
    if not NAME.fullmatch(name):
        raise Unwritable("A user name is 1 to 64 small letters, digits, dots, dashes and underscores, a letter first.")
    hashed = await hash_password(password)
    async with changing(database, actor) as change:
        values = {
            "name": name,
            "full_name": cleaned(full_name, 200, "The full name"),
            "role": role,
            "password_hash": hashed,
            "created_at": change.at,
            "created_by": actor.name,
        }
        insert = insert_into(change.session, User).values(values).on_conflict_do_nothing().returning(User.id)
        if await change.session.scalar(insert) is None:
            raise NameTaken(f"There is a user {name} already, perhaps a disabled one; choose another name.")
        change.audit("add-user", "user", name, role=role)


async def add_first_admin(database: Database, actor: Actor) -> str | None:
    """Make the user `FIRST_ADMIN` with a made-up password, and give that; None when there is any user already."""
    if await users(database):
        return None
    password = random_password()
    try:
        await add_user(database, actor, FIRST_ADMIN, Role.ADMIN, password)
    except NameTaken:  # Another start was faster.
        return None
    return password


async def set_password(database: Database, actor: Actor, name: str, password: str) -> None:
    """Give a user another password, and end their sessions. Raises UnknownUser, Unwritable, NotPermitted."""
    _require_admin(actor)
    hashed = await hash_password(password)
    async with changing(database, actor) as change:
        user = await held_user(change, name)
        user.password_hash = hashed
        await sessions.end_all(change.session, name, actor.name, change.at)
        change.audit("set-password", "user", name)


async def disable_user(database: Database, actor: Actor, name: str) -> bool:
    """Let a user sign in no more, and end their sessions; False when that was so before.

    Raises UnknownUser, LastAdmin, NotPermitted.
    """
    _require_admin(actor)
    async with changing(database, actor) as change:
        admins = await _held_admins(change)
        user = await held_user(change, name)
        if user.disabled_at is not None:
            return False
        if admins == [name]:
            raise LastAdmin(name)
        user.disabled_at, user.disabled_by = change.at, actor.name
        await sessions.end_all(change.session, name, actor.name, change.at)
        change.audit("disable-user", "user", name)
    return True


async def enable_user(database: Database, actor: Actor, name: str) -> bool:
    """Let a disabled user sign in again; False when they could before. Raises UnknownUser, NotPermitted."""
    _require_admin(actor)
    async with changing(database, actor) as change:
        user = await held_user(change, name)
        if user.disabled_at is None:
            return False
        user.disabled_at = user.disabled_by = None
        change.audit("enable-user", "user", name)
    return True


async def change_user(
    database: Database, actor: Actor, name: str, *, role: Role | None = None, extension: str | None = None
) -> bool:
    """Give a user another role or telephone extension, in force on their next click; False when both were theirs.

    An empty extension stands for the user's name. Raises UnknownUser, LastAdmin, Unwritable, NotPermitted.
    """
    _require_admin(actor)
    if extension and not EXTENSION.fullmatch(extension):
        raise Unwritable("An extension is 1 to 64 letters, digits, dots, dashes and underscores.")
    async with changing(database, actor) as change:
        admins = await _held_admins(change)
        user = await held_user(change, name)
        was = (Role(user.role), user.extension)
        wanted = (was[0] if role is None else role, was[1] if extension is None else extension)
        if wanted == was:
            return False
        if admins == [name] and wanted[0] is not Role.ADMIN:
            raise LastAdmin(name)
        user.role, user.extension = wanted
        change.audit("change-user", "user", name, role=wanted[0], extension=wanted[1], was=" ".join(was).strip())
    return True


async def end_sessions(database: Database, actor: Actor, name: str) -> int:
    """End every session of a user; give how many that was. Raises UnknownUser, NotPermitted."""
    _require_admin(actor)
    async with changing(database, actor) as change:
        await held_user(change, name)
        ended = await sessions.end_all(change.session, name, actor.name, change.at)
        change.audit("end-sessions", "user", name, sessions=ended)
    return ended


async def reset_totp(database: Database, actor: Actor, name: str) -> bool:
    """Let a user who lost their telephone sign in without a one-time code; False when none was asked of them.

    Raises UnknownUser, NotPermitted.
    """
    _require_admin(actor)
    async with changing(database, actor) as change:
        user = await held_user(change, name)
        if user.totp_secret is None:
            return False
        user.totp_secret = user.totp_confirmed_at = None
        change.audit("reset-totp", "user", name)
    return True


async def users(database: Database) -> Sequence[User]:
    """Give every user by name, the disabled ones too."""
    async with database.read() as session:
        return (await session.scalars(select(User).order_by(User.name))).all()


async def hash_password(password: str) -> str:
    """Hash a password, off the event loop: it takes a core for some 50 ms. Raises Unwritable."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise Unwritable(f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.")
    return await asyncio.to_thread(_HASHER.hash, password)


async def is_password(password: str, hashed: str) -> bool:
    """Tell whether a password is the hashed one."""
    try:
        return await asyncio.to_thread(_HASHER.verify, hashed, password)
    except (VerificationError, InvalidHashError):
        return False


def random_password() -> str:
    """Make up a password of 120 random bits."""
    return secrets.token_urlsafe(15)


async def held_user(change: Change, name: str) -> User:
    """Give a user, whom nobody else changes until this change is over. Raises UnknownUser."""
    user = await change.session.scalar(select(User).where(User.name == name).with_for_update())
    if user is None:
        raise UnknownUser(f"There is no user {name}.")
    return user


async def _held_admins(change: Change) -> list[str]:
    """Name the admins who can sign in. Their rows are held: two who disable each other at once come one by one."""
    admins = select(User).where(User.role == Role.ADMIN, User.disabled_at.is_(None)).order_by(User.id)
    return [user.name for user in await change.session.scalars(admins.with_for_update())]


def _require_admin(actor: Actor) -> None:
    require(lambda role: allowed(role, Permission.MANAGE), actor.role, "manage users")
