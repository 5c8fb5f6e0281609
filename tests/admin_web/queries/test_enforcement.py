"""The enforcement status in real situations: Redis down, emptied or restarted, no lease, pending changes."""

import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from time import monotonic

import pytest
from sqlalchemy import event, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.projection.outbox import Lag, lag
from admin_web.projection.projection import Projection
from admin_web.projection.wire import TIMEOUT_S
from admin_web.queries.alarm import alarm
from admin_web.queries.alarms.enforcement import NO_CALLS, NOT_IN_FORCE, gravest, of_shard
from admin_web.queries.alarms.kind import Alarm
from admin_web.queries.alarms.losses import LOST, LOST_WHERE
from admin_web.queries.cached import Cached
from admin_web.queries.enforcement import Enforcement, ListCount
from admin_web.record.changes import utc_now
from admin_web.record.database import Database
from admin_web.record.models import OutboxRow
from admin_web.worker.decision_rows import put, row_of
from compliance import verdict
from compliance.redis_records import GateHeartbeat, decision_fields, heartbeat_value
from compliance.redis_schema import DECISIONS, EPOCH, GATES, LEASE, STATE, TERMS, epoch_ms, gate_key, terms_key
from compliance.verdict import Decision, allow, block
from lab.redis import RedisServer
from tests.support.faults import Fuse, Killed
from tests.support.plans import by_index, plans_of
from tests.support.projection import World

LISTED, OTHER, THIRD = "+14155550100", "+14155550101", "+14155550102"


@pytest.fixture
async def world(database: Database, redis_server: RedisServer) -> AsyncIterator[World]:
    async with World(database, redis_server) as world:
        await world.suppress(LISTED)
        await world.projection.rebuild()
        yield world


async def said(world: World) -> Alarm:
    found = await alarm(world.projection.sides)
    assert found is not None
    return found


async def age_pending(world: World, seconds: float) -> None:
    """Set the age of the pending changes."""
    since = utc_now() - timedelta(seconds=seconds)
    async with world.database.write() as session:
        await session.execute(update(OutboxRow).where(OutboxRow.applied_turn.is_(None)).values(committed_at=since))


async def test_nothing_is_said_while_all_that_is_recorded_is_in_force(world: World):
    assert await alarm(world.projection.sides) is None
    await world.suppress(OTHER)
    await world.projection.drain()
    assert await alarm(world.projection.sides) is None


async def lose(world: World, calls: int, gate: str = "pbx-1:7", **ago: float) -> None:
    """Archive the record of lost decisions."""
    at = utc_now() - timedelta(**ago)
    ruling = block(verdict.RECORDS_LOST, f"{calls} calls until 2026-03-01T12:00:01Z")
    lost = Decision(f"id-{calls}-{gate}", at, ruling, "", "", "", "", 0, gate)
    fields = {name.encode(): value.encode() for name, value in decision_fields(lost).items()}
    async with world.database.write() as session:
        await put(session, [row_of(fields, at)])


async def test_records_that_gates_have_lost_are_an_alarm_for_a_day(world: World):
    await lose(world, 3, hours=25)
    assert await alarm(world.projection.sides) is None
    await lose(world, 1, hours=23)
    assert (await said(world)) == Alarm(LOST, f"One record of pbx-1:7 could not be kept. {LOST_WHERE}")
    await lose(world, 40_000, gate="pbx-2:9", hours=1)
    assert (await said(world)).text.startswith("40,001 records of pbx-1:7, pbx-2:9 could not be kept.")


async def test_the_banner_reads_the_database_in_one_transaction_and_lost_records_by_their_index(world: World):
    opened = list[str]()
    event.listen(world.database._engine.sync_engine, "begin", lambda _: opened.append("begin"))
    plans = await plans_of(world.database, lambda: alarm(world.projection.sides))
    assert len(plans) == 7
    assert len(opened) == 2  # The second one is that of the plans.
    (of_decisions,) = (plan for plan in plans if "decisions" in plan)
    assert by_index(of_decisions, "ix_decisions_verdict_reason_at")


