"""Numbers that Redis alone lists on one of the company's own lists: they are listed in SQL too."""

import re
from collections.abc import Collection, Sequence

from sqlalchemy import select

from admin_web.projection.batches import batches
from admin_web.projection.truth import truth_of
from admin_web.record.changes import Change
from admin_web.record.dialect import each_of
from admin_web.record.models import SuppressionEntry
from admin_web.services.recovering import SOURCE, Recovering
from admin_web.services.suppression import CHUNK, suppress_many_within
from compliance.numbers import E164

NOTE = "Redis blocked this number when it was found to hold changes that the database does not have."

_NUMBER = re.compile(r"\+[1-9][0-9]{5,14}")


async def recover_numbers(recovering: Recovering) -> None:
    """List each number that Redis alone lists, on the same list."""
    sides = recovering.sides
    async for subjects in recovering.evidence.subjects():
        subjects.openings.clear()
        async with sides.database.read() as session:
            unlisted = (await truth_of(session, subjects, sides.now())).negatives().standing
        for list_name, numbers in unlisted.items():
            await list_recovered(recovering, list_name, sorted(numbers), NOTE)


async def list_recovered(recovering: Recovering, list_name: str, numbers: Sequence[E164], note: str) -> None:
    """List numbers, except those that somebody has lifted since the recovery began."""
    for some in batches([number for number in numbers if _NUMBER.fullmatch(number)], CHUNK):
        async with recovering.change() as change:
            decided = await _lifted_since(change, recovering, list_name, some)
            wanted = [number for number in some if number not in decided]
            if wanted:
                added = await suppress_many_within(
                    change, wanted, source=SOURCE, note=note, list_name=list_name, audited=False
                )
                await recovering.count(change, numbers=added)


async def _lifted_since(change: Change, recovering: Recovering, list_name: str, numbers: Collection[E164]) -> set[str]:
    """Return the numbers that a person has lifted since.

    What the worker has lifted, because its entry ended, does not count: the entry may have been extended in Redis.
    """
    entry = SuppressionEntry
    lifted = select(entry.number).where(
        entry.list_name == list_name,
        entry.number.in_(select(each_of(change.session, numbers))),
        recovering.since(entry.lifted_at, change.at),
        entry.lifted_by != recovering.actor.name,
    )
    return set(await change.session.scalars(lifted))
