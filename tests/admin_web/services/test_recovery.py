"""An older backup of SQL beside a Redis that lives on: the stricter of the two stays in force, until an admin looks."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from sqlalchemy import delete, func, select, update

from admin_web.projection.compare import Difference
from admin_web.projection.drift import EXTRA
from admin_web.projection.evidence import Evidence, TermsLost
from admin_web.projection.live import ForeignHistory, LiveProjection, ProjectionLost, read_live
from admin_web.projection.marks import Written
from admin_web.projection.mending import settle
from admin_web.projection.wire import RedisUnavailable, StoreMoved
from admin_web.queries.alarm import alarm
from admin_web.record.changes import Actor, utc_now
from admin_web.record.database import Database
from admin_web.record.models import (
    AuditEvent,
    Base,
    CampaignListRow,
    LostOverride,
    OutboxRow,
    Override,
    ProjectionMark,
    Recovery,
    Registry,
    SuppressionEntry,
    SuppressionPattern,
)
from admin_web.services import recovered_overrides
from admin_web.services import recovery as recovery_room
from admin_web.services.campaign_lists import add_campaign_list, set_campaigns
from admin_web.services.patterns import add_pattern
from admin_web.services.recovered_registries import RegistryNotRecovered
from admin_web.services.recovery import (
    NothingToSee,
    WrongMark,
    _begin,
    acknowledge_recovery,
    discard_foreign,
    recover,
)
from admin_web.services.registries import EditedTerms, add_registry, set_terms
from admin_web.services.revocation import NotHeld, NotReviewed, confirm_override, review_override
from admin_web.worker import keeper as keeper_room
from admin_web.worker import retention
from admin_web.worker.expiry import WORKER
from admin_web.worker.retention import MARKS_KEPT, forget
from compliance.consent import Role
from compliance.consent_rules import ConsentRules
from compliance.numbers import E164
from compliance.patterns import Pattern
from compliance.redis_schema import LEASE, MARK, MARK_BEFORE, STATE, WRITTEN, epoch_ms, terms_key
from compliance.refusal import NotPermitted
from lab.postgres import PostgresServer
from lab.redis import RedisServer
from tests.support.backups import back_up, keeper_of
from tests.support.faults import Fuse, Killed, Meanwhile
from tests.support.plans import plans_of
from tests.support.projection import ADMIN, World, forces
from tests.support.registries import file, flat, take

ANOTHER = Actor("another", role=Role.ADMIN)
FIRST, SECOND, THIRD = "+14155550100", "+14155550101", "+442079460000"

Restored: TypeAlias = Callable[[], AbstractAsyncContextManager[World]]
BackedUp: TypeAlias = Callable[[World], Awaitable[Restored]]


@pytest.fixture
async def world(database: Database, redis_server: RedisServer) -> AsyncIterator[World]:
    async with World(database, redis_server) as world:
        await world.suppress(FIRST)
        await world.grant(FIRST, "lead-1")
        await world.projection.rebuild()
        yield world


async def grant_unreviewed(world: World, lead: str) -> int:
    """Place an override on FIRST that opens its lead only once it was reviewed. Returns its id."""
    rules = world.records.rules
    world.records = replace(world.records, rules=ConsentRules(reviewed_first=True))
    override = await world.grant(FIRST, lead)
    world.records = replace(world.records, rules=rules)
    return override


@pytest.fixture
async def waiting(world: World) -> int:
    """An override of `lead-2` that waits for its review when the backup is made."""
    override = await grant_unreviewed(world, "lead-2")
    await world.projection.drain()
    return override


@pytest.fixture
def backed_up(request: pytest.FixtureRequest, tmp_path: Path) -> BackedUp:
    """Back up the database of a world as it is when this is called."""

    async def back_up_now(world: World) -> Restored:
        server: PostgresServer | None = None
        if not world.database.on_sqlite:
            server = request.getfixturevalue("postgres_server")
        backup = await back_up(world.database, tmp_path, server)
        return lambda: backup.restored(world.server)

    return back_up_now


@pytest.fixture
async def restored(world: World, backed_up: BackedUp) -> Restored:
    """Restore, when called, the database as it was when the test began."""
    return await backed_up(world)


async def change(world: World, *changes: Awaitable[object]) -> None:
    """Make changes after the backup, and bring them into force."""
    for one in changes:
        await one
        await world.projection.drain()
    await world.projection.renew_lease()


async def events(world: World, action: str) -> list[AuditEvent]:
    async with world.database.read() as session:
        return list(await session.scalars(select(AuditEvent).where(AuditEvent.action == action)))


async def recovery(world: World) -> Recovery:
    async with world.database.read() as session:
        return (await session.scalars(select(Recovery))).one()


async def live_of(world: World) -> LiveProjection:
    async with world.projection.sides.store.wire() as wire:
        return await read_live(wire)


async def entries(world: World, number: str) -> list[SuppressionEntry]:
    async with world.database.read() as session:
        found = select(SuppressionEntry).where(SuppressionEntry.number == number)
        return list(await session.scalars(found))


async def test_a_number_listed_after_the_backup_stays_blocked(world: World, restored: Restored):
    await change(world, world.suppress(SECOND))
    async with restored() as later:
        await keeper_of(later).keep()
        assert not later.gate.allows(SECOND)
        (entry,) = await entries(later, SECOND)
        assert (entry.source, entry.added_by) == ("recovered", "system:worker")
        assert (await later.projection.verify()).clean
        assert later.gate.allows(THIRD), "calls go on"


async def test_a_number_lifted_after_the_backup_is_blocked_again(world: World, restored: Restored):
    await change(world, world.lift(FIRST))
    assert world.gate.allows(FIRST)
    async with restored() as later:
        await keeper_of(later).keep()
        assert not later.gate.allows(FIRST)
        assert [entry.source for entry in await entries(later, FIRST)] == ["test"]
        assert (await later.projection.verify()).clean


async def test_an_override_placed_after_the_backup_opens_nothing_and_is_shown_as_lost(world: World, restored: Restored):
    await change(world, world.grant(FIRST, "lead-2"))
    assert world.gate.allows(FIRST, "lead-2")
    async with restored() as later:
        await keeper_of(later).keep()
        assert not later.gate.allows(FIRST, "lead-2")
        assert later.gate.allows(FIRST, "lead-1"), "both sides hold this one"
        async with later.database.read() as session:
            lost = (await session.scalars(select(LostOverride))).one()
        assert (lost.number, lost.lead_id, lost.basis) == (FIRST, "lead-2", "signed-consent")


async def test_an_override_revoked_after_the_backup_opens_nothing_until_an_admin_confirms_it(
    world: World, restored: Restored
):
    await change(world, world.revoke(1))
    async with restored() as later:
        await keeper_of(later).keep()
        assert not later.gate.allows(FIRST, "lead-1")
        assert (await recovery(later)).held == 1
        assert [event.subject_id for event in await events(later, "hold-override")] == ["1"]
        with pytest.raises(NotPermitted):
            await confirm_override(forces(later), Actor("agent", role=Role.AGENT), 1, reason="asked them")
        await review_override(forces(later), Actor("another", role=Role.ADMIN), 1)
        assert not later.gate.allows(FIRST, "lead-1"), "a review is not enough: it may have been revoked"
        assert (await confirm_override(forces(later), ADMIN, 1, reason="asked them")).in_force
        assert later.gate.allows(FIRST, "lead-1")
        with pytest.raises(NotHeld):
            await confirm_override(forces(later), ADMIN, 1, reason="again")


async def test_an_override_that_waited_for_its_review_opens_only_with_a_review_and_a_confirmation(
    world: World, waiting: int, restored: Restored
):
    """Redis never held it, so nothing shows whether it was revoked after the backup."""
    await change(world, world.revoke(waiting))
    async with restored() as later:
        await keeper_of(later).keep()
        assert (await recovery(later)).held == 1
        (event,) = await events(later, "hold-override")
        assert (event.subject_id, event.particulars["unreviewed"]) == (str(waiting), 1)
        with pytest.raises(NotReviewed, match="reviewed first"):
            await confirm_override(forces(later), ADMIN, waiting, reason="asked them")
        assert (await review_override(forces(later), ANOTHER, waiting)).held
        assert not later.gate.allows(FIRST, "lead-2"), "a review is not enough: it may have been revoked"
        await confirm_override(forces(later), ADMIN, waiting, reason="asked them")
        assert later.gate.allows(FIRST, "lead-2")


async def test_an_override_that_is_reviewed_before_its_recovery_is_held_all_the_same(
    world: World, waiting: int, restored: Restored
):
    await change(world, world.revoke(waiting))
    async with restored() as later:
        await review_override(later.records, ANOTHER, waiting)
        await keeper_of(later).keep()
        assert not later.gate.allows(FIRST, "lead-2")
        await confirm_override(forces(later), ADMIN, waiting, reason="asked them")
        assert later.gate.allows(FIRST, "lead-2")


@pytest.mark.usefixtures("waiting")
async def test_each_waiting_override_is_held_once_and_a_later_one_is_not(
    world: World, restored: Restored, monkeypatch: pytest.MonkeyPatch
):
    async def unreachable(*_: object) -> None:
        raise RedisUnavailable("the connection to Redis broke")

    monkeypatch.setattr(recovered_overrides, "AT_ONCE", 1)
    await change(world, world.suppress(SECOND))
    async with restored() as later:
        async with later.database.write() as session:
            await session.execute(update(Override).values(held=True))  # Now there are two.
        with monkeypatch.context() as patch:
            patch.setattr(recovery_room, "record_lost", unreachable)
            with pytest.raises(RedisUnavailable):
                await recover(later.projection.sides, WORKER)
        since = await grant_unreviewed(later, "lead-3")
        await keeper_of(later).keep()
        assert (await recovery(later)).held == 2
        assert [event.subject_id for event in await events(later, "hold-override")] == ["1", "2"]
        async with later.database.read() as session:
            assert (await session.get_one(Override, since)).recovery_id is None


async def test_an_override_that_a_recovery_holds_can_be_revoked(world: World, restored: Restored):
    await change(world, world.revoke(1))
    async with restored() as later:
        await keeper_of(later).keep()
        await later.revoke(1)
        with pytest.raises(NotHeld):
            await confirm_override(forces(later), ADMIN, 1, reason="too late")
        await later.projection.drain()
        assert not later.gate.allows(FIRST, "lead-1")


async def test_an_override_that_another_has_replaced_since_is_held(world: World, restored: Restored):
    await world.revoke(1)
    await change(world, world.grant(FIRST, "lead-1"))
    async with restored() as later:
        await keeper_of(later).keep()
        assert not later.gate.allows(FIRST, "lead-1")
        found = await recovery(later)
        assert (found.held, found.lost) == (1, 1)


async def test_calls_stop_before_anything_is_recovered(
    world: World, restored: Restored, monkeypatch: pytest.MonkeyPatch
):
    await change(world, world.suppress(SECOND))
    seen = []

    async def look(*_: object) -> None:
        seen.append((world.gate.rule(THIRD).detail, world.redis.exists(LEASE)))
        raise ForeignHistory("x")

    monkeypatch.setattr("admin_web.worker.keeper.recover", look)
    async with restored() as later:
        with pytest.raises(ForeignHistory):
            await keeper_of(later).keep()
    assert seen == [("no-lease", 0)]


async def test_nobody_says_in_force_on_the_wrong_history(world: World, restored: Restored):
    await change(world, world.suppress(SECOND))
    async with restored() as later:
        await later.suppress(THIRD)
        standing = await forces(later).standing()
        assert not standing.in_force
        assert "another database" in standing.why_not
        for refused in (later.projection.rebuild(), later.projection.rebuild(allow_drop=True)):
            with pytest.raises(ForeignHistory):
                await refused
        assert "other-history" in (await later.projection.verify()).doubt
        assert not world.gate.allows(SECOND)
        await keeper_of(later).keep()
        assert (await forces(later).standing()).in_force
        assert not later.gate.allows(THIRD)


async def test_the_audit_has_one_event_with_the_counts(world: World, restored: Restored):
    await world.suppress_many([SECOND, THIRD])
    await world.grant(FIRST, "lead-2")
    await change(world, world.revoke(1))
    async with restored() as later:
        keeper = keeper_of(later)
        await keeper.keep()
        await keeper.keep()
        (event,) = await events(later, "recover")
        counts = {name: event.particulars[name] for name in ("numbers", "patterns", "terms", "held", "lost")}
        assert counts == {"numbers": 2, "patterns": 0, "terms": 0, "held": 1, "lost": 1}
        found = await recovery(later)
        assert (found.numbers, found.held, found.lost) == (2, 1, 1)


async def test_an_admin_who_has_looked_closes_the_recovery(world: World, restored: Restored):
    await change(world, world.suppress(SECOND))
    async with restored() as later:
        await keeper_of(later).keep()
        with pytest.raises(NotPermitted):
            await acknowledge_recovery(forces(later), Actor("agent", role=Role.AGENT), 1)
        await acknowledge_recovery(forces(later), ADMIN, 1)
        assert (await recovery(later)).seen_by == ADMIN.name
        with pytest.raises(NothingToSee):
            await acknowledge_recovery(forces(later), ADMIN, 1)
        assert len(await events(later, "see-recovery")) == 1


async def test_another_database_is_the_same_case(world: World, sqlite_template: Path, tmp_path: Path):
    copy = shutil.copy(sqlite_template, tmp_path / "other.sqlite3")
    async with Database(f"sqlite:///{copy}") as other, World(other, world.server) as later:
        await keeper_of(later).keep()
        assert not later.gate.allows(FIRST)
        assert not later.gate.allows(FIRST, "lead-1")
        assert (await recovery(later)).numbers == 1


async def test_a_backup_that_has_all_changes_needs_no_recovery(world: World, restored: Restored):
    async with restored() as later:
        await keeper_of(later).keep()
        async with later.database.read() as session:
            assert await session.scalar(select(func.count()).select_from(Recovery)) == 0
        await later.suppress(SECOND)
        assert (await forces(later).standing()).in_force


async def test_one_change_after_the_backup_is_enough(world: World, restored: Restored):
    """Redis is then one write ahead, as after the death of a writer between Redis and SQL."""
    await world.suppress(SECOND)
    await world.projection.drain()
    async with restored() as later:
        with pytest.raises(ForeignHistory):
            await later.projection.renew_lease()


async def test_rows_with_the_same_ids_do_not_prove_that_a_write_is_known(world: World, restored: Restored):
    await world.suppress(SECOND)
    await world.projection.drain()
    async with restored() as later:
        await later.suppress(THIRD)  # Gets the id of the lost row.
        with pytest.raises(ForeignHistory):
            await later.projection.drain()
        await keeper_of(later).keep()
        assert not later.gate.allows(SECOND)
        assert not later.gate.allows(THIRD)


@pytest.mark.parametrize("step", ["before EXEC", "after EXEC", "before commit"])
async def test_a_writer_that_dies_between_redis_and_sql_starts_no_recovery(world: World, step: str):
    await world.suppress(SECOND)
    async with world.mortal(Fuse(step)) as dying:
        with pytest.raises(Killed):
            await dying.drain()
    await world.projection.renew_lease()
    assert not world.gate.allows(SECOND)
    assert (await world.projection.verify()).clean
    assert await events(world, "recover") == []


async def test_a_builder_that_dies_between_redis_and_sql_starts_no_recovery(world: World):
    await world.suppress(SECOND)
    async with world.mortal(Fuse("after EXEC")) as dying:
        with pytest.raises(Killed):
            await dying.rebuild()
    await world.projection.renew_lease()
    assert not world.gate.allows(SECOND)
    assert await events(world, "recover") == []


async def test_the_first_build_of_all_may_die_after_its_flip(database: Database, redis_server: RedisServer):
    async with World(database, redis_server) as world:
        await world.suppress(FIRST)
        async with world.mortal(Fuse("after EXEC")) as dying:
            with pytest.raises(Killed):
                await dying.rebuild()
        await world.projection.renew_lease()
        assert await events(world, "recover") == []


async def test_a_redis_that_lost_its_last_writes_is_rebuilt_and_nothing_is_recovered(world: World):
    before = world.redis.hgetall(STATE)
    await change(world, world.lift(FIRST))
    world.redis.delete(STATE)
    world.redis.hset(STATE, mapping=before)
    with pytest.raises(ProjectionLost):
        await world.projection.renew_lease()
    await keeper_of(world).keep()
    assert world.gate.allows(FIRST)
    assert await events(world, "recover") == []


async def test_an_empty_redis_has_nothing_to_compare_with(world: World, restored: Restored):
    await change(world, world.suppress(SECOND))
    await world.restart(empty=True)
    async with restored() as later:
        await keeper_of(later).keep()
        assert later.gate.allows(SECOND)
        assert await events(later, "recover") == []


async def test_a_restarted_redis_is_evidence_all_the_same(world: World, restored: Restored):
    await change(world, world.suppress(SECOND))
    await world.restart()
    async with restored() as later:
        await keeper_of(later).keep()
        assert not later.gate.allows(SECOND)


STEPS = ("before GET", "after SMEMBERS", "before commit", "after commit")


@pytest.mark.parametrize("step", [*STEPS, *(pytest.param(one, marks=pytest.mark.exhaustive) for one in (9, 14, 19))])
async def test_a_recovery_that_is_killed_is_resumed_and_nothing_is_doubled(
    world: World, restored: Restored, step: int | str
):
    await world.suppress_many([SECOND, THIRD])
    await add_pattern(world.records, ADMIN, Pattern("1212"), reason="test", source="test")
    await world.grant(FIRST, "lead-2")
    await change(world, world.revoke(1))
    async with restored() as later:
        async with later.mortal(Fuse(step)) as dying:
            with pytest.raises(Killed):
                await recover(dying.sides, WORKER)
        await keeper_of(later).keep()
        found = await recovery(later)
        assert (found.numbers, found.patterns, found.held, found.lost) == (2, 1, 1, 1)
        assert len(await events(later, "recover")) == 1
        assert len(await events(later, "hold-override")) == 1
        assert [len(await entries(later, number)) for number in (SECOND, THIRD)] == [1, 1]
        assert not any(later.gate.allows(number) for number in (FIRST, SECOND, THIRD, "+12125550100"))
        assert (await later.projection.verify()).clean


async def test_what_people_change_during_a_recovery_stays(world: World, restored: Restored):
    await world.suppress_many([SECOND, THIRD])
    await change(world, world.revoke(1))
    async with restored() as later:
        async with later.mortal(Fuse("before SCAN")) as dying:
            with pytest.raises(Killed):
                await recover(dying.sides, WORKER)
        await later.suppress(SECOND)
        await later.lift(SECOND)
        await later.suppress("+14155550199")
        placed = await later.grant("+14155550199", "lead-9")
        keeper = keeper_of(later)
        await keeper.keep()
        assert later.gate.allows(SECOND), "an admin has lifted it knowing what it was"
        assert not later.gate.allows(THIRD)
        assert later.gate.allows("+14155550199", "lead-9")
        async with later.database.read() as session:
            assert not (await session.get_one(Override, placed)).held


async def test_what_the_worker_lifts_meanwhile_is_recovered(world: World, restored: Restored):
    """The entry was to end by itself, and Redis has it because its end was put off after the backup."""
    await change(world, world.suppress(SECOND))
    async with restored() as later:
        began = await _begin(later.projection.sides, await live_of(later))
        async with later.database.write() as session:
            ended = {"lifted_at": later.now(), "lifted_by": WORKER.name, "lift_reason": "ended"}
            session.add(
                SuppressionEntry(
                    list_name="internal", number=SECOND, source="test", added_at=began[1], added_by="x", **ended
                )
            )
        await keeper_of(later).keep()
        assert not later.gate.allows(SECOND)


async def dated_ahead(world: World, *rows: Base) -> None:
    """Add rows that a program with a fast clock has written before the backup."""
    async with world.database.write() as session:
        session.add_all(rows)


async def test_a_lift_that_a_fast_clock_dated_after_the_recovery_keeps_no_number_out_of_it(
    world: World, restored: Restored
):
    await change(
        world, world.suppress(SECOND), add_pattern(world.records, ADMIN, Pattern("1212"), reason="x", source="x")
    )
    async with restored() as later:
        added = {"source": "x", "added_at": later.now(), "added_by": "shell:test"}
        lifted = {"lifted_at": later.now() + timedelta(hours=1), "lifted_by": "shell:test", "lift_reason": "x"}
        await dated_ahead(
            later,
            SuppressionEntry(list_name="internal", number=SECOND, **added, **lifted),
            SuppressionPattern(prefix="1212", reason="x", **added, **lifted),
        )
        await keeper_of(later).keep()
        assert not later.gate.allows(SECOND)
        assert not later.gate.allows("+12125550100")


async def test_a_recovery_that_begins_by_a_slow_clock_recovers_what_was_lifted_before_the_backup(
    world: World, backed_up: BackedUp
):
    """The clock is set right while the recovery is under way, as at the start of a machine."""
    await change(world, world.suppress(SECOND), world.lift(SECOND))
    restored = await backed_up(world)
    await change(world, world.suppress(SECOND), world.revoke(1))
    async with restored() as later:
        live = await live_of(later)
        async with World(later.database, world.server, now=lambda: utc_now() - timedelta(days=1)) as slow:
            await _begin(slow.projection.sides, live)
        await keeper_of(later).keep()
        assert not later.gate.allows(SECOND)
        assert not later.gate.allows(FIRST, "lead-1")


async def test_an_override_that_a_fast_clock_dated_after_the_recovery_is_held(world: World, restored: Restored):
    await change(world, world.revoke(1))
    async with restored() as later:
        async with later.database.write() as session:
            await session.execute(update(Override).values(placed_at=later.now() + timedelta(hours=1)))
        await keeper_of(later).keep()
        assert not later.gate.allows(FIRST, "lead-1")


async def test_terms_that_a_fast_clock_dated_after_the_recovery_become_the_stricter_ones(
    world: World, backed_up: BackedUp
):
    await add_campaign_list(world.records, ADMIN, "spring", ["s-1"])
    await change(world, world.suppress(SECOND, "spring"))
    restored = await backed_up(world)
    await change(world, set_campaigns(world.records, ADMIN, "spring", ["s-2"]))
    async with restored() as later:
        async with later.database.write() as session:
            await session.execute(update(CampaignListRow).values(changed_at=later.now() + timedelta(hours=1)))
        await keeper_of(later).keep()
        assert later.gate.rule(SECOND, campaign="s-2").reason == "spring-dnc"


async def test_campaign_lists_and_patterns_that_redis_alone_has_are_recovered(world: World, restored: Restored):
    await add_campaign_list(world.records, ADMIN, "spring", ["s-1"])
    await world.suppress(SECOND, "spring")
    await change(world, add_pattern(world.records, ADMIN, Pattern("1212"), reason="test", source="test"))
    async with restored() as later:
        await keeper_of(later).keep()
        assert later.gate.rule(SECOND, campaign="s-1").reason == "spring-dnc"
        (event,) = await events(later, "add-campaign-list")
        assert (event.done_by, event.particulars) == (WORKER.name, {"campaigns": "s-1"})
        assert later.gate.allows(SECOND)
        assert later.gate.rule("+12125550100").detail == "1212"
        found = await recovery(later)
        assert (found.numbers, found.patterns, found.terms) == (1, 1, 1)


async def test_calls_stay_stopped_while_redis_lacks_the_terms_to_be_recovered(
    world: World, restored: Restored, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(keeper_room, "LOST_S", 0.0)
    await change(world, add_pattern(world.records, ADMIN, Pattern("1212"), reason="test", source="test"))
    async with restored() as later:
        world.redis.delete(terms_key((await live_of(later)).state.generation))
        keeper = keeper_of(later)
        with pytest.raises(TermsLost, match="enter them again"):
            await keeper.keep()
        assert not later.gate.allows("+12125550100")
        with pytest.raises(ForeignHistory):  # Only a person can mend it, so it is not tried again at once.
            await keeper.keep()
        with pytest.raises(ForeignHistory):
            await later.projection.rebuild()


@pytest.mark.parametrize("other", [{"server": "other slots"}, {"written": Written(mark="ab" * 8)}])
async def test_a_recovery_is_not_complete_if_slots_have_moved_or_somebody_has_written_meanwhile(
    world: World, other: dict[str, Any]
):
    async with world.projection.sides.store.wire() as wire:
        evidence = await Evidence.of(wire)
        assert evidence
        await evidence.require_unchanged()
        with pytest.raises(StoreMoved):
            await replace(evidence, live=replace(evidence.live, **other)).require_unchanged()


async def test_a_campaign_list_applies_to_the_campaigns_of_both_sides(world: World, backed_up: BackedUp):
    await add_campaign_list(world.records, ADMIN, "spring", ["s-1"])
    await change(world, world.suppress(SECOND, "spring"))
    restored = await backed_up(world)
    await change(world, set_campaigns(world.records, ADMIN, "spring", ["s-2"]))
    async with restored() as later:
        await keeper_of(later).keep()
        event = (await events(later, "set-campaigns"))[-1]
        assert (event.done_by, event.particulars) == (WORKER.name, {"campaigns": "s-1 s-2", "was": "s-1"})
        for campaign in ("s-1", "s-2"):
            assert later.gate.rule(SECOND, campaign=campaign).reason == "spring-dnc"


async def test_the_numbers_of_a_lost_version_of_a_registry_stay_blocked(world: World, restored: Restored):
    await take(world.records, "us-ftc", file(world.server.directory, flat([SECOND])))
    await world.projection.follow()
    async with restored() as later:
        await keeper_of(later).keep()
        assert not later.gate.allows(SECOND)
        (entry,) = await entries(later, SECOND)
        assert "registry us-ftc" in entry.note


async def test_calls_stay_stopped_while_too_many_numbers_of_a_registry_are_lost(
    world: World, restored: Restored, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("admin_web.services.recovered_registries.MOST", 1)
    listed = file(world.server.directory, flat([SECOND, "+14155550177"]))
    await take(world.records, "us-ftc", listed)
    await world.projection.follow()
    async with restored() as later:
        keeper = keeper_of(later)
        with pytest.raises(RegistryNotRecovered, match="until us-ftc is imported again"):
            await keeper.keep()
        assert later.gate.rule(THIRD).detail == "no-lease"
        await take(later.records, "us-ftc", listed)
        await keeper_of(later).keep()
        assert not later.gate.allows(SECOND)
        assert later.gate.allows(THIRD)


async def test_a_version_that_has_the_id_of_a_lost_one_is_not_taken_for_it(world: World, restored: Restored):
    await take(world.records, "us-ftc", file(world.server.directory, flat([SECOND])))
    await world.projection.follow()
    async with restored() as later:
        await take(later.records, "us-ftc", file(world.server.directory, flat(["+14155550177"])))
        await keeper_of(later).keep()
        assert not later.gate.allows(SECOND)
        assert not later.gate.allows("+14155550177")


async def test_the_terms_of_a_registry_are_the_stricter_ones_of_both_sides(world: World, backed_up: BackedUp):
    mild = EditedTerms(spared=("gift", "poll"))
    await change(world, add_registry(world.records, ADMIN, "us-ftc", "", mild))
    restored = await backed_up(world)
    strict = EditedTerms(spared=("gift",), when_stale="block", when_uncovered="block")
    await change(world, set_terms(world.records, ADMIN, "us-ftc", strict))
    async with restored() as later:
        await keeper_of(later).keep()
        async with later.database.read() as session:
            row = await session.get_one(Registry, "us-ftc")
        assert (row.spared, row.when_stale, row.when_uncovered) == (["gift"], "block", "block")
        assert later.gate.rule(SECOND).reason == "registry-uncovered"
        event = (await events(later, "set-terms"))[-1]
        assert event.particulars == {"spared": "gift", "when_stale": "block", "when_uncovered": "block"}


async def test_what_redis_holds_is_thrown_away_only_by_its_mark(world: World, restored: Restored):
    await change(world, world.suppress(SECOND))
    mark = world.redis.hget(STATE, MARK).decode()
    async with restored() as later:
        with pytest.raises(WrongMark, match=mark):
            await discard_foreign(later.projection.sides, ADMIN, ["0123456789abcdef"])
        assert await discard_foreign(later.projection.sides, ADMIN, [mark])
        await later.projection.rebuild(allow_drop=True)
        assert later.gate.allows(SECOND)
        assert not await discard_foreign(later.projection.sides, ADMIN, [mark])
        assert len(await events(later, "discard-history")) == 1


async def test_keys_that_no_version_writes_do_not_keep_a_recovery_from_ending(world: World, restored: Restored):
    await change(world, world.suppress(SECOND))
    world.redis.hset(STATE, mapping={MARK: "x" * 100, MARK_BEFORE: "\0" * 16, WRITTEN: "|1-9999999999999999999"})
    world.redis.hset(STATE, "version:us-ftc", "9" * 30)
    ends_ms = epoch_ms(utc_now() + timedelta(days=1))
    for exchange, line, lead in (("1" * 40, 1, "lead-1"), ("1415555", 1, "x" * 100), ("1415555", 2, "\0")):
        world.redis.set(f"dnc:1:override:{{{exchange}}}:{line}:{lead}", f"7|signed-consent|{ends_ms}")
    world.redis.set("dnc:1:override:{1415555}:7:lead-7", f"\0|\0|{ends_ms}")
    world.redis.sadd(f"dnc:1:{'x' * 100}:{{1415555}}", 100, -1, 10**30)
    world.redis.sadd("dnc:1:internal:{1415555}", 10**30, "01")
    async with restored() as later:
        await keeper_of(later).keep()
        assert not later.gate.allows(SECOND)
        async with later.database.read() as session:
            recovery = (await session.scalars(select(Recovery))).one()
            assert recovery.ended_at is not None
            assert not (await session.scalars(select(LostOverride.number))).all()
            assert set(await session.scalars(select(SuppressionEntry.list_name))) == {"internal"}


async def test_a_second_restore_of_the_same_backup_is_recovered_again(world: World, restored: Restored):
    await change(world, world.suppress(SECOND))
    async with restored() as later:
        await keeper_of(later).keep()
        async with later.database.write() as session:  # As in the backup: neither marks nor entries.
            await session.execute(delete(SuppressionEntry).where(SuppressionEntry.number == SECOND))
            await session.execute(delete(OutboxRow).where(OutboxRow.id > 2))
            await session.execute(delete(Recovery))
            newest = select(func.max(ProjectionMark.id)).scalar_subquery()
            await session.execute(delete(ProjectionMark).where(ProjectionMark.id == newest))
        await keeper_of(later).keep()
        assert not later.gate.allows(SECOND)


async def test_pages_say_that_calls_are_stopped_and_then_that_an_admin_must_look(world: World, restored: Restored):
    await change(world, world.suppress(SECOND))
    async with restored() as later:
        shown = await alarm(later.projection.sides)
        assert shown is not None
        assert shown.title == "Calls are stopped."
        assert "another database" in shown.text
        await keeper_of(later).keep()
        assert (await alarm(later.projection.sides)).title == "Recovered from Redis."
        await acknowledge_recovery(forces(later), ADMIN, 1)
        assert await alarm(later.projection.sides) is None


async def test_a_recovery_that_fails_keeps_no_connection_to_the_database(
    world: World, restored: Restored, monkeypatch: pytest.MonkeyPatch
):
    async def unreachable(*_: object) -> None:
        raise RedisUnavailable("the connection to Redis broke")

    monkeypatch.setattr(recovered_overrides, "AT_ONCE", 1)
    monkeypatch.setattr(Evidence, "lacking", unreachable)
    await change(world, world.suppress(SECOND))
    async with restored() as later:
        with pytest.raises(RedisUnavailable) as failure:
            await keeper_of(later).keep()
        assert failure.value.__traceback__ is not None  # It refers to the frames, and so to what they have open.
        assert later.database._engine.pool.checkedout() == 0


async def test_old_marks_are_forgotten_but_never_the_newest(world: World):
    await change(world, world.suppress(SECOND), world.suppress(THIRD))
    later = world.now() + MARKS_KEPT + timedelta(minutes=1)
    assert await forget(world.database, later) == 3
    await world.projection.renew_lease()
    async with world.database.read() as session:
        assert await session.scalar(select(func.count()).select_from(ProjectionMark)) == 1


async def test_old_marks_are_forgotten_as_fast_as_they_were_written(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    for number in range(5):
        await change(world, world.suppress(f"+1415555{number:04}"))
    later = world.now() + MARKS_KEPT + timedelta(minutes=1)
    plans = await plans_of(world.database, lambda: forget(world.database, later))
    assert not any("SCAN projection_marks" in plan or "Seq Scan on projection_marks" in plan for plan in plans)
    async with world.database.read() as session:
        assert await session.scalar(select(func.count()).select_from(ProjectionMark)) == 1


async def test_a_mark_is_kept_as_long_after_its_replacement_as_others(world: World):
    """A Redis that lost its last second has the mark before the newest one, however long ago that was written."""
    await change(world, world.suppress(SECOND))
    async with world.database.write() as session:
        newest = select(func.max(ProjectionMark.id)).scalar_subquery()
        long_ago = world.now() - MARKS_KEPT - timedelta(days=1)
        await session.execute(update(ProjectionMark).where(ProjectionMark.id < newest).values(written_at=long_ago))
    before = (await live_of(world)).written.before
    assert await forget(world.database, world.now()) == 1
    world.redis.hset(STATE, mapping={MARK: before, MARK_BEFORE: "cd" * 8})
    with pytest.raises(ProjectionLost, match="an earlier state"):
        await world.projection.renew_lease()


async def test_a_rebuild_does_not_replace_what_another_database_wrote_meanwhile(world: World):
    async def write() -> None:
        world.redis.hset(STATE, mapping={MARK: "ab" * 8, MARK_BEFORE: "cd" * 8})

    async with world.mortal(Meanwhile("after SADD", write)) as builder:
        with pytest.raises(ForeignHistory, match="mark abababababababab"):
            await builder.rebuild()
    assert world.redis.hget(STATE, "generation") == b"1"


async def test_the_worker_mends_nothing_in_a_redis_of_another_history(world: World, restored: Restored):
    """It would take the numbers out of Redis that SQL has lost."""
    await change(world, world.suppress(SECOND))
    lost = Difference(EXTRA, "internal", None, E164(SECOND))
    async with restored() as later, later.projection.sides.store.wire() as wire:
        with pytest.raises(ForeignHistory):
            await settle(later.projection.sides, wire, 1, [lost])
    assert not world.gate.allows(SECOND)
