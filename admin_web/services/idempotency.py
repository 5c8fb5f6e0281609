"""Writes that may be sent twice and are done once.

The key, the change and the answer are one transaction: after a crash either all of them are there, and the answer is
returned again, or none is, and the request is carried out as if it had never come. A refused request changed nothing
and is not remembered: the same request may succeed later. Of two requests with one key at the same time, the second
waits for the transaction of the first.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.changes import PENDING, Actor, Change, Records, Standing, change_within
from admin_web.record.dialect import insert_into
from admin_web.record.models import IdempotencyKey
from compliance.refusal import Refused

Json: TypeAlias = dict[str, Any]


class KeyReused(Refused):
    """An idempotency key came with another request before."""


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key of one token, and the hash of the request that it came with (64 hex digits)."""

    token_id: int
    text: str
    request_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined(Records):
    """The record for services that work within a transaction that is open already, and is committed by its opener."""

    session: AsyncSession

    @asynccontextmanager
    async def change(self, actor: Actor) -> AsyncIterator[Change]:
        """Open a change that is committed with all the rest, or not at all."""
        async with change_within(self.session, actor, self.now()) as change:
            yield change

    async def standing(self) -> Standing:
        """Say that nothing can be in force before it is committed; whoever commits asks again."""
        return PENDING


async def done_once(records: Records, key: Key | None, work: Callable[[Records], Awaitable[Json]]) -> tuple[Json, bool]:
    """Carry out `work` in one transaction; give its answer, or the one given before, and whether it was that.

    Raises KeyReused, and what `work` raises: then nothing was changed.
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
    """Give the hash of what a request asks for: its operation, and what was read of it."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


async def _claim(session: AsyncSession, key: Key, records: Records) -> Json | None:
    """Take a key that is new; give the answer of one that is not. Raises KeyReused when it was for something else."""
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
        raise KeyReused("This Idempotency-Key came with another request before. Use a new key.")
    return known.answer


def _is(key: Key) -> tuple[Any, ...]:
    return IdempotencyKey.token_id == key.token_id, IdempotencyKey.key == key.text