async def test_a_slow_database_does_not_look_like_a_wrong_clock(world: World, monkeypatch):
    late = timedelta(0)

    async def slow(session: AsyncSession) -> Lag:
        nonlocal late
        late = timedelta(seconds=30)
        return await lag(session)

    monkeypatch.setattr("admin_web.projection.outbox.lag", slow)
    assert await alarm(replace(world.projection.sides, now=lambda: utc_now() + late)) is None


async def test_calls_that_are_stopped_are_told_before_lost_records(world: World):
    await lose(world, 3, hours=1)
    world.redis.delete(LEASE)
    assert (await said(world)).title == NO_CALLS


async def test_a_change_of_this_very_moment_is_no_alarm_and_one_that_waits_is(world: World):
    await world.suppress(OTHER)
    assert await alarm(world.projection.sides) is None
    await age_pending(world, 12)
    title, text = await said(world)
    assert title == NOT_IN_FORCE
    assert text.startswith("One change has not reached Redis for 12 s. Calls are stopped in ")
    await world.suppress(THIRD)
    assert (await said(world)).text.startswith("2 changes have not reached Redis")
    await world.projection.drain()
    assert await alarm(world.projection.sides) is None


def test_stopped_calls_of_one_shard_are_told_before_the_changes_that_wait_for_it():
    waits, away = Alarm(NOT_IN_FORCE, "of the first shard"), Alarm(NO_CALLS, "of the second shard")
    assert gravest([None, waits, away]) == away
    assert gravest([waits, of_shard(away, 5461)]) == of_shard(away, 5461)
    assert gravest([None, waits]) == waits
    assert gravest([None, None]) is None


async def test_a_redis_that_is_away_stops_calls_and_what_is_recorded_waits(world: World):
    await world.suppress(OTHER)
    world.server.stop()
    title, text = await said(world)
    assert title == NO_CALLS
    assert "Redis cannot be queried" in text
    assert text.endswith("One change has not reached Redis yet.")


async def test_a_redis_that_does_not_answer_holds_no_page_up_for_long(world: World, monkeypatch):
    monkeypatch.setattr("admin_web.queries.alarm.PATIENCE_S", 0.05)
    assert world.server.process is not None
    world.server.process.signal(signal.SIGSTOP)
    try:
        asked_at = monotonic()
        assert (await said(world)).title == NO_CALLS
        assert monotonic() - asked_at < TIMEOUT_S
    finally:
        world.server.process.signal(signal.SIGCONT)


async def test_an_emptied_redis_stops_calls(world: World):
    world.redis.flushall()
    assert await said(world) == Alarm(
        NO_CALLS, "Redis holds no projection; the worker rebuilds it, and you can also run `dnc-admin rebuild`."
    )


async def test_a_restarted_redis_stops_calls(world: World):
    await world.restart()
    assert "restarted" in (await said(world)).text


async def test_a_lease_that_is_over_stops_calls(world: World):
    world.redis.delete(LEASE)
    title, text = await said(world)
    assert title == NO_CALLS
    assert "dnc-admin worker" in text


async def test_a_lease_without_end_is_not_counted_down(world: World):
    world.redis.persist(LEASE)
    await world.suppress(OTHER)
    await age_pending(world, 5)
    assert (await said(world)).text == "One change has not reached Redis for 5 s."


async def test_another_generation_than_the_one_on_record_stops_trust(world: World):
    world.redis.hset(STATE, "generation", 99)
    assert "another generation" in (await said(world)).text


class SecondCommit(Fuse):
    """Kills a rebuild between its flip in Redis and the commit that records it. The first commit is the claim."""

    async def step(self, name: str) -> None:
        self.steps += name == "before commit"
        if self.steps == 2:
            raise Killed


async def test_a_generation_whose_builder_died_after_the_flip_is_in_force(world: World):
    async with world.mortal(SecondCommit()) as dying:
        with pytest.raises(Killed):
            await dying.rebuild()
    assert world.redis.hget(STATE, "generation") == b"2"
    assert await alarm(world.projection.sides) is None


async def test_a_record_that_cannot_be_reached_is_said_and_raises_nothing(world: World):
    away = Projection(Database("postgresql://nobody@127.0.0.1:1/none"), world.settings)
    found = await alarm(away.sides)
    await away.close()
    assert found is not None
    assert found.title == "The database cannot be reached."


