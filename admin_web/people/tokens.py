"""Bearer tokens of the API. A token is shown once; only its SHA-256 is stored."""

import hashlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from sqlalchemy import and_, select, update

from admin_web.people.addresses import read_networks
from admin_web.record.changes import Actor, Change, changing
from admin_web.record.database import Database
from admin_web.record.dialect import insert_into
from admin_web.record.models import ApiToken, User
from compliance.consent import Role
from compliance.refusal import Refused, Unwritable, cleaned

PREFIX = "dnc_"
"""The prefix by which people and secret scanners recognise a leaked token."""

USED_EVERY = timedelta(minutes=1)
"""The shortest interval between two records of a token's last use. Without it every request would write to SQL."""

USUAL_LIFE = timedelta(days=365)
LONGEST_LIFE = timedelta(days=2 * 366)
"""The longest life of a new token. Tokens from before there was a limit go on without an end."""

USUAL_PER_MINUTE = 6_000
MOST_PER_MINUTE = 600_000

LONGEST_NAME = 58
"""The maximum length of a token's name. The record refers to a token as `token:NAME`, in columns of 64 characters."""

Token: TypeAlias = ApiToken
"""The record of a token, for callers that do not know the tables."""

_ADMINS = select(User.name).where(User.role == Role.ADMIN, User.disabled_at.is_(None)).order_by(User.name)


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


class NotResponsible(Refused):
    """Only an admin who can sign in may be responsible for a token."""


@dataclass(frozen=True, slots=True)
class TokenTerms:
    """The limits of a new token: its end, the person responsible, the networks it may come from, requests a minute.

    Without an end the token ends after `USUAL_LIFE`. `responsible` is empty for tokens of tests and benchmarks only;
    the site and the commands always name a person.
    """

    expires_at: datetime | None = None
    responsible: str = ""
    addresses: str = ""
    per_minute: int | None = None


USUAL = TokenTerms()


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token, and whether the person responsible for it is still an admin who can sign in."""

    token: ApiToken
    answered_for: bool


async def make_token(
    database: Database, actor: Actor, name: str, scopes: Collection[Scope], terms: TokenTerms = USUAL
) -> str:
    """Create a token and return it. It cannot be read again later.

    Raises TokenNameTaken, Unwritable, NotResponsible.
    """
    if not scopes:
        raise Unwritable("A token needs at least one scope.")
    if terms.per_minute is not None and not 1 <= terms.per_minute <= MOST_PER_MINUTE:
        raise Unwritable(f"The rate limit of a token is 1 to {MOST_PER_MINUTE:,} requests a minute.")
    name = cleaned(name, LONGEST_NAME, "The name", required=True)
    token = PREFIX + secrets.token_urlsafe(32)
    async with changing(database, actor) as change:
        end = _end(terms.expires_at, change.at)
        if terms.responsible:
            await _require_responsible(change, terms.responsible)
        networks = read_networks(terms.addresses)
        values = {
            "name": name,
            "token_hash": hashed(token),
            "scopes": sorted(set(scopes)),
            "created_at": change.at,
            "created_by": actor.name,
            "expires_at": end,
            "responsible": terms.responsible or None,
            "addresses": networks,
            "per_minute": terms.per_minute,
        }
        insert = insert_into(change.session, ApiToken).values(values)
        made = insert.on_conflict_do_nothing(index_elements=["name"]).returning(ApiToken.id)
        if await change.session.scalar(made) is None:
            raise TokenNameTaken(f"There is already a token {name}, perhaps a revoked one. Choose another name.")
        change.audit(
            "make-token", "token", name, scopes=" ".join(sorted(scopes)), expires_at=end.isoformat(),
            person=terms.responsible, addresses=networks,
        )  # fmt: skip
    return token


async def assign_token(database: Database, actor: Actor, name: str, responsible: str) -> None:
    """Make another admin responsible for a token. Raises UnknownToken, NotResponsible."""
    async with changing(database, actor) as change:
        token = await _locked_token(change, name)
        await _require_responsible(change, responsible)
        change.audit("change-token", "token", name, person=responsible, was=token.responsible or "")
        token.responsible = responsible


async def revoke_token(database: Database, actor: Actor, name: str) -> bool:
    """Revoke a token at once. Returns False if it was revoked already. Raises UnknownToken."""
    async with changing(database, actor) as change:
        token = await _locked_token(change, name)
        if token.revoked_at is not None:
            return False
        token.revoked_at, token.revoked_by = change.at, actor.name
        change.audit("revoke-token", "token", name)
    return True


async def revoke_tokens_of(database: Database, actor: Actor, responsible: str) -> Sequence[str]:
    """Revoke all tokens for which a person is responsible, and return their names."""
    async with changing(database, actor) as change:
        held = select(ApiToken).where(ApiToken.responsible == responsible, ApiToken.revoked_at.is_(None))
        found = (await change.session.scalars(held.order_by(ApiToken.id).with_for_update())).all()
        for token in found:
            token.revoked_at, token.revoked_by = change.at, actor.name
            change.audit("revoke-token", "token", token.name)
        return [token.name for token in found]


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


async def tokens(database: Database) -> Sequence[TokenRow]:
    """Return all tokens by name, including revoked ones."""
    answers = and_(User.name == ApiToken.responsible, User.role == Role.ADMIN, User.disabled_at.is_(None))
    query = select(ApiToken, User.name).outerjoin(User, answers).order_by(ApiToken.name)
    async with database.read() as session:
        return [TokenRow(token, person is not None) for token, person in await session.execute(query)]


async def tokens_of(database: Database, responsible: str, at: datetime) -> Sequence[str]:
    """Return the names of the valid tokens for which a person is responsible at `at` (aware UTC)."""
    held = [row.token for row in await tokens(database) if row.token.responsible == responsible]
    return [token.name for token in held if token.is_good(at)]


async def responsible_people(database: Database) -> Sequence[str]:
    """Return the names of those who may be responsible for a token: the admins who can sign in."""
    async with database.read() as session:
        return (await session.scalars(_ADMINS)).all()


async def only_admin(database: Database) -> str:
    """Return the only admin who can sign in. Raises NotResponsible if there are several or none."""
    admins = await responsible_people(database)
    if len(admins) != 1:
        raise NotResponsible("Say which admin is responsible for the token. It must be one who can sign in.")
    return admins[0]


def hashed(token: str) -> str:
    """Return the SHA-256 of a token. It has 256 random bits and cannot be guessed, so no slow hash is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def _end(wanted: datetime | None, at: datetime) -> datetime:
    """Return the end of a new token. Raises Unwritable."""
    end = wanted or at + USUAL_LIFE
    if not at < end <= at + LONGEST_LIFE:
        raise Unwritable(f"The end of a token must be in the future, and at most {LONGEST_LIFE.days} days away.")
    return end


async def _require_responsible(change: Change, name: str) -> None:
    """Raise NotResponsible unless this is an admin who can sign in."""
    if name not in (await change.session.scalars(_ADMINS)).all():
        raise NotResponsible(f"{name} is no admin who can sign in, and so cannot be responsible for a token.")


async def _locked_token(change: Change, name: str) -> ApiToken:
    token = await change.session.scalar(select(ApiToken).where(ApiToken.name == name).with_for_update())
    if token is None:
        raise UnknownToken(f"There is no token {name}.")
    return token
