"""Adding and lifting patterns of the company's own list: the first digits of numbers, all of which are blocked."""

from dataclasses import dataclass

from sqlalchemy import func, select

from admin_web.record.changes import Actor, Change, Records, Standing
from admin_web.record.dialect import insert_into
from admin_web.record.models import SuppressionPattern
from admin_web.services.suppression import LONGEST_NOTE, LONGEST_SOURCE, NotListed
from admin_web.webhooks.events import Event
from compliance.consent import may_revoke
from compliance.patterns import Pattern
from compliance.redis_schema import INTERNAL
from compliance.refusal import Refused, cleaned, require

MOST_PATTERNS = 2_000
"""Maximum number of patterns in force. If one changes, each gate process reads all of them anew, which delays its calls
by about 10 ms.
"""


class PatternStands(Refused):
    """The pattern is in force, or recorded, already."""


class PatternNotListed(NotListed):
    """No such pattern is on the list."""


class TooManyPatterns(Refused):
    """There are as many patterns as a gate may hold."""


@dataclass(frozen=True, slots=True)
class ChangedPattern:
    """A pattern that was added or lifted, and the id of its row."""

    pattern: Pattern
    pattern_id: int
    standing: Standing


async def add_pattern(records: Records, actor: Actor, pattern: Pattern, *, reason: str, source: str) -> ChangedPattern:
    """Block all numbers that begin with a pattern, and bring the block into force.

    Raises PatternStands, TooManyPatterns, NotPermitted, Unwritable.
    """
    require(may_revoke, actor.role, "block all numbers that begin with a pattern")
    reason = cleaned(reason, LONGEST_NOTE, "The reason", required=True)
    source = cleaned(source, LONGEST_SOURCE, "The source", required=True)
    async with records.change(actor) as change:
        await _require_room(change)
        added = await _insert(change, pattern, reason, source)
        if added is None:
            raise PatternStands(f"Numbers that begin with +{pattern} are blocked already. Nothing was changed.")
        change.audit("add-pattern", "pattern", f"+{pattern}", list=INTERNAL, reason=reason, source=source)
        change.notify(Event.SUPPRESS, list=INTERNAL, numbers=[], pattern=f"+{pattern}", source=source, lead="")
        change.project_terms(INTERNAL)
    return ChangedPattern(pattern, added, await records.standing(change))


async def lift_pattern(records: Records, actor: Actor, pattern: Pattern, *, reason: str) -> ChangedPattern:
    """Lift a pattern. Its row stays on record. Raises PatternNotListed, NotPermitted, Unwritable."""
    require(may_revoke, actor.role, "lift patterns")
    reason = cleaned(reason, LONGEST_NOTE, "The reason", required=True)
    async with records.change(actor) as change:
        standing = select(SuppressionPattern).where(
            SuppressionPattern.prefix == pattern, SuppressionPattern.lifted_at.is_(None)
        )
        row = await change.session.scalar(standing.with_for_update())
        if row is None:
            raise PatternNotListed(f"No pattern +{pattern} is in force. Nothing was changed.")
        row.lifted_at, row.lifted_by, row.lift_reason = change.at, actor.name, reason
        change.audit("lift-pattern", "pattern", f"+{pattern}", list=INTERNAL, reason=reason)
        change.notify(Event.LIFT, list=INTERNAL, numbers=[], pattern=f"+{pattern}", reason=reason)
        change.project_terms(INTERNAL)
        lifted = row.id
    return ChangedPattern(pattern, lifted, await records.standing(change))


async def _require_room(change: Change) -> None:
    counted = select(func.count()).select_from(SuppressionPattern).where(SuppressionPattern.lifted_at.is_(None))
    if (await change.session.scalar(counted) or 0) >= MOST_PATTERNS:
        raise TooManyPatterns(f"There are {MOST_PATTERNS:,} patterns already, and a gate can hold no more.")


async def _insert(change: Change, pattern: Pattern, reason: str, source: str) -> int | None:
    """Add a row and return its id; None if the pattern is on record already."""
    insert = (
        insert_into(change.session, SuppressionPattern)
        .values(prefix=pattern, reason=reason, source=source, added_at=change.at, added_by=change.actor.name)
        .on_conflict_do_nothing(index_elements=["prefix"], index_where=SuppressionPattern.lifted_at.is_(None))
        .returning(SuppressionPattern.id)
    )
    return await change.session.scalar(insert)
