"""What comparisons of SQL and Redis have found, on record: for the site, and for a worker that starts."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.projection.drift import EXAMPLES
from admin_web.record.dialect import insert_into
from admin_web.record.models import ProjectionCheck


class Finding(NamedTuple):
    """The differences of one projection since a round without any, by kind, with some examples.

    `row` is the id of the projection's row in SQL, `at` the moment of the last difference (aware UTC).
    """

    row: int
    at: datetime
    kinds: Mapping[str, int]
    examples: Sequence[str]


async def findings(session: AsyncSession) -> list[Finding]:
    """Return the findings that no later round without a difference has cleared."""
    checks = ProjectionCheck
    asked = select(checks.id, checks.found_at, checks.found, checks.examples).where(checks.found_at.is_not(None))
    return [Finding(*row) for row in await session.execute(asked.order_by(checks.id))]


async def note_found(
    session: AsyncSession, row: int, kinds: Mapping[str, int], examples: Sequence[str], at: datetime
) -> None:
    """Add differences to the finding of one projection."""
    check = await _check(session, row)
    known: dict[str, Any] = dict(check.found)
    check.found = known | {kind: known.get(kind, 0) + many for kind, many in kinds.items()}
    check.examples = [*check.examples, *examples][:EXAMPLES]
    check.found_at = at


async def note_complete(session: AsyncSession, row: int, at: datetime, *, clean_since: datetime | None) -> None:
    """Record the end of a round, which began at `clean_since` if it has found no difference, else None.

    It clears the finding, unless another worker has found something since: this round may have compared that before.
    """
    check = await _check(session, row)
    check.complete_at = at
    # A moment after `at` was recorded by a worker with a wrong clock.
    if clean_since and not (check.found_at and clean_since <= check.found_at <= at):
        check.found, check.examples, check.found_at = {}, [], None


async def _check(session: AsyncSession, row: int) -> ProjectionCheck:
    """Return the locked row of one projection. Two workers may need it for the first time at the same moment."""
    insert = insert_into(session, ProjectionCheck).values(id=row, found={}, examples=[])
    await session.execute(insert.on_conflict_do_nothing(index_elements=["id"]))
    return await session.get_one(ProjectionCheck, row, with_for_update=True)
