"""User accounts. Passwords are stored as argon2id hashes; a user is disabled, never deleted.

Only an admin and the operator's shell may change accounts. At least one admin can always sign in.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import select

from admin_web.pbx.pbx import EXTENSION
from admin_web.people import recovery_codes, sessions, throttle
from admin_web.people.passwords import FIRST_PASSWORD_LIFE, new_hash, random_password
from admin_web.people.permissions import Permission, allowed
from admin_web.record.changes import Actor, Change, changing, utc_now
from admin_web.record.database import Database
from admin_web.record.dialect import insert_into
from admin_web.record.models import User
from compliance.consent import Role
from compliance.refusal import Refused, Unwritable, cleaned, require

NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}", re.ASCII)
"""User names contain no colon, so that no user can have a name such as `shell:root`, by which the record refers to the
operator's shell.
"""

FIRST_ADMIN = "admin"

Now = Callable[[], datetime]


class NameTaken(Refused):
    """A user has or had this name. The record refers to users by name, so a name is never reused."""


class UnknownUser(Refused):
    """No user has this name."""


class LastAdmin(Refused):
    """The change would leave no admin. Only an admin may manage users, lift entries and revoke overrides."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is the last admin who can sign in. Make another user an admin first.")


async def add_user(
    database: Database,
    actor: Actor,
    name: str,
    role: Role,
    password: str,
    full_name: str = "",
    *,
    now: Now = utc_now,
) -> None:
    """Create a user who can sign in. The password ends after `FIRST_PASSWORD_LIFE`.

    Raises NameTaken, Unwritable, NotPermitted.
    """
    _require_admin(actor)
    if not NAME.fullmatch(name):
        raise Unwritable(
            "A user name has 1 to 64 lower-case letters, digits, dots, dashes and underscores. It begins with a letter."
        )
    hashed = await new_hash(password, name, full_name)
    async with changing(database, actor, now) as change:
        values = {
            "name": name,
            "full_name": cleaned(full_name, 200, "The full name"),
            "role": role,
            "password_hash": hashed,
            "password_until": change.at + FIRST_PASSWORD_LIFE,
            "created_at": change.at,
            "created_by": actor.name,
        }
        insert = insert_into(change.session, User).values(values).on_conflict_do_nothing().returning(User.id)
        if await change.session.scalar(insert) is None:
            raise NameTaken(f"There is already a user {name}, perhaps a disabled one. Choose another name.")
        change.audit("add-user", "user", name, role=role)


async def add_first_admin(database: Database, actor: Actor) -> str | None:
    """Create the user `FIRST_ADMIN` with a random password and return the password, or None if any user exists."""
    if await users(database):
        return None
    password = random_password()
    try:
        await add_user(database, actor, FIRST_ADMIN, Role.ADMIN, password)
    except NameTaken:  # Another process started at the same time and created the user first.
        return None
    return password


async def set_password(database: Database, actor: Actor, name: str, password: str, *, now: Now = utc_now) -> None:
    """Set a user's password and end their sessions. The password ends after `FIRST_PASSWORD_LIFE`.

    Raises UnknownUser, Unwritable, NotPermitted.
    """
    _require_admin(actor)
    hashed = await new_hash(password, name, await full_name_of(database, name))
    async with changing(database, actor, now) as change:
        user = await locked_user(change, name)
        user.password_hash, user.password_until = hashed, change.at + FIRST_PASSWORD_LIFE
        await sessions.end_all(change.session, name, actor.name, change.at)
        change.audit("set-password", "user", name)


async def disable_user(database: Database, actor: Actor, name: str) -> bool:
    """Disable a user and end their sessions. Returns False if the user was disabled already.

    Raises UnknownUser, LastAdmin, NotPermitted.
    """
    _require_admin(actor)
    async with changing(database, actor) as change:
        admins = await _locked_admins(change)
        user = await locked_user(change, name)
        if user.disabled_at is not None:
            return False
        if admins == [name]:
            raise LastAdmin(name)
        user.disabled_at, user.disabled_by = change.at, actor.name
        await sessions.end_all(change.session, name, actor.name, change.at)
        change.audit("disable-user", "user", name)
    return True


