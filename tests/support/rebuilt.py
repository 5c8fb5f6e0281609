"""The projection of an empty record, put in force as its first rebuild leaves it: most tests of the site need it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import insert, select, update

from admin_web.projection.lease import lease_command
from admin_web.projection.live import read_live
from admin_web.projection.outbox import newest_pending
from admin_web.projection.projection import Projection
from admin_web.projection.wire import words
from admin_web.record.models import ProjectionMark, ProjectionRow
from compliance.redis_schema import INCARNATION, REBUILT_AT, terms_key

GENERATION = 1


class _Left(NamedTuple):
    """What the first rebuild left: the row and the marks in SQL, the state and the terms in Redis."""

    row: Mapping[str, Any]
    marks: tuple[str, ...]
    state: Mapping[bytes, bytes]
    terms: bytes


class FirstRebuild:
    """Rebuilds once, and then repeats what was written, in a fifth of the time."""

    def __init__(self) -> None:
        self._left: _Left | None = None

    async def put_in_force(self, projection: Projection, lease_s: float) -> None:
        """Put the projection in force. The record must be as the migrations leave it, but for users; Redis is empty."""
        async with projection.sides.database.read() as session:
            assert await newest_pending(session) is None, "the record is not empty"
        if self._left is None:
            await projection.rebuild()
            self._left = await _read(projection)
        else:
            await _write(projection, self._left, lease_s)


async def _read(projection: Projection) -> _Left:
    async with projection.sides.database.read() as session:
        row = (await session.execute(select(ProjectionRow.__table__))).mappings().one()
        marks = (await session.scalars(select(ProjectionMark.mark).order_by(ProjectionMark.id))).all()
    async with projection.sides.store.wire() as wire:
        state, terms = await wire.ask(("HGETALL", wire.keys.state), ("GET", terms_key(GENERATION)))
    flat = words(state)
    return _Left(row, tuple(marks), dict(zip(flat[::2], flat[1::2], strict=True)), terms)


async def _write(projection: Projection, left: _Left, lease_s: float) -> None:
    sides = projection.sides
    async with sides.store.wire() as wire, sides.database.write() as session:
        live, at = await read_live(wire), sides.now()
        assert live.state is None, "Redis is not empty"
        await session.execute(update(ProjectionRow).values(**left.row))
        marks = [{"projection_id": left.row["id"], "mark": mark, "written_at": at} for mark in left.marks]
        await session.execute(insert(ProjectionMark), marks)
        own = {INCARNATION: live.server, REBUILT_AT: at.isoformat()}
        state = left.state | {name.encode(): value.encode() for name, value in own.items()}
        await wire.transact(
            [
                ("HSET", wire.keys.state, *(word for pair in state.items() for word in pair)),
                ("SET", terms_key(GENERATION), left.terms),
                lease_command(wire.keys, live.at_ms, lease_s),
            ]
        )
