"""Limits on sign-in attempts: token buckets in the database, so that all processes of the site share them."""

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
    """There were too many sign-in attempts. The message says how long to wait."""


@dataclass(frozen=True, slots=True)
class AttemptBucket:
    """A token bucket with at most `most` attempts. It gains one attempt every `refill_s` seconds."""

    key: str
    most: int
    refill_s: float


def plain_address(peer: str | None) -> str:
    """Return the address of a peer in its canonical form; "" for a peer without an address, such as a Unix socket."""
    try:
        return str(ip_address(peer or ""))
    except ValueError:
        return ""


def buckets(name: str, address: str) -> tuple[AttemptBucket, ...]:
    """Return the buckets of an attempt: the address, the name from this address, and the name from any address.

    The third bucket is large. An attacker at one address empties the second bucket first, so the person can still sign
    in from elsewhere. But in the long run the third bucket refills slowly: even a thousand addresses together can try a
    name only once a minute.
    """
    return (
        AttemptBucket(_key("address", address), 30, 10),
        AttemptBucket(_key("pair", f"{address} {name}"), 6, 60),
        AttemptBucket(_key("name", name), 60, 60),
    )


async def take(database: Database, wanted: Sequence[AttemptBucket], at: datetime) -> None:
    """Take one attempt from each bucket. If one of them is empty, take none and raise TooManyAttempts."""
    async with database.write() as session:
        filled = {bucket: await _filled(session, bucket, at) for bucket in wanted}
        wait_s = max((1 - tokens) * bucket.refill_s for bucket, tokens in filled.items())
        if wait_s > 0:
            raise TooManyAttempts(f"Too many attempts to sign in. Try again in {_duration(wait_s)}.")
        for bucket, tokens in filled.items():
            await _write(session, bucket, tokens - 1, at)


async def refill(session: AsyncSession, name: str, address: str, at: datetime) -> None:
    """Refill both buckets of a name after a correct password. The bucket of the address stays as it is."""
    for bucket in buckets(name, address)[1:]:
        await _write(session, bucket, bucket.most, at)


async def _filled(session: AsyncSession, bucket: AttemptBucket, at: datetime) -> float:
    kept = select(SignInBucket.tokens, SignInBucket.filled_at).where(SignInBucket.key == bucket.key)
    row = (await session.execute(kept.with_for_update())).one_or_none()
    if row is None:
        return bucket.most
    refilled: float = row.tokens + (at - row.filled_at).total_seconds() / bucket.refill_s
    return min(bucket.most, refilled)


async def _write(session: AsyncSession, bucket: AttemptBucket, tokens: float, at: datetime) -> None:
    values = {"tokens": tokens, "filled_at": at}
    insert = insert_into(session, SignInBucket).values(key=bucket.key, **values)
    await session.execute(insert.on_conflict_do_update(index_elements=["key"], set_=values))


def _key(kind: str, of: str) -> str:
    """Return a bucket's key. It is a hash, because the names in attempts can have any length and content."""
    return f"{kind}:{hashlib.sha256(of.encode('utf-8', 'replace')).hexdigest()[:48]}"


def _duration(seconds: float) -> str:
    return f"{ceil(seconds)} seconds" if seconds <= 90 else f"{ceil(seconds / 60)} minutes"