async def test_the_overview_holds_redis_beside_sql(world: World):
    overview = await Enforcement(world.projection.sides).overview()
    assert overview.in_force
    assert not overview.building
    assert overview.lists == (ListCount("internal", 1, 1),)
    assert (overview.turn.generation, overview.lag.pending, overview.drop) == (1, 0, "")
    health = overview.health
    assert health is not None
    assert health.live.server == world.redis.info("server")["run_id"]
    assert health.live.version.startswith(("Redis ", "Valkey "))
    assert health.live.rebuilt_at is not None
    assert abs((utc_now() - health.live.rebuilt_at).total_seconds()) < 30
    assert 0 < health.lease_ms <= 60_000


async def test_the_overview_counts_what_waits_on_either_side(world: World):
    await world.suppress(OTHER)
    decision = Decision("1", utc_now(), allow(verdict.NOT_LISTED), "", OTHER, "", "pbx-1.1", 1, "gate")
    for _ in range(3):
        world.redis.xadd(DECISIONS, decision_fields(decision))
    overview = await Enforcement(world.projection.sides).overview()
    assert overview.lists == (ListCount("internal", 2, 1),)
    assert overview.lag.pending == 1
    assert overview.health is not None
    backlog = overview.health.backlog
    assert (backlog.waiting, backlog.unreadable) == (3, 0)
    assert backlog.since is not None
    assert abs((utc_now() - backlog.since).total_seconds()) < 30


async def test_the_overview_tells_a_gate_that_lives_from_one_that_fell_silent(world: World):
    beat = GateHeartbeat("127.0.0.1:4573", EPOCH, 1, "", 17, 0, 0)
    now_ms = epoch_ms(utc_now())
    world.redis.zadd(GATES, {"host:1": now_ms, "host:2": now_ms - 60_000, "host:3": now_ms - 1})
    world.redis.set(gate_key("host:1"), heartbeat_value(beat))
    world.redis.set(gate_key("host:3"), "rubbish")
    overview = await Enforcement(world.projection.sides).overview()
    assert overview.health is not None
    lives, garbled, silent = overview.health.gates
    assert (lives.name, garbled.name, silent.name) == ("host:1", "host:3", "host:2")
    assert lives.beat == beat
    assert garbled.beat is silent.beat is None


async def test_without_redis_the_overview_still_tells_what_sql_knows(world: World):
    world.server.stop()
    overview = await Enforcement(world.projection.sides).overview()
    assert not overview.in_force
    assert overview.health is None
    assert overview.trouble == "Redis cannot be reached"
    assert overview.lists == (ListCount("internal", 1, None),)


async def test_a_list_that_is_suspiciously_small_in_sql_is_told_before_anybody_rebuilds(world: World):
    assert (await Enforcement(world.projection.sides).overview()).drop == ""
    world.redis.hset(STATE, "count:internal", 1000)
    drop = (await Enforcement(world.projection.sides).overview()).drop
    assert drop == "the company's own list would shrink from 1,000 to 1 number"


async def test_what_is_cached_is_asked_for_once_in_its_time_and_a_failure_is_not_kept():
    asked = []

    async def work() -> int:
        asked.append(1)
        if len(asked) == 1:
            raise ConnectionError
        return len(asked)

    cached = Cached(work, 60)
    with pytest.raises(ConnectionError):
        await cached()
    assert [await cached(), await cached()] == [2, 2]
    assert await Cached(work, 0)() == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda redis: redis.delete(terms_key(1)),
        lambda redis: redis.set(terms_key(1), b"odd"),
        lambda redis: redis.hset(STATE, TERMS, "0" * 16),
    ],
)
async def test_lost_terms_of_the_registries_are_said_until_the_projection_is_rebuilt(world: World, damage):
    enforcement = Enforcement(world.projection.sides)
    assert not await world.projection.terms_lost()
    damage(world.redis)
    title, text = await said(world)
    assert (title, text.split(".")[0]) == (
        NO_CALLS,
        "Redis has lost the terms of the registries, so gates that have not loaded them yet block every call",
    )
    overview = await enforcement.overview()
    assert (overview.in_force, overview.alarm) == (False, Alarm(title, text))
    assert await world.projection.terms_lost()
    await world.projection.rebuild()
    assert await alarm(world.projection.sides) is None
    assert (await enforcement.overview()).in_force
