"""Versions of registries in SQL. An import begins a version, fills it, and completes it (`whole_at` is set).

Only a complete version comes into force, and it becomes complete in one transaction. An interrupted version never
comes into force. The next import of the same registry abandons it, even when the earlier import is still running.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from sqlalchemy import delete, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.changes import Change
from admin_web.record.dialect import each_of, insert_into
from admin_web.record.lines import BITMAP, Bytes, Ints, bitmap_of, pack
from admin_web.record.models import RegistryExchange, RegistryVersion
from compliance.refusal import Refused

ROWS_AT_ONCE = 2_000

UNDER_WAY = (RegistryVersion.whole_at.is_(None), RegistryVersion.beat_at.is_not(None))

_TABLE = RegistryExchange.__table__.columns  # Selecting plain columns skips SQLAlchemy's object mapper.


class Overtaken(Refused):
    """Another import of the same registry has begun."""

    def __init__(self) -> None:
        super().__init__(
            "Another import of this registry has begun, so this one has stopped. The version in force is unchanged; "
            "wait for the other import."
        )


class Sizes(NamedTuple):
    """How many numbers and exchanges a version lists, and how many of its numbers the previous version also lists."""

    numbers: int
    exchanges: int
    common: int


async def abandon_unfinished(session: AsyncSession, registry: str) -> None:
    """Abandon unfinished versions of a registry. They stay on record; their numbers are deleted."""
    begun = select(RegistryVersion.id).where(RegistryVersion.registry_name == registry, *UNDER_WAY)
    ids = list(await session.scalars(begun))
    await session.execute(update(RegistryVersion).where(RegistryVersion.id.in_(ids)).values(beat_at=None))
    await session.execute(delete(RegistryExchange).where(RegistryExchange.version_id.in_(ids)))


async def require_ours(change: Change, version_id: int) -> None:
    """Record a heartbeat of the import of this version. Raises Overtaken when another import has abandoned it."""
    ours = update(RegistryVersion).where(RegistryVersion.id == version_id, *UNDER_WAY)
    if await change.session.scalar(ours.values(beat_at=change.at).returning(RegistryVersion.id)) is None:
        raise Overtaken


async def add(session: AsyncSession, version_id: int, exchanges: Ints, bitmaps: Bytes, again: Collection[int]) -> None:
    """Add exchanges to a version, one bitmap each. Exchanges in `again` that the version already has are merged."""
    names = [str(exchange) for exchange in exchanges.tolist()]
    kept = await lines_of(session, version_id, [name for name in names if int(name) in again])
    rows = []
    for name, bitmap in zip(names, bitmaps, strict=True):
        whole = bitmap | bitmap_of(kept[name]) if name in kept else bitmap
        rows.append({"version_id": version_id, "exchange": name, "lines": pack(whole)})
    await write_rows(session, rows, again=bool(kept))


async def write_rows(session: AsyncSession, rows: Sequence[dict[str, object]], *, again: bool) -> None:
    """Write rows of exchanges. With `again`, rows that exist already are replaced."""
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


async def lines_of(session: AsyncSession, version_id: int | None, exchanges: Sequence[str]) -> dict[str, bytes]:
    """Return the encoded lines of these exchanges in a version, by exchange. Exchanges it does not list are absent."""
    if version_id is None or not exchanges:
        return {}
    asked = select(_TABLE.exchange, _TABLE.lines).where(
        _TABLE.version_id == version_id, _TABLE.exchange.in_(select(each_of(session, exchanges)))
    )
    return {row[0]: row[1] for row in await session.execute(asked)}


async def copy(session: AsyncSession, base_id: int, version_id: int, after: str, leaving: Collection[str]) -> str:
    """Copy up to ROWS_AT_ONCE exchanges that follow `after` from one version to another.

    Exchanges in the area codes of `leaving` (NANP only) are skipped. Returns the last exchange read; "" at the end.
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
    """Count what a version lists in SQL, and compare it with the previous version."""
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
    """Decode exchanges from SQL into an array with one bitmap per row; b"" is an exchange without lines."""
    whole = [lines if len(lines) == BITMAP else bitmap_of(lines).tobytes() for lines in kept]
    return np.frombuffer(b"".join(whole), np.uint8).reshape(-1, BITMAP)
