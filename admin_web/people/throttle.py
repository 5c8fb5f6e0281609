"""How often somebody may try to sign in: token buckets on record, so that every site process counts alike."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from math import ceil

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.database import Database
from admin_web.record.dialect import insert_into
from admin_web.record.models import SignInBucket
from compliance.refusal import Refused


class TooManyAttempts(Refused):
    """Somebody has tried too often; the message says how long to wait."""


@dataclass(frozen=True, slots=True)
class AttemptBucket:
    """Room for `most` attempts, one more every `refill_s` seconds."""

    key: str
    most: int
    refill_s: float


def plain_address(peer: str | None) -> str:
    """Return the address of a peer in its usual spelling; empty where there is none, as for a unix socket."""
    try:
        return str(ip_address(peer or ""))
    except ValueError:
        return ""


def buckets(name: str, address: str) -> tuple[AttemptBucket, ...]:
    """Name the buckets of an attempt: of the address, of the name from that address, and of the name from anywhere.

    The last one is wide: nobody can keep a person out by failing in their name, and still a thousand addresses
    guess no faster than one a minute.
    """
    return (
        AttemptBucket(_key("address", address), 30, 10),
        AttemptBucket(_key("pair", f"{address} {name}"), 6, 60),
        AttemptBucket(_key("name", name), 60, 60),
    )


async def take(database: Database, wanted: Sequence[AttemptBucket], at: datetime) -> None:
    """Take one attempt out of each bucket. Raises TooManyAttempts, taking none, when one of them is empty."""
    async with database.write() as session:
        filled = {bucket: await _filled(session, bucket, at) for bucket in wanted}
        wait_s = max((1 - tokens) * bucket.refill_s for bucket, tokens in filled.items())
        if wait_s > 0:
            raise TooManyAttempts(f"Too many attempts to sign in. Try again in {_said(wait_s)}.")
        for bucket, tokens in filled.items():
            await _put(session, bucket, tokens - 1, at)


async def give_back(session: AsyncSession, name: str, address: str, at: datetime) -> None:
    """Fill the buckets of a name from an address again: its person has proved who they are."""
    for bucket in buckets(name, address)[1:]:
        await _put(session, bucket, bucket.most, at)


async def _filled(session: AsyncSession, bucket: AttemptBucket, at: datetime) -> float:
    kept = select(SignInBucket.tokens, SignInBucket.filled_at).where(SignInBucket.key == bucket.key)
    row = (await session.execute(kept.with_for_update())).one_or_none()
    if row is None:
        return bucket.most
    refilled: float = row.tokens + (at - row.filled_at).total_seconds() / bucket.refill_s
    return min(bucket.most, refilled)


async def _put(session: AsyncSession, bucket: AttemptBucket, tokens: float, at: datetime) -> None:
    values = {"tokens": tokens, "filled_at": at}
    insert = insert_into(session, SignInBucket).values(key=bucket.key, **values)
    await session.execute(insert.on_conflict_do_update(index_elements=["key"], set_=values))


def _key(kind: str, of: str) -> str:
    """Spell a bucket's key: what an attempt brings may be of any length and content."""
    return f"{kind}:{hashlib.sha256(of.encode('utf-8', 'replace')).hexdigest()[:48]}"


def _said(seconds: float) -> str:
    return f"{ceil(seconds)} seconds" if seconds <= 90 else f"{ceil(seconds / 60)} minutes"