async def enable_user(database: Database, actor: Actor, name: str) -> bool:
    """Enable a disabled user. Returns False if the user was not disabled. Raises UnknownUser, NotPermitted."""
    _require_admin(actor)
    async with changing(database, actor) as change:
        user = await locked_user(change, name)
        if user.disabled_at is None:
            return False
        user.disabled_at = user.disabled_by = None
        change.audit("enable-user", "user", name)
    return True


async def change_user(
    database: Database, actor: Actor, name: str, *, role: Role | None = None, extension: str | None = None
) -> bool:
    """Change a user's role or telephone extension. Returns False if nothing changed.

    The change applies from the user's next request. If the extension is empty, the user name is the extension. Raises
    UnknownUser, LastAdmin, Unwritable, NotPermitted.
    """
    _require_admin(actor)
    if extension and not EXTENSION.fullmatch(extension):
        raise Unwritable("An extension has 1 to 64 letters, digits, dots, dashes and underscores.")
    async with changing(database, actor) as change:
        admins = await _locked_admins(change)
        user = await locked_user(change, name)
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
    """End all sessions of a user. Returns how many there were. Raises UnknownUser, NotPermitted."""
    _require_admin(actor)
    async with changing(database, actor) as change:
        await locked_user(change, name)
        ended = await sessions.end_all(change.session, name, actor.name, change.at)
        change.audit("end-sessions", "user", name, sessions=ended)
    return ended


async def reset_totp(database: Database, actor: Actor, name: str) -> bool:
    """Turn off one-time codes for a user who has lost their telephone, and end their sessions.

    Returns False if the user had none.

    Raises UnknownUser, NotPermitted.
    """
    _require_admin(actor)
    async with changing(database, actor) as change:
        user = await locked_user(change, name)
        if user.totp_secret is None:
            return False
        user.totp_secret = user.totp_confirmed_at = None
        await recovery_codes.forget(change.session, name)
        await sessions.end_all(change.session, name, actor.name, change.at)
        change.audit("reset-totp", "user", name)
    return True


async def unlock_user(database: Database, actor: Actor, name: str, *, now: Now = utc_now) -> None:
    """Let a user try to sign in although there were too many attempts for their name.

    Raises UnknownUser, NotPermitted.
    """
    _require_admin(actor)
    async with changing(database, actor, now) as change:
        await locked_user(change, name)
        await throttle.unlock(change.session, name, change.at)
        change.audit("unlock-user", "user", name)


async def users(database: Database) -> Sequence[User]:
    """Return all users by name, including disabled ones."""
    async with database.read() as session:
        return (await session.scalars(select(User).order_by(User.name))).all()


async def full_name_of(database: Database, name: str) -> str:
    """Return a user's full name; empty if there is none."""
    async with database.read() as session:
        return await session.scalar(select(User.full_name).where(User.name == name)) or ""


async def locked_user(change: Change, name: str) -> User:
    """Return a user and lock the row until this change ends. Raises UnknownUser."""
    user = await change.session.scalar(select(User).where(User.name == name).with_for_update())
    if user is None:
        raise UnknownUser(f"There is no user {name}.")
    return user


async def _locked_admins(change: Change) -> list[str]:
    """Return the names of the admins who can sign in.

    Their rows are locked, so that two admins who disable each other at the same time cannot both succeed.
    """
    admins = select(User).where(User.role == Role.ADMIN, User.disabled_at.is_(None)).order_by(User.id)
    return [user.name for user in await change.session.scalars(admins.with_for_update())]


def _require_admin(actor: Actor) -> None:
    require(lambda role: allowed(role, Permission.MANAGE), actor.role, "manage users")
