"""Lifting many entries at once. A number whose person has asked not to be called always stays on the list."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.changes import Change
from admin_web.record.database import Database
from admin_web.record.dialect import each_of
from admin_web.record.models import DoNotCallRequest, SuppressionEntry
from admin_web.services.suppression import CHUNK, LONGEST_NOTE
from admin_web.webhooks.events import Event
from compliance.consent import may_revoke
from compliance.numbers import E164
from compliance.redis_schema import INTERNAL
from compliance.refusal import cleaned, require


@dataclass(frozen=True, slots=True)
class LiftedMany:
    """What happens to some numbers: some are lifted, others stay because the person asked not to be called.

    Numbers in neither group are not on the list.
    """

    lifted: tuple[E164, ...]
    kept: tuple[E164, ...]


async def would_lift(database: Database, numbers: Sequence[E164], list_name: str = INTERNAL) -> LiftedMany:
    """Return what `lift_many_within` would do with up to CHUNK numbers. Raises DatabaseUnavailable."""
    async with database.read() as session:
        entry = SuppressionEntry
        found = await session.scalars(
            select(entry.number).where(
                entry.list_name == list_name,
                entry.lifted_at.is_(None),
                entry.number.in_(select(each_of(session, numbers))),
            )
        )
        listed = sorted(map(E164, found))
        asked = await asked_not_to_be_called(session, listed)
    return LiftedMany(
        tuple(number for number in listed if number not in asked), tuple(number for number in listed if number in asked)
    )


async def lift_many_within(
    change: Change, numbers: Sequence[E164], *, reason: str, list_name: str = INTERNAL
) -> LiftedMany:
    """Lift up to CHUNK numbers of a list within a change, except those whose person asked.

    The entries are locked before the requests are read, so that a request that is recorded meanwhile counts. Raises
    NotPermitted, Unwritable.
    """
    require(may_revoke, change.actor.role, "lift entries")
    if len(numbers) > CHUNK:
        raise ValueError(f"at most {CHUNK} numbers at a time")
    reason = cleaned(reason, LONGEST_NOTE, "The reason", required=True)
    standing = select(SuppressionEntry).where(*_standing(change.session, list_name, numbers))
    entries = (await change.session.scalars(standing.order_by(SuppressionEntry.number).with_for_update())).all()
    done = await lift_entries(change, entries, reason)
    absent = len(set(numbers)) - len(entries)
    change.audit(
        "lift", "list", list_name, reason=reason, lifted=len(done.lifted), kept=len(done.kept), not_listed=absent
    )
    return done


async def lift_entries(change: Change, entries: Sequence[SuppressionEntry], reason: str) -> LiftedMany:
    """Lift locked entries of one list, except those whose person has asked not to be called. No audit event."""
    asked = await asked_not_to_be_called(change.session, [entry.number for entry in entries])
    lifted = [entry for entry in entries if entry.number not in asked]
    for entry in lifted:
        entry.lifted_at, entry.lifted_by, entry.lift_reason = change.at, change.actor.name, reason
    numbers = tuple(E164(entry.number) for entry in lifted)
    if lifted:
        change.notify(Event.LIFT, list=lifted[0].list_name, numbers=list(numbers), reason=reason)
        change.project_list(lifted[0].list_name, numbers)
    return LiftedMany(numbers, tuple(E164(entry.number) for entry in entries if entry.number in asked))


async def asked_not_to_be_called(session: AsyncSession, numbers: Sequence[str]) -> set[str]:
    """Return the numbers with a request not to be called that was not withdrawn."""
    request = DoNotCallRequest
    found = select(request.number).where(
        request.withdrawn_at.is_(None), request.number.in_(select(each_of(session, numbers)))
    )
    return set(await session.scalars(found)) if numbers else set()


def _standing(session: AsyncSession, list_name: str, numbers: Sequence[E164]) -> tuple[ColumnElement[bool], ...]:
    entry = SuppressionEntry
    some = entry.number.in_(select(each_of(session, numbers)))
    return entry.list_name == list_name, entry.lifted_at.is_(None), some
