"""The worker compares SQL with Redis by itself, writes what differs as SQL has it, and raises an alarm."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import delete, update
from structlog.testing import capture_logs

from admin_web.projection import drift, mending, rounds, whole_check
from admin_web.projection.findings import note_complete, note_found
from admin_web.projection.history import last_mark
from admin_web.projection.incarnation import DIFFERED
from admin_web.projection.live import ProjectionLost
from admin_web.projection.rebuild_outcome import SuspiciousDrop
from admin_web.projection.turn import row_of
from admin_web.projection.whole_check import OTHER_COUNT
from admin_web.queries.alarm import alarm
from admin_web.queries.alarms.differences import DRIFT
from admin_web.queries.alarms.enforcement import NO_CALLS
from admin_web.record.changes import utc_now
from admin_web.record.database import Database
from admin_web.record.models import AuditEvent, ProjectionCheck, SuppressionEntry
from admin_web.record.steady_clock import SteadyClock
from admin_web.worker.keeper import Keeper
from admin_web.worker.loop_states import LoopStates
from admin_web.worker.repeating import Repeater
from admin_web.worker.shards import Shards
from admin_web.worker.verifier import LOOK_S, MOST_WAIT_S, WITHIN_S, Checked, Verifier
from compliance.numbers import E164, LeadId
from compliance.redis_schema import LEASE, MARK, MARK_BEFORE, STATE, count_field, listed_key, override_key, terms_key
from compliance.redis_terms import terms_digest
from lab.redis import RedisServer
from tests.support.faults import Killed
from tests.support.projection import World
from tests.support.records import rows
from tests.support.registries import file, flat, take

LISTED, OTHER = "+14155550100", "+14155550199"
MANY = [f"+1415{line:07}" for line in range(2_000_000, 2_000_300)]
EXCHANGE = listed_key(1, "internal", "1415555")
ONE_LEAD = override_key(1, E164(LISTED), LeadId("lead-1"))


@pytest.fixture
async def world(database: Database, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(rounds, "NUMBERS_AT_ONCE", 100)
    async with World(database, redis_server) as world:
        await world.suppress_many(MANY)
        await world.suppress(LISTED)
        await world.grant(LISTED, "lead-1")
        await world.projection.rebuild()
        await world.projection.renew_lease()
        yield world


def verifier_of(world: World) -> Verifier:
    return Verifier(world.projection, world.settings, world.now, Checked())


async def round_of(verifier: Verifier) -> None:
    """Make one round: steps until the next one would begin a new round."""
    await verifier.step()
    while verifier._steps is not None:
        await verifier.step()


async def repairs(world: World) -> list[AuditEvent]:
    return [event for event in await rows(world.records, AuditEvent) if event.action == "mend-drift"]


async def test_a_round_over_what_is_the_same_finds_and_writes_nothing(world: World):
    verifier, changes = verifier_of(world), world.redis.hget(STATE, "changes")
    await round_of(verifier)
    assert (verifier.checked.found.total(), world.redis.hget(STATE, "changes")) == (0, changes)
    (check,) = await rows(world.records, ProjectionCheck)
    assert (check.found, check.found_at) == ({}, None)
    assert utc_now() - check.complete_at < timedelta(minutes=1)
    assert verifier.checked.steps >= 6
    assert await alarm(world.projection.sides) is None


LOSSES = {
    drift.MISSING: lambda redis: redis.srem(EXCHANGE, 100),
    drift.EXTRA: lambda redis: redis.sadd(EXCHANGE, 199),
    drift.OVERRIDE_MISSING: lambda redis: redis.delete(ONE_LEAD),
    drift.OVERRIDE_EXTRA: lambda redis: redis.set(
        override_key(1, E164(LISTED), LeadId("lead-2")), "9|other|99999999999999", px=60_000
    ),
    drift.OVERRIDE_OTHER: lambda redis: redis.set(ONE_LEAD, "1|signed-consent|99999999999999", px=60_000),
    drift.OVERRIDE_ENDLESS: lambda redis: redis.persist(ONE_LEAD),
    OTHER_COUNT: lambda redis: redis.hset(STATE, "count:internal", 7),
}


@pytest.mark.parametrize("kind", LOSSES)
async def test_what_differs_is_found_mended_and_an_alarm_until_a_later_round_is_clean(world: World, kind: str):
    verifier = verifier_of(world)
    LOSSES[kind](world.redis)
    await round_of(verifier)
    assert verifier.checked.found == {kind: 1}
    shown = await alarm(world.projection.sides)
    assert shown is not None
    assert shown.title == DRIFT
    assert f"1 {kind}" in shown.text
    assert (await world.projection.verify()).clean
    assert not world.gate.allows(LISTED)
    assert world.gate.allows(LISTED, "lead-1")
    assert world.gate.allows(OTHER)
    if kind != OTHER_COUNT:
        (event,) = await repairs(world)
        assert event.done_by == "system:worker"
        assert event.particulars["found"] == f"1 {kind}"
        assert LISTED in event.particulars["some"] or OTHER in event.particulars["some"]
    await round_of(verifier)
    assert verifier.checked.found.total() == 0
    assert await alarm(world.projection.sides) is None


async def test_a_round_that_began_before_a_finding_does_not_clear_it(world: World):
    early, later = verifier_of(world), verifier_of(world)
    while early._done < 4:  # It has compared the numbers of this exchange.
        await early.step()
    world.redis.srem(EXCHANGE, 100)
    await round_of(later)
    assert later.checked.found == {drift.MISSING: 1}
    while early._steps is not None:
        await early.step()
    assert (await alarm(world.projection.sides)).title == DRIFT
    await round_of(early)
    assert await alarm(world.projection.sides) is None


async def test_a_finding_of_a_worker_with_a_wrong_clock_is_cleared_too(world: World):
    async with world.database.write() as session:
        await note_found(session, 1, {drift.MISSING: 1}, [LISTED], world.now() + timedelta(days=2))
    await round_of(verifier_of(world))
    assert await alarm(world.projection.sides) is None


async def test_two_workers_that_end_their_first_round_at_once_both_record_it(world: World):
    for _ in range(2):
        async with world.database.write() as session:
            await session.execute(delete(ProjectionCheck))
        both = [note(world, clean_since=world.now()) for _ in range(4)]
        await asyncio.gather(*both)
    (check,) = await rows(world.records, ProjectionCheck)
    assert check.complete_at is not None


async def note(world: World, clean_since: datetime) -> None:
    async with world.database.write() as session:
        await note_complete(session, 1, world.now(), clean_since=clean_since)


async def test_a_whole_set_and_a_list_that_nobody_knows_are_mended(world: World):
    world.redis.delete(listed_key(1, "internal", "1415200"))
    world.redis.sadd(listed_key(1, "house", "1415555"), 100, 199)
    verifier = verifier_of(world)
    await round_of(verifier)
    assert verifier.checked.found == {drift.MISSING: 300, drift.EXTRA: 2}
    assert (await world.projection.verify()).clean


async def test_a_pending_change_is_no_difference(world: World):
    await world.suppress(OTHER)
    await world.lift(LISTED)
    verifier = verifier_of(world)
    await round_of(verifier)
    assert verifier.checked.found.total() == 0
    assert await repairs(world) == []


@pytest.mark.parametrize("kind", [drift.MISSING, drift.EXTRA])
async def test_a_repair_beside_a_pending_change_leaves_the_counts_right(world: World, kind: str):
    await world.suppress(OTHER)
    if kind == drift.MISSING:
        world.redis.srem(EXCHANGE, 100)
    else:
        world.redis.sadd(EXCHANGE, 9_999)
    verifier = verifier_of(world)
    await round_of(verifier)
    assert verifier.checked.found == {kind: 1}
    assert world.redis.hget(STATE, count_field("internal")) == b"301"
    await world.projection.drain()
    assert (await world.projection.verify()).clean


async def test_changes_neither_wait_for_the_counting_nor_make_the_counts_look_wrong(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    async def counted(*asked: object) -> dict[str, int]:
        await world.suppress(OTHER)
        await world.projection.drain()
        return await mending.own_numbers(*asked)

    monkeypatch.setattr(whole_check, "own_numbers", counted)
    monkeypatch.delattr(whole_check, "settle_counts")
    verifier = verifier_of(world)
    await round_of(verifier)
    assert not world.gate.allows(OTHER)
    assert verifier.checked.found.total() == 0


async def test_a_change_during_a_round_is_no_difference(world: World):
    verifier, number = verifier_of(world), 0
    await verifier.step()
    while verifier._steps is not None:
        number += 1
        await (world.suppress(f"+1646555{number:04}") if number % 2 else world.lift(MANY[number]))
        if number % 3:
            await world.projection.drain()
        await verifier.step()
    assert verifier.checked.found.total() == 0


async def withdrawn_by(verifier: Verifier) -> None:
    """Take steps of the verifier until it has found that only a rebuild helps."""
    while not verifier.checked.found:
        await verifier.step()


async def test_so_much_that_only_a_rebuild_helps_stops_calls_until_it_has_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(mending, "MOST_MENDED", 50)
    world.redis.delete(listed_key(1, "internal", "1415200"))
    verifier = verifier_of(world)
    await withdrawn_by(verifier)
    assert not world.redis.exists(LEASE)
    with pytest.raises(ProjectionLost):
        await world.projection.renew_lease()
    world.redis.set(LEASE, "a worker that has not noticed yet")
    assert not world.gate.allows(OTHER)
    shown = await alarm(world.projection.sides)
    assert shown is not None
    assert (shown.title, DIFFERED in shown.text) == (NO_CALLS, True)
    await Keeper(world.projection, world.settings).keep()
    assert world.gate.allows(OTHER)
    assert (await world.projection.verify()).clean
    await round_of(verifier)
    await round_of(verifier)
    assert await alarm(world.projection.sides) is None


async def gone_with_a_crash(*_: object) -> None:
    raise Killed


async def test_what_differs_widely_is_logged_before_calls_stop(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mending, "MOST_MENDED", 50)
    monkeypatch.setattr("admin_web.worker.verifier.withdraw", gone_with_a_crash)
    world.redis.delete(listed_key(1, "internal", "1415200"))
    with capture_logs() as logs, pytest.raises(Killed):
        await withdrawn_by(verifier_of(world))
    assert [(line["event"], line["mended"]) for line in logs] == [("drift", False)]


async def test_another_history_is_logged_before_calls_stop(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("admin_web.worker.keeper.end_lease", gone_with_a_crash)
    world.redis.hset(STATE, mapping={MARK: "ab" * 8, MARK_BEFORE: "cd" * 8})
    with capture_logs() as logs, pytest.raises(Killed):
        await Keeper(world.projection, world.settings).keep()
    assert [line["event"] for line in logs] == ["redis has another history than the database, calls are stopped"]


async def test_a_projection_that_differs_widely_is_not_rebuilt_from_a_database_that_lost_numbers(world: World):
    async with world.database.write() as session:
        await session.execute(update(SuppressionEntry).values(lifted_at=world.now()))
    verifier, keeper = verifier_of(world), Keeper(world.projection, world.settings)
    world.redis.sadd(listed_key(1, "internal", "1646555"), *range(2_000))
    await withdrawn_by(verifier)
    with pytest.raises(SuspiciousDrop):
        await keeper.keep()
    assert not world.gate.allows(OTHER)


async def test_a_rebuild_during_a_round_begins_a_new_one(world: World):
    verifier = verifier_of(world)
    await verifier.step()
    await world.projection.rebuild()
    await world.projection.sweep()
    await round_of(verifier)
    await round_of(verifier)
    assert verifier.checked.found.total() == 0
    assert await repairs(world) == []


async def test_everything_is_compared_within_an_hour_and_at_once_each_night(world: World):
    now = world.now().replace(hour=12, minute=0, tzinfo=world.settings.zone)
    verifier = Verifier(world.projection, world.settings, lambda: now, Checked())
    assert await verifier.step() < 1  # The first round is made at once.
    await round_of(verifier)
    wait_s = await verifier.step()
    assert wait_s == min(MOST_WAIT_S, WITHIN_S / verifier.checked.steps)
    verifier.checked.steps = 7200
    assert verifier._pause_s(0.01) == 0.5
    assert verifier._pause_s(1.0) == 4.0
    now += timedelta(days=1) - timedelta(hours=9, minutes=1)
    assert await verifier.step() == 0.5
    now += timedelta(minutes=1)
    assert await verifier.step() < 0.5  # It is three at night.


async def test_between_steps_the_worker_looks_for_evictions_each_second(world: World, monkeypatch: pytest.MonkeyPatch):
    seconds = count(1.0)
    monkeypatch.setattr("admin_web.worker.verifier.monotonic", lambda: next(seconds))
    shards = Shards(world.database, world.projection, world.settings, SteadyClock(), Repeater(LoopStates()))
    assert await shards._loops_of(world.projection)["verify"]() == LOOK_S


async def test_what_was_found_in_a_former_shard_is_neither_shown_nor_counted(world: World):
    async with world.database.write() as session:
        await note_found(session, row_of(5461), {drift.MISSING: 1}, [], world.now())
    assert await alarm(world.projection.sides) is None
    repeater = Repeater(LoopStates())
    shards = Shards(world.database, world.projection, world.settings, SteadyClock(), repeater)
    shards.checked[" of slot 5461"] = Checked()
    await shards.step()
    assert list(shards.checked) == [""]
    repeater.stop()
    await repeater.run()


async def test_numbers_and_sets_of_a_registry_are_mended_too(world: World, tmp_path: Path):
    listed = [f"+1202555{line:04}" for line in range(0, 9_000, 3)]
    await take(world.records, "us-ftc", file(tmp_path, flat(listed)))
    await world.projection.follow()
    key = listed_key(2, "us-ftc", "1202555")
    world.redis.srem(key, 3, 6)
    world.redis.sadd(key, 1)
    world.redis.sadd(listed_key(2, "us-ftc", "1202556"), 7)
    assert world.gate.allows("+12025550003")
    verifier = verifier_of(world)
    await round_of(verifier)
    assert verifier.checked.found == {drift.MISSING: 2, drift.EXTRA: 2}
    assert not world.gate.allows("+12025550003")
    assert world.gate.allows("+12025560007")
    assert (await world.projection.verify()).clean
    await round_of(verifier)
    assert verifier.checked.found.total() == 0


async def test_each_repair_leaves_a_mark_as_every_write_does(world: World, tmp_path: Path):
    """A Redis that loses a repair then shows it, and is rebuilt."""

    async def mark() -> str:
        async with world.database.read() as session:
            known = await last_mark(session, world.projection.sides.row)
        assert world.redis.hget(STATE, MARK) == (known or "").encode()
        return known or ""

    await take(world.records, "us-ftc", file(tmp_path, flat(["+12025550100", "+12025550101"])))
    await world.projection.follow()
    marks = {await mark()}
    for harm in (
        lambda: world.redis.srem(listed_key(2, "internal", "1415555"), 100),
        lambda: world.redis.srem(listed_key(2, "us-ftc", "1202555"), 100),
        lambda: world.redis.hset(STATE, count_field("internal"), 7),
    ):
        harm()
        verifier = verifier_of(world)
        await round_of(verifier)
        assert verifier.checked.found.total() == 1
        marks.add(await mark())
        await world.projection.renew_lease()
    assert len(marks) == 4


async def test_terms_that_are_not_those_on_record_stop_calls_until_the_rebuild(world: World):
    document = world.redis.get(terms_key(1)) + b" "
    world.redis.set(terms_key(1), document)
    world.redis.hset(STATE, "terms", terms_digest(document))
    verifier = verifier_of(world)
    await withdrawn_by(verifier)
    assert verifier.checked.found == {drift.TERMS_OTHER: 1}
    assert not world.gate.allows(OTHER)
    await Keeper(world.projection, world.settings).keep()
    assert (await world.projection.verify()).clean
