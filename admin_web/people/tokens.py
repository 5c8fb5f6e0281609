"""Bearer tokens of the API. A token is shown once; only its SHA-256 is stored."""

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
"""The prefix by which people and secret scanners recognise a leaked token."""

USED_EVERY = timedelta(minutes=1)
"""The shortest interval between two records of a token's last use. Without it every request would write to SQL."""

LONGEST_NAME = 58
"""The maximum length of a token's name. The record refers to a token as `token:NAME`, in columns of 64 characters."""


class Scope(StrEnum):
    """What a token may do. `read` gives access to people and calls, `scrub` only to whether numbers may be dialled.

    `dial` is what a dialer needs for the queue: claim leads, report outcomes, put leads back or take them off. `lists`
    is for patterns of whole area codes, and for making campaign lists.
    """

    READ = "read"
    SCRUB = "scrub"
    LEADS = "leads"
    DIAL = "dial"
    SUPPRESS = "suppress"
    LIFT = "lift"
    LISTS = "lists"
    OVERRIDE = "override"
    REVOKE = "revoke"


class TokenNameTaken(Refused):
    """A token has or had this name."""


class UnknownToken(Refused):
    """No token has this name."""


async def make_token(
    database: Database, actor: Actor, name: str, scopes: Collection[Scope], expires_at: datetime | None = None
) -> str:
    """Create a token and return it. It cannot be read again later. Raises TokenNameTaken, Unwritable."""
    if not scopes:
        raise Unwritable("A token needs at least one scope.")
    name = cleaned(name, LONGEST_NAME, "The name", required=True)
    token = PREFIX + secrets.token_urlsafe(32)
    async with changing(database, actor) as change:
        if expires_at is not None and expires_at <= change.at:
            raise Unwritable("The end of a token must be in the future.")
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
            raise TokenNameTaken(f"There is already a token {name}, perhaps a revoked one. Choose another name.")
        change.audit("make-token", "token", name, scopes=" ".join(sorted(scopes)))
    return token


async def revoke_token(database: Database, actor: Actor, name: str) -> bool:
    """Revoke a token at once. Returns False if it was revoked already. Raises UnknownToken."""
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
    """Return the record of a token; None if it is unknown, or revoked or expired at `at` (aware UTC)."""
    async with database.read() as session:
        found = await session.scalar(select(ApiToken).where(ApiToken.token_hash == hashed(token)))
    return found if found is not None and found.is_good(at) else None


async def record_use(database: Database, token_id: int, last: datetime | None, at: datetime) -> None:
    """Record that a token was used at `at`, unless its last recorded use, `last`, is recent (both aware UTC)."""
    if last is None or at - last >= USED_EVERY:
        async with database.write() as session:
            await session.execute(update(ApiToken).where(ApiToken.id == token_id).values(last_used_at=at))


async def tokens(database: Database) -> Sequence[ApiToken]:
    """Return all tokens by name, including revoked ones."""
    async with database.read() as session:
        return (await session.scalars(select(ApiToken).order_by(ApiToken.name))).all()


def hashed(token: str) -> str:
    """Return the SHA-256 of a token. It has 256 random bits and cannot be guessed, so no slow hash is needed."""
    return hashlib.sha256(token.encode()).hexdigest()
