"""Limits on sign-in attempts: token buckets in the database, so that all processes of the site share them.

docs/security.md explains the limits. Each attempt takes a token before the password is checked, because attempts that
run at the same time must not pass together. A right password gives the tokens back.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.database import Database
from admin_web.record.dialect import insert_into
from admin_web.record.models import SignInBucket
from compliance.addresses import network_of
from compliance.refusal import Refused

UNLOCKED = timedelta(minutes=15)
"""How long an unlocked name is limited by address only."""


class TooManyAttempts(Refused):
    """There were too many sign-in attempts. The message says how long to wait; `limit` is which limit was reached."""

    def __init__(self, said: str, limit: str) -> None:
        super().__init__(said)
        self.limit = limit


@dataclass(frozen=True, slots=True)
class AttemptBucket:
    """A token bucket with at most `most` attempts. It gains one attempt every `refill_s` seconds."""

    key: str
    most: int
    refill_s: float
    shared: bool = False
    """Whether attempts of several names use the bucket. A right password gives back its own attempt only."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to give the password of `name`, and the buckets that it takes a token from, in the order of keys."""

    name: str
    buckets: tuple[AttemptBucket, ...]


def sign_in_attempt(name: str, address: str, browser: str = "") -> Attempt:
    """Return an attempt to sign in. `browser` is the id of a browser that is known for this name, else empty.

    A known browser has a bucket of its own. Any other attempt uses the buckets of the network, of the name from this
    network, and of the name from any network. The first is large, because a whole office may share one address. The
    last one bounds what many networks together can try: one password a minute in the long run.
    """
    if browser:
        return Attempt(name, (AttemptBucket(_key("browser", f"{browser} {name}"), 6, 60),))
    network = network_of(address)
    return Attempt(
        name,
        (
            AttemptBucket(_key("address", network), 300, 10, shared=True),
            AttemptBucket(_key("name", name), 60, 60),
            AttemptBucket(_key("pair", f"{network} {name}"), 6, 60),
        ),
    )


def account_attempt(name: str) -> Attempt:
    """Return an attempt of a person who is signed in to repeat their password. Only they can use its bucket up."""
    return Attempt(name, (AttemptBucket(_key("account", name), 6, 60),))


async def take(database: Database, attempt: Attempt, at: datetime) -> None:
    """Take one token from each bucket of an attempt. If one of them is empty, take none and raise TooManyAttempts."""
    async with database.write() as session:
        wanted: Iterable[AttemptBucket] = attempt.buckets
        if await _is_unlocked(session, attempt.name, at):
            wanted = [bucket for bucket in attempt.buckets if bucket.shared]
        filled = {bucket: await _filled(session, bucket, at) for bucket in wanted}
        waits = {bucket: (1 - tokens) * bucket.refill_s for bucket, tokens in filled.items() if tokens < 1}
        if waits:
            longest = max(waits, key=waits.__getitem__)
            said = f"Too many attempts to sign in. Try again in {_duration(waits[longest])}."
            raise TooManyAttempts(said, longest.key.partition(":")[0])
        for bucket, tokens in filled.items():
            await _write(session, bucket, tokens - 1, at)


async def give_back(session: AsyncSession, attempt: Attempt, at: datetime) -> None:
    """Return the tokens of an attempt to its buckets, because the password was right.

    The buckets of the name are full again. A shared bucket gets its one token back.
    """
    for bucket in attempt.buckets:
        tokens = await _filled(session, bucket, at) + 1 if bucket.shared else bucket.most
        await _write(session, bucket, min(tokens, bucket.most), at)


async def unlock(session: AsyncSession, name: str, at: datetime) -> None:
    """Lift the limits of a name for `UNLOCKED`, in any browser. The limit of each network stays."""
    await _write(session, _unlocking(name), 1, at)
    await session.execute(delete(SignInBucket).where(SignInBucket.key == _key("name", name)))


async def _is_unlocked(session: AsyncSession, name: str, at: datetime) -> bool:
    since = await session.scalar(select(SignInBucket.filled_at).where(SignInBucket.key == _unlocking(name).key))
    # A moment far ahead was recorded by a site with a wrong clock. It would lift the limits for longer.
    return since is not None and abs(at - since) < UNLOCKED


def _unlocking(name: str) -> AttemptBucket:
    return AttemptBucket(_key("unlocked", name), 1, UNLOCKED.total_seconds())


async def _filled(session: AsyncSession, bucket: AttemptBucket, at: datetime) -> float:
    """Return the tokens of a bucket at `at`. The row is created if needed, so that it can be locked."""
    new = insert_into(session, SignInBucket).values(key=bucket.key, tokens=bucket.most, filled_at=at)
    await session.execute(new.on_conflict_do_nothing())
    kept = select(SignInBucket.tokens, SignInBucket.filled_at).where(SignInBucket.key == bucket.key)
    row = (await session.execute(kept.with_for_update())).one()
    waited_s = (at - row.filled_at).total_seconds()
    if waited_s < -bucket.most * bucket.refill_s:  # A wrong clock has set this moment. Until then it would not refill.
        return bucket.most
    refilled: float = row.tokens + max(waited_s, 0) / bucket.refill_s
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
