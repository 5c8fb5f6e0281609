"""Versions of registries in the system of record: begun, filled, made whole, or given up.

A version is in force only when it is whole, and whole in one transaction. One that was cut short, by whatever, is
never in force; the next import of the registry gives it up, and so does a living one that it has overtaken.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from sqlalchemy import delete, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.changes import Change
from admin_web.record.dialect import each_of, insert_into
from admin_web.record.lines import BITMAP, Bytes, Places, bitmap_of, pack
from admin_web.record.models import RegistryExchange, RegistryVersion
from compliance.refusal import Refused

ROWS_AT_ONCE = 2_000

UNDER_WAY = (RegistryVersion.whole_at.is_(None), RegistryVersion.beat_at.is_not(None))

_TABLE = RegistryExchange.__table__.columns  # Columns of the class would pass through the object mapper.


class Overtaken(Refused):
    """Another import of the same registry has begun."""

    def __init__(self) -> None:
        super().__init__("Another import of this registry has begun; this one has stopped, and changed nothing.")


class Sizes(NamedTuple):
    """How many numbers and exchanges a version lists, and how many of the numbers its predecessor listed too."""

    numbers: int
    exchanges: int
    common: int


async def give_up(session: AsyncSession, registry: str) -> None:
    """Give up what earlier imports of a registry left half done: it stays on record, without its numbers."""
    begun = select(RegistryVersion.id).where(RegistryVersion.registry_name == registry, *UNDER_WAY)
    ids = list(await session.scalars(begun))
    await session.execute(update(RegistryVersion).where(RegistryVersion.id.in_(ids)).values(beat_at=None))
    await session.execute(delete(RegistryExchange).where(RegistryExchange.version_id.in_(ids)))


async def require_ours(change: Change, version_id: int) -> None:
    """Let an import be heard of. Raises Overtaken when its version was given up."""
    ours = update(RegistryVersion).where(RegistryVersion.id == version_id, *UNDER_WAY)
    if await change.session.scalar(ours.values(beat_at=change.at).returning(RegistryVersion.id)) is None:
        raise Overtaken


async def add(
    session: AsyncSession, version_id: int, exchanges: Places, bitmaps: Bytes, again: Collection[int]
) -> None:
    """Add exchanges to a version, and to what it holds of those in `again` already."""
    names = [str(exchange) for exchange in exchanges.tolist()]
    kept = await kept_of(session, version_id, [name for name in names if int(name) in again])
    rows = []
    for name, bitmap in zip(names, bitmaps, strict=True):
        whole = bitmap | bitmap_of(kept[name]) if name in kept else bitmap
        rows.append({"version_id": version_id, "exchange": name, "lines": pack(whole)})
    await put(session, rows, again=bool(kept))


async def put(session: AsyncSession, rows: Sequence[dict[str, object]], *, again: bool) -> None:
    """Write exchanges, some of which may be there already when `again` is set."""
    if not rows:
        return
    if not again:
        await session.execute(insert_into(session, RegistryExchange), rows)
        return
    adding = insert_into(session, RegistryExchange)
    await session.execute(
        adding.on_conflict_do_update(index_elements=["version_id", "exchange"], set_={"lines": adding.excluded.lines}),
        rows,
    )


async def kept_of(session: AsyncSession, version_id: int | None, exchanges: Sequence[str]) -> dict[str, bytes]:
    """Give the lines that a version holds of these exchanges."""
    if version_id is None or not exchanges:
        return {}
    asked = select(_TABLE.exchange, _TABLE.lines).where(
        _TABLE.version_id == version_id, _TABLE.exchange.in_(select(each_of(session, exchanges)))
    )
    return {row[0]: row[1] for row in await session.execute(asked)}


async def copy(session: AsyncSession, base_id: int, version_id: int, after: str, leaving: Collection[str]) -> str:
    """Copy the next exchanges after `after` of one version to another, but for the area codes in `leaving`.

    Give the last one looked at; nothing when there are no more.
    """
    some = select(_TABLE.exchange).where(_TABLE.version_id == base_id, _TABLE.exchange > after)
    names = list(await session.scalars(some.order_by(_TABLE.exchange).limit(ROWS_AT_ONCE)))
    if not names:
        return ""
    chosen = select(literal(version_id), _TABLE.exchange, _TABLE.lines).where(
        _TABLE.version_id == base_id, _TABLE.exchange > after, _TABLE.exchange <= names[-1]
    )
    if leaving:
        chosen = chosen.where(func.substr(_TABLE.exchange, 2, 3).not_in(leaving) | _TABLE.exchange.not_like("1______"))
    await session.execute(
        insert_into(session, RegistryExchange).from_select(["version_id", "exchange", "lines"], chosen)
    )
    return str(names[-1])


async def sizes(session: AsyncSession, version_id: int, before_id: int | None) -> Sizes:
    """Count what a version holds, as it stands in SQL."""
    before = RegistryExchange.__table__.alias()
    pairs = (
        select(_TABLE.lines, before.c.lines)
        .outerjoin(before, (before.c.version_id == (before_id or 0)) & (before.c.exchange == _TABLE.exchange))
        .where(_TABLE.version_id == version_id)
    )
    numbers = exchanges = common = 0
    rows = await session.stream(pairs.execution_options(yield_per=ROWS_AT_ONCE))
    async for some in rows.partitions():
        new = _bitmaps([row[0] for row in some])
        exchanges += len(some)
        numbers += int(np.bitwise_count(new).sum())
        old = _bitmaps([row[1] or b"" for row in some])
        common += int(np.bitwise_count(new & old).sum())
    return Sizes(numbers, exchanges, common)


def _bitmaps(kept: Sequence[bytes]) -> Bytes:
    """Give exchanges of SQL as the rows of a table."""
    whole = [lines if len(lines) == BITMAP else bitmap_of(lines).tobytes() for lines in kept]
    return np.frombuffer(b"".join(whole), np.uint8).reshape(-1, BITMAP)
