"""Terms that are stricter in Redis than in SQL: patterns, campaign lists, and what registries do.

Area codes of a registry are not recovered, because Redis does not say of which country they are. The numbers of its
lost version are recovered without them: see `recovered_registries`.
"""

from collections.abc import Iterable

from sqlalchemy import select

from admin_web.record.changes import Change
from admin_web.record.dialect import insert_into
from admin_web.record.models import CampaignListRow, Registry, SuppressionPattern
from admin_web.services.recovering import SOURCE, Recovering
from compliance.redis_schema import INTERNAL
from compliance.terms import BLOCK, CampaignList, RegistryTerms

REASON = "Redis blocked these numbers when it was found to hold changes that the database does not have."


async def recover_terms(recovering: Recovering) -> None:
    """Make the terms in SQL as strict as those in Redis, in one transaction."""
    terms = await recovering.evidence.terms()
    async with recovering.change() as change:
        patterns = await _add_patterns(recovering, change, terms.patterns)
        changed = 0
        for one in terms.campaign_lists:
            changed += await _widen(recovering, change, one)
        for registry in terms.registries:
            changed += await _tighten(recovering, change, registry)
        if patterns or changed:
            await recovering.count(change, patterns=patterns, terms=changed)
            change.project_terms(INTERNAL)


async def _add_patterns(recovering: Recovering, change: Change, patterns: Iterable[str]) -> int:
    """Block the patterns that Redis alone blocks, except those that a person has lifted since the recovery began."""
    row, added = SuppressionPattern, 0
    lifted = select(row.prefix).where(recovering.since(row.lifted_at, change.at))
    decided = set(await change.session.scalars(lifted))
    values = {"reason": REASON, "source": SOURCE, "added_at": change.at, "added_by": change.actor.name}
    for prefix in sorted(set(patterns) - decided):
        insert = insert_into(change.session, row).values(prefix=prefix, **values)
        kept = insert.on_conflict_do_nothing(index_elements=["prefix"], index_where=row.lifted_at.is_(None))
        if added_id := await change.session.scalar(kept.returning(row.id)):
            added += 1
            change.audit("add-pattern", "pattern", f"+{prefix}", list=INTERNAL, reason=REASON, entry=added_id)
    return added


async def _widen(recovering: Recovering, change: Change, held: CampaignList) -> bool:
    """Let a campaign list apply to each campaign to which it applies in Redis. Returns whether that was a change."""
    row = await change.session.get(CampaignListRow, held.name, with_for_update=True)
    if row is None:
        kept = sorted(held.campaigns)
        made = {"created_at": change.at, "created_by": change.actor.name}
        change.session.add(CampaignListRow(name=held.name, campaigns=kept, **made))
        change.audit("add-campaign-list", "list", held.name, campaigns=" ".join(kept))
        return True
    if set(held.campaigns) <= set(row.campaigns) or _changed_since(recovering, change, row):
        return False
    kept = sorted({*row.campaigns, *held.campaigns})
    change.audit("set-campaigns", "list", held.name, campaigns=" ".join(kept), was=" ".join(row.campaigns))
    row.campaigns, row.changed_at, row.changed_by = kept, change.at, change.actor.name
    return True


async def _tighten(recovering: Recovering, change: Change, held: RegistryTerms) -> bool:
    """Let a registry spare only the campaigns that it spares on both sides, and block where either side does."""
    row = await change.session.get(Registry, held.name, with_for_update=True)
    if row is None or _changed_since(recovering, change, row):
        return False
    before = list(row.spared), row.when_stale, row.when_uncovered
    row.spared = [campaign for campaign in row.spared if campaign in held.spared]
    row.when_stale = BLOCK if held.blocks_when_stale else row.when_stale
    row.when_uncovered = BLOCK if held.blocks_uncovered else row.when_uncovered
    if before == (list(row.spared), row.when_stale, row.when_uncovered):
        return False
    row.changed_at, row.changed_by = change.at, change.actor.name
    now = {"spared": " ".join(row.spared), "when_stale": row.when_stale, "when_uncovered": row.when_uncovered}
    change.audit("set-terms", "registry", held.name, **now)
    return True


def _changed_since(recovering: Recovering, change: Change, row: CampaignListRow | Registry) -> bool:
    """Return whether a person has changed the row since the recovery began."""
    return bool(row.changed_at and recovering.began_at <= row.changed_at <= change.at)
