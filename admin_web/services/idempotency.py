"""Requests with an idempotency key: clients may send them twice, but the write is carried out only once.

The key, the change and the answer are written in one transaction. After a crash either all of them exist, and the
answer is returned again, or none exists, and the request is carried out as a new one. A refused request changes nothing
and is not remembered, so the same request may succeed later. If two requests with one key come at the same time, the
second waits for the transaction of the first.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.changes import PENDING, Actor, Change, Records, Standing, change_within
from admin_web.record.dialect import insert_into
from admin_web.record.models import IdempotencyKey
from compliance.refusal import Refused

Json: TypeAlias = dict[str, Any]


class KeyReused(Refused):
    """The idempotency key was used before for another request."""


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key of one token, and the hash of the request that it came with (64 hex digits)."""

    token_id: int
    text: str
    request_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined(Records):
    """Records that let a service run inside an open transaction, which the caller commits."""

    session: AsyncSession
    changes: list[Change] = field(default_factory=list)

    @asynccontextmanager
    async def change(self, actor: Actor) -> AsyncIterator[Change]:
        """Open a change in the caller's transaction, and keep it in `changes`."""
        async with change_within(self.session, actor, self.now()) as change:
            self.changes.append(change)
            yield change

    async def standing(self, *_: Change) -> Standing:
        """Return PENDING, because the change cannot be in force before the caller commits.

        After the commit, the caller calls `Records.standing`.
        """
        return PENDING


async def done_once(records: Records, key: Key | None, work: Callable[[Joined], Awaitable[Json]]) -> tuple[Json, bool]:
    """Run `work` in one transaction, unless its key was used before.

    Returns the answer, and whether it is the recorded answer to an earlier request. Raises KeyReused, and whatever
    `work` raises. In both cases nothing is changed.
    """
    async with records.database.write() as session:
        if key is not None and (kept := await _claim(session, key, records)) is not None:
            return kept, True
        joined = Joined(records.database, records.projector, records.now, session=session)
        answer = await work(joined)
        if key is not None:
            await session.execute(update(IdempotencyKey).where(*_is(key)).values(answer=answer))
    return answer, False


def request_hash(*parts: str) -> str:
    """Return the hash of a request's parts: its operation and its parsed content."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


async def _claim(session: AsyncSession, key: Key, records: Records) -> Json | None:
    """Record a new key and return None, or return the answer of a known key.

    Raises KeyReused when the known key was used for another request.
    """
    values = {
        "token_id": key.token_id,
        "key": key.text,
        "request_hash": key.request_hash,
        "status": 0,
        "answer": {},
        "used_at": records.now(),
    }
    insert = insert_into(session, IdempotencyKey).values(values).on_conflict_do_nothing()
    if await session.scalar(insert.returning(IdempotencyKey.key)) is not None:
        return None
    known = (await session.scalars(select(IdempotencyKey).where(*_is(key)))).one()
    if known.request_hash != key.request_hash:
        raise KeyReused("This Idempotency-Key was used before for another request. Nothing was changed; use a new key.")
    return known.answer


def _is(key: Key) -> tuple[Any, ...]:
    return IdempotencyKey.token_id == key.token_id, IdempotencyKey.key == key.text
