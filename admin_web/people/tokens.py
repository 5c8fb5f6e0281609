"""Bearer tokens of the API: shown once, kept as their SHA-256 alone."""

import hashlib
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select, update

from admin_web.record.changes import Actor, changing
from admin_web.record.database import Database
from admin_web.record.dialect import insert_into
from admin_web.record.models import ApiToken
from compliance.refusal import Refused, Unwritable, cleaned

PREFIX = "dnc_"
"""What a leaked token is recognised by."""

USED_EVERY = timedelta(minutes=1)
"""How often a token's last use is written down; a call is not a write each time."""

LONGEST_NAME = 58
"""A token stands on record as `token:NAME`, in a column of 64 characters."""


class Scope(StrEnum):
    """What a token may do. `read` sees people and calls; `scrub` only learns whether numbers may be dialled."""

    READ = "read"
    SCRUB = "scrub"
    LEADS = "leads"
    SUPPRESS = "suppress"
    LIFT = "lift"
    OVERRIDE = "override"
    REVOKE = "revoke"


class TokenNameTaken(Refused):
    """A token bears this name already, or did."""


class UnknownToken(Refused):
    """There is no such token."""


async def make_token(
    database: Database, actor: Actor, name: str, scopes: Collection[Scope], expires_at: datetime | None = None
) -> str:
    """Make a token and give it, for the only time. Raises TokenNameTaken, Unwritable."""
    if not scopes:
        raise Unwritable("A token needs at least one scope.")
    name = cleaned(name, LONGEST_NAME, "The name", required=True)
    token = PREFIX + secrets.token_urlsafe(32)
    async with changing(database, actor) as change:
        if expires_at is not None and expires_at <= change.at:
            raise Unwritable("A token ends after now.")
        values = {
            "name": name,
            "token_hash": hashed(token),
            "scopes": sorted(set(scopes)),
            "created_at": change.at,
            "created_by": actor.name,
            "expires_at": expires_at,
        }
        insert = insert_into(change.session, ApiToken).values(values)
        made = insert.on_conflict_do_nothing(index_elements=["name"]).returning(ApiToken.id)
        if await change.session.scalar(made) is None:
            raise TokenNameTaken(f"There is a token {name} already, perhaps a revoked one; choose another name.")
        change.audit("make-token", "token", name, scopes=" ".join(sorted(scopes)))
    return token


async def revoke_token(database: Database, actor: Actor, name: str) -> bool:
    """End a token at once; False when it had been revoked before. Raises UnknownToken."""
    async with changing(database, actor) as change:
        token = await change.session.scalar(select(ApiToken).where(ApiToken.name == name).with_for_update())
        if token is None:
            raise UnknownToken(f"There is no token {name}.")
        if token.revoked_at is not None:
            return False
        token.revoked_at, token.revoked_by = change.at, actor.name
        change.audit("revoke-token", "token", name)
    return True


async def live_token(database: Database, token: str, at: datetime) -> ApiToken | None:
    """Find the token that a caller presents at `at` (aware UTC), unless it was revoked or is over."""
    async with database.read() as session:
        found = await session.scalar(select(ApiToken).where(ApiToken.token_hash == hashed(token)))
    return found if found is not None and found.is_good(at) else None


async def note_use(database: Database, token_id: int, last: datetime | None, at: datetime) -> None:
    """Write down that a token was used at `at`, unless it was used a moment before, at `last` (both aware UTC)."""
    if last is None or at - last >= USED_EVERY:
        async with database.write() as session:
            await session.execute(update(ApiToken).where(ApiToken.id == token_id).values(last_used_at=at))


async def tokens(database: Database) -> Sequence[ApiToken]:
    """Give every token by name, the revoked ones too."""
    async with database.read() as session:
        return (await session.scalars(select(ApiToken).order_by(ApiToken.name))).all()


def hashed(token: str) -> str:
    """Give the SHA-256 of a token. It has 256 random bits: there is nothing to guess, so no slow hash is needed."""
    return hashlib.sha256(token.encode()).hexdigest()
