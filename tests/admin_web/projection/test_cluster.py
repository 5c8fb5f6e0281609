"""The projection in a Redis Cluster: each shard has its own part, and is rebuilt separately."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import suppress as suppressed
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import select, update

from admin_web.cli.projection import _discard
from admin_web.projection import builder as builder_room
from admin_web.projection import outbox
from admin_web.projection.builder import Builder
from admin_web.projection.drift import MISSING
from admin_web.projection.live import ForeignHistory, SlotsLeft, read_live
from admin_web.projection.projection import Projection
from admin_web.projection.rebuild_outcome import BuildLost, NotNeeded, SuspiciousDrop
from admin_web.projection.sweep import sweep
from admin_web.projection.wire import TIMEOUT_S, RedisUnavailable
from admin_web.queries.alarm import alarm
from admin_web.queries.alarms.enforcement import NO_CALLS_OF_A_SHARD
from admin_web.queries.call_coverage import coverage
from admin_web.queries.enforcement import Enforcement
from admin_web.record.changes import Records, utc_now
from admin_web.record.database import Database
from admin_web.record.models import OutboxRow, Recovery
from admin_web.services.campaign_lists import add_campaign_list, add_many_to_list
from admin_web.services.consents import Consent
from admin_web.services.overrides import grant_override
from admin_web.services.patterns import add_pattern, lift_pattern
from admin_web.services.recovery import WrongMark
from admin_web.services.suppression import lift, suppress, suppress_many
from admin_web.settings import AdminSettings
from admin_web.worker.decision_archive import DecisionArchive
from admin_web.worker.keeper import Keeper
from admin_web.worker.verifier import Checked, Verifier
from compliance.cluster import Shard
from compliance.consent import ATTESTATION, Basis
from compliance.consent_rules import ConsentRules
from compliance.numbers import E164, LeadId
from compliance.patterns import Pattern
from compliance.redis_schema import (
    MARK,
    MARK_BEFORE,
    Keys,
    exchange_and_line,
    listed_key,
    read_versions,
    slot_of_number,
)
from compliance.redis_terms import read_terms, terms_digest
from compliance.rule import decide
from compliance.terms import AllTerms, CampaignList
from lab.cluster import RedisCluster
from tests.support.backups import back_up
from tests.support.projection import ADMIN, DOCUMENT, Undrained
from tests.support.registries import file, flat, take

NUMBERS = [f"+1415{exchange}0100" for exchange in range(200, 260)]


@pytest.fixture
async def records(database: Database) -> Records:
    records = Records(database, Undrained(), utc_now)
    await suppress_many(records, ADMIN, [E164(number) for number in NUMBERS], source="test")
    return records


@pytest.fixture
async def projection(
    cluster: RedisCluster, database: Database, records: Records, tmp_path: Path
) -> AsyncIterator[Projection]:
    settings = AdminSettings(redis_url=cluster.url, replicas=1, lease_s=60, data_dir=tmp_path)
    async with Projection(database, settings) as projection:
        await projection.rebuild()
        yield projection


def slot(number: str) -> int:
    return slot_of_number(E164(number))


def own(shard: Shard) -> str:
    """Return a listed number of this shard."""
    return next(number for number in NUMBERS if shard.owns(slot(number)))


def holds(client: Redis, shard: Shard, number: str) -> bool:
    generation = int(client.hget(Keys(shard.first).state, "generation"))
    exchange, line = exchange_and_line(E164(number))
    return bool(client.sismember(listed_key(generation, "internal", exchange), line))


async def move(projection: Projection, cluster: RedisCluster, which: int) -> None:
    """Move a slot, and make the projection notice it."""
    await asyncio.to_thread(cluster.move, which)
    projection.sides.store._nodes.invalidate()


async def until_rebuilt(projection: Projection, allow_drop: bool = False) -> None:
    await projection.rebuild(only_if_lost=True, allow_drop=allow_drop)
    assert (await projection.verify()).clean


async def test_each_shard_holds_its_own_numbers_and_no_others(cluster: RedisCluster, projection: Projection):
    counted = 0
    for shard in cluster.topology().shards:
        client = cluster.client_of(shard.first)
        counted += int(client.hget(Keys(shard.first).state, "count:internal"))
        assert all(holds(client, shard, number) for number in NUMBERS if shard.owns(slot(number)))
        assert client.exists(Keys(shard.first).lease)
    assert counted == len(NUMBERS)
    drift = await projection.verify()
    assert drift.clean
    assert drift.numbers == len(NUMBERS)
    assert await alarm(projection.sides) is None
    with pytest.raises(NotNeeded):
        await projection.rebuild(only_if_lost=True)


async def test_the_enforcement_page_shows_all_shards_together(cluster: RedisCluster, projection: Projection):
    overview = await Enforcement(projection.sides).overview()
    assert overview.in_force
    assert [(one.name, one.sql, one.redis) for one in overview.lists] == [("internal", len(NUMBERS), len(NUMBERS))]
    assert overview.health.live.version.endswith(", 3 shards")
    assert 0 < overview.health.lease_ms <= 60_000
    second = cluster.topology().shards[1].first
    cluster.client_of(second).delete(Keys(second).state)
    overview = await Enforcement(projection.sides).overview()
    assert overview.alarm.title == NO_CALLS_OF_A_SHARD
    assert f"lowest slot {second}" in overview.alarm.text


async def test_the_site_knows_what_a_call_to_any_number_would_be_told(projection: Projection):
    openings = [(E164(number), LeadId("lead")) for number in [*NUMBERS, "+14152000101"]]
    facts = await projection.facts(openings)
    assert [one.number for one in facts] == [number for number, _ in openings]
    reasons = [decide(one.number, one, utc_now()).reason for one in facts]
    assert reasons == ["internal-dnc"] * len(NUMBERS) + ["not-listed"]


async def test_a_difference_a_phase_and_a_refusal_name_their_shard(
    cluster: RedisCluster, projection: Projection, records: Records
):
    second = cluster.topology().shards[1]
    client = cluster.client_of(second.first)
    client.hset(Keys(second.first).state, "count:internal", 1)
    phases = list[str]()
    drift = await projection.verify(lambda phase, done, total: phases.append(phase))
    found = [line for line in drift.lines() if line.startswith("differs: ")]
    assert len(found) == 1
    assert found[0].startswith(f"differs: shard from slot {second.first}: Redis counts 1 number on internal")
    await projection.rebuild(progress=lambda phase, done, total: phases.append(phase))
    for shard in cluster.topology().shards:
        assert f"numbers of the shard from slot {shard.first}" in phases
        assert f"Redis in SQL of the shard from slot {shard.first}" in phases
    client.delete(Keys(second.first).state)
    await lift(records, ADMIN, E164(own(second)), reason="test")
    with pytest.raises(RedisUnavailable, match=f"Redis holds no projection on the shard from slot {second.first};"):
        await projection.drain()


async def test_registries_and_their_terms_are_on_every_shard(
    cluster: RedisCluster, projection: Projection, records: Records, tmp_path: Path
):
    await take(records, "us-ftc", file(tmp_path, flat(NUMBERS)))
    assert set(await projection.behind()) == {"us-ftc"}
    await projection.follow()
    assert await projection.behind() == {}
    for shard in cluster.topology().shards:
        fields = cluster.client_of(shard.first).hgetall(Keys(shard.first).state)
        assert read_versions(fields) == {"us-ftc": 1}
        assert fields[b"lists"] == b"internal,us-ftc"
    drift = await projection.verify()
    assert drift.clean
    assert drift.numbers == 2 * len(NUMBERS)


async def test_patterns_and_campaign_lists_are_on_every_shard_once_they_are_in_force(
    cluster: RedisCluster, projection: Projection, database: Database
):
    records = Records(database, projection, utc_now)
    await add_campaign_list(records, ADMIN, "spring", ["spring-26"])
    done = await add_pattern(records, ADMIN, Pattern("1416"), reason="x", source="test")
    assert done.standing.in_force
    free = [E164(number.replace("+1415", "+1416")) for number in NUMBERS]
    await add_many_to_list(records, ADMIN, "spring", free, source="test")
    for shard in cluster.topology().shards:
        client, keys = cluster.client_of(shard.first), Keys(shard.first)
        document = client.get(keys.terms(int(client.hget(keys.state, "generation"))))
        terms = AllTerms((), ("1416",), (CampaignList("spring", ("spring-26",)),))
        assert read_terms(document) == terms
        assert client.hget(keys.state, "terms") == terms_digest(document).encode()
        assert client.hget(keys.state, "lists") == b"internal,spring"
    facts = await projection.facts([(number, LeadId("lead")) for number in free])
    assert {decide(one.number, one, utc_now()).reason for one in facts} == {"internal-pattern"}
    assert (await projection.verify()).clean
    assert (await lift_pattern(records, ADMIN, Pattern("1416"), reason="x")).standing.in_force
    facts = await projection.facts([(number, LeadId("lead")) for number in free])
    assert {decide(one.number, one, utc_now()).reason for one in facts} == {"not-listed"}


async def test_while_a_shard_is_away_changes_come_into_force_on_the_others(
    cluster: RedisCluster, projection: Projection, records: Records, database: Database
):
    here, away, _ = cluster.topology().shards
    dead = await asyncio.to_thread(cluster.servers_of, away)
    for server in dead:
        server.running.kill()
    for _ in range(2 * outbox.ROWS_AT_ONCE // len(NUMBERS) + 1):  # More pending rows than one batch.
        for number in NUMBERS:
            if away.owns(slot(number)):
                await lift(records, ADMIN, E164(number), reason="test")
                await suppress(records, ADMIN, E164(number), source="test")
    await lift(records, ADMIN, E164(own(here)), reason="test")
    with pytest.raises(RedisUnavailable):
        await projection.drain()
    assert not holds(cluster.client_of(here.first), here, own(here))
    async with database.write() as session:
        since = utc_now() - timedelta(seconds=2)
        await session.execute(update(OutboxRow).where(OutboxRow.applied_turn.is_(None)).values(committed_at=since))
    assert (await alarm(projection.sides)).title == NO_CALLS_OF_A_SHARD
    async with database.read() as session:
        waiting = await outbox.lag(session)
    for server in dead:
        server.start()
    assert waiting.pending > outbox.ROWS_AT_ONCE
    await asyncio.to_thread(cluster.until_at_rest)
    projection.sides.store._nodes.invalidate()
    await projection.rebuild(only_if_lost=True)
    async with database.read() as session:
        assert (await outbox.lag(session)).pending == 0
    assert (await projection.verify()).clean


async def test_a_change_waits_for_its_own_shards_alone_while_another_is_silent(
    cluster: RedisCluster, projection: Projection, database: Database
):
    away, here, _ = cluster.topology().shards
    records = Records(database, projection, utc_now)
    lost, free = ([E164(number) for number in NUMBERS if shard.owns(slot(number))] for shard in (away, here))
    silent = await asyncio.to_thread(cluster.servers_of, away)
    for server in silent:
        server.running.pause()
    try:
        waiting = asyncio.create_task(lift(records, ADMIN, lost[0], reason="test"))
        took = list[float]()
        for number in free[:9]:
            began = time.monotonic()
            assert (await lift(records, ADMIN, number, reason="test")).standing.in_force
            took.append(time.monotonic() - began)
        assert not (await waiting).standing.in_force
        again = await suppress_many(records, ADMIN, [lost[0], free[0]], source="test")
        terms = await add_pattern(records, ADMIN, Pattern("1416"), reason="x", source="test")
        on_the_other = await lift(records, ADMIN, free[9], reason="test")
    finally:
        for server in silent:
            server.running.resume()
    # Each attempt at the silent shard takes TIMEOUT_S.
    assert statistics.median(took) < TIMEOUT_S
    assert (again.standing.in_force, terms.standing.in_force, on_the_other.standing.in_force) == (False, False, True)
    assert [holds(cluster.client_of(here.first), here, number) for number in (free[0], free[1])] == [True, False]
    await asyncio.to_thread(cluster.until_at_rest)
    projection.sides.store._nodes.invalidate()
    with suppressed(NotNeeded):
        await projection.rebuild(only_if_lost=True)
    await projection.drain()
    assert holds(cluster.client_of(away.first), cluster.topology().owner(slot(lost[0])), lost[0])
    assert (await projection.verify()).clean


async def test_a_change_is_not_in_force_while_its_slot_has_no_owner_or_moves(
    cluster: RedisCluster, projection: Projection, records: Records
):
    number = E164(own(cluster.topology().shards[0]))
    await lift(records, ADMIN, number, reason="test")
    await projection.drain([E164(own(cluster.topology().shards[1]))])
    store = projection.sides.store
    seen = await store.topology()
    store._nodes._topology = replace(seen, shards=seen.shards[1:])
    with pytest.raises(RedisUnavailable):
        await projection.drain([number])
    store._nodes._topology = seen
    await projection.drain([number])


async def test_a_shard_that_gets_a_slot_is_not_believed_until_it_is_rebuilt(
    cluster: RedisCluster, projection: Projection, records: Records
):
    first = cluster.topology().shards[0]
    number = own(first)
    await move(projection, cluster, slot(number))
    await lift(records, ADMIN, E164(number), reason="test")
    with pytest.raises(RedisUnavailable):
        await projection.drain()
    with pytest.raises(RedisUnavailable):
        await projection.renew_lease()
    await until_rebuilt(projection)
    owner = cluster.topology().owner(slot(number))
    assert not holds(cluster.client_of(slot(number)), owner, number)
    await projection.drain()


@pytest.mark.parametrize("moves", ["before the load", "after the load"])
async def test_a_rebuild_that_a_move_of_slots_overtakes_is_tried_again_at_once(
    cluster: RedisCluster, projection: Projection, monkeypatch: pytest.MonkeyPatch, moves: str
):
    first = cluster.topology().shards[0]
    slots = [slot(number) for number in NUMBERS if first.owns(slot(number))]
    loads = list[str]()
    load = Builder.load

    async def overtaken(builder: Builder) -> None:
        loads.append("begun")
        if moves == "before the load" and len(loads) == 1:
            await move(projection, cluster, slots[1])
        await load(builder)
        loads.append("ended")
        if moves == "after the load" and len(loads) == 2:
            await move(projection, cluster, slots[1])

    monkeypatch.setattr(Builder, "load", overtaken)
    monkeypatch.setattr(builder_room, "INTACT_S", 0.0)
    monkeypatch.setattr(builder_room, "COMMANDS_AT_ONCE", 1)
    await move(projection, cluster, slots[0])
    keeper = Keeper((await projection.shards())[0], projection._settings)
    with pytest.raises(BuildLost, match="slots of the cluster moved"):
        await keeper.keep()
    # A build that cannot go live any more ends at its next heartbeat.
    assert loads[1:] == ([] if moves == "before the load" else ["ended"])
    await keeper.keep()
    await keeper.keep()
    assert loads[-1] == "ended"
    shard = (await projection.shards())[0]
    async with shard.sides.store.wire() as wire:
        live = await read_live(wire)
    assert live.state is not None
    assert live.state.incarnation == live.server


async def test_a_shard_with_another_name_leaves_no_state_under_the_old_one(
    cluster: RedisCluster, projection: Projection
):
    old = cluster.topology().shards[1].first
    await move(projection, cluster, 5)  # From the first shard to the second: it is then the lowest slot of the second.
    client = cluster.client_of(old)
    assert cluster.topology().owner(old).first == 5
    assert client.exists(Keys(old).state, Keys(old).lease) == 2
    await until_rebuilt(projection)
    assert client.exists(Keys(old).state, Keys(old).lease) == 0
    assert client.exists(Keys(5).state, Keys(5).lease) == 2


async def test_a_decision_on_a_stream_with_an_old_name_is_archived(
    cluster: RedisCluster, projection: Projection, database: Database
):
    old = cluster.topology().shards[1].first
    cluster.client_of(old).xadd(Keys(old).decisions, {"id": "nonsense"})
    await move(projection, cluster, 5)
    await until_rebuilt(projection)
    assert {store.keys.first_slot for store in await projection.streams()} >= {5, old}
    for store in await projection.streams():
        archive = DecisionArchive(database, store, utc_now)
        await archive.archive_left(0)
        await archive.archive_new()
    assert cluster.client_of(old).xlen(Keys(old).decisions) == 0
    assert cluster.client_of(old).xlen(Keys(old).unreadable_decisions) == 1
    assert (await coverage(database, projection.sides.store, utc_now())).doubt == ""


async def test_slots_that_left_are_no_suspicious_drop_and_lost_numbers_are(
    cluster: RedisCluster, projection: Projection, records: Records, database: Database
):
    first = cluster.topology().shards[0]
    exchange, _ = exchange_and_line(E164(own(first)))
    many = [E164(f"+{exchange}{line:04}") for line in range(1000, 1200)]
    await suppress_many(records, ADMIN, many, source="test")
    await projection.drain()
    await move(projection, cluster, slot(own(first)))
    await until_rebuilt(projection)
    for number in many:
        await lift(records, ADMIN, number, reason="test")
    with pytest.raises(SuspiciousDrop):
        await projection.rebuild()


async def test_a_list_may_shrink_only_on_the_shards_whose_redis_is_thrown_away(
    cluster: RedisCluster, projection: Projection
):
    first, second, _ = cluster.topology().shards
    for shard in (first, second):
        cluster.client_of(shard.first).hset(Keys(shard.first).state, "count:internal", 5_000)
    state = Keys(first.first).state
    cluster.client_of(first.first).hset(state, mapping={MARK: "ab" * 8, MARK_BEFORE: "cd" * 8})
    for _ in range(2):  # The second time it is on record already.
        discarded = await _discard(projection, ["ab" * 8])
        assert discarded == [first.first]
    with pytest.raises(SuspiciousDrop):
        await projection.rebuild(discarded=discarded)
    assert cluster.client_of(first.first).hget(state, "generation") == b"2"
    assert cluster.client_of(second.first).hget(Keys(second.first).state, "generation") == b"1"


async def test_no_shard_is_thrown_away_unless_the_marks_of_all_are_given(cluster: RedisCluster, projection: Projection):
    first, second, third = cluster.topology().shards
    for shard, mark in ((first, "ab" * 8), (second, "cd" * 8), (third, "ef" * 8)):
        cluster.client_of(shard.first).hset(Keys(shard.first).state, mapping={MARK: mark, MARK_BEFORE: "12" * 8})
    with pytest.raises(WrongMark, match=f"{'cd' * 8} and {'ef' * 8}. Nothing was thrown away"):
        await _discard(projection, ["ab" * 8])
    for one in await projection.shards():
        with pytest.raises(ForeignHistory):
            await one.renew_lease()
    assert len(await _discard(projection, ["ab" * 8, "cd" * 8, "ef" * 8])) == 3


async def test_a_generation_that_is_over_is_swept_from_every_shard(cluster: RedisCluster, projection: Projection):
    await projection.rebuild()
    assert await projection.sweep() > len(NUMBERS)
    for shard in cluster.topology().shards:
        keys = [key.decode() for key in cluster.client_of(shard.first).scan_iter("dnc:1:*")]
        assert keys == []
    assert (await projection.verify()).clean


async def test_the_worker_mends_what_a_shard_has_lost_and_leaves_the_others_alone(
    cluster: RedisCluster, projection: Projection
):
    for one in await projection.shards():
        shard = one.sides.store.keys.first_slot
        owner = next(each for each in cluster.topology().shards if each.first == shard)
        number = own(owner)
        exchange, line = exchange_and_line(E164(number))
        async with one.sides.store.wire() as wire:
            await wire.ask(("SREM", listed_key(1, "internal", exchange), line))
        verifier = Verifier(one, AdminSettings(), utc_now, Checked())
        await verifier.step()
        while verifier._steps is not None:
            await verifier.step()
        assert verifier.checked.found == {MISSING: 1}
    assert (await projection.verify()).clean


async def test_each_shard_recovers_what_an_older_backup_lacks(
    cluster: RedisCluster,
    projection: Projection,
    records: Records,
    tmp_path: Path,
    request: pytest.FixtureRequest,
):
    server = None if records.database.on_sqlite else request.getfixturevalue("postgres_server")
    first, second, third = cluster.topology().shards
    waiting = Consent(
        LeadId("lead-1"), Basis.SIGNED_CONSENT, date(2026, 1, 1), DOCUMENT, ATTESTATION, number=E164(own(second))
    )
    await grant_override(replace(records, rules=ConsentRules(reviewed_first=True)), ADMIN, waiting)
    await projection.drain()
    backup = await back_up(records.database, tmp_path, server)
    numbers = [f"+1415{exchange}0199" for exchange in range(200, 260)]
    lost = [next(number for number in numbers if shard.owns(slot(number))) for shard in (first, second)]
    for number in lost:
        await suppress(records, ADMIN, E164(number), source="test")
    await add_pattern(records, ADMIN, Pattern("1212"), reason="test", source="test")
    await projection.drain()
    settings = AdminSettings(redis_url=cluster.url, replicas=1, lease_s=60, data_dir=tmp_path)
    async with Database(backup.url) as database, Projection(database, settings) as later:
        shards = await later.shards()
        for one in shards:
            with pytest.raises(ForeignHistory):
                await one.renew_lease()
        for one in shards:
            await Keeper(one, settings).keep()
        await later.drain()
        assert all(
            holds(cluster.client_of(shard.first), shard, number)
            for shard, number in zip((first, second), lost, strict=True)
        )
        for shard in (first, second, third):
            held = held_terms(cluster, shard)
            assert held.patterns == ("1212",)
            assert cluster.client_of(shard.first).exists(Keys(shard.first).lease)
        assert (await later.verify()).clean
        async with database.read() as session:
            found = (await session.scalars(select(Recovery).order_by(Recovery.id))).all()
        assert [(one.numbers, one.patterns, one.held) for one in found] == [(1, 1, 0), (1, 0, 1), (0, 0, 0)]


async def test_nothing_is_recovered_from_shards_while_their_slots_are_elsewhere(
    cluster: RedisCluster, projection: Projection, tmp_path: Path
):
    shards = cluster.topology().shards
    settings = AdminSettings(redis_url=cluster.url, replicas=1, lease_s=60, data_dir=tmp_path)
    await (await projection.shards())[0].rebuild()  # So what moves to this shard is of an earlier generation.
    marks = [f"{shard.first:016x}" for shard in shards]
    for shard, mark in zip(shards, marks, strict=True):
        cluster.client_of(shard.first).hset(Keys(shard.first).state, mapping={MARK: mark, MARK_BEFORE: "cd" * 8})
    await move(projection, cluster, slot(own(shards[2])))  # To the first shard, which keeps its name.
    await move(projection, cluster, slot(own(shards[0])))  # To the second shard, which gets a new name.
    for one, mark in zip(await projection.shards(), marks, strict=True):
        with pytest.raises(SlotsLeft, match=f"until you move the slots back.*rebuild --discard {mark}"):
            await Keeper(one, settings).keep()
        assert one.first_slot is not None
        assert not cluster.client_of(one.first_slot).exists(Keys(one.first_slot).lease)
        assert not await sweep(one.sides, grace_s=0), "their numbers are there when the slots are moved back"
    with pytest.raises(WrongMark, match=f"{marks[1]} and {marks[2]}"):
        await _discard(projection, marks[:1])
    assert len(await _discard(projection, marks)) == 3
    await until_rebuilt(projection)


def held_terms(cluster: RedisCluster, shard: Shard) -> AllTerms:
    client, keys = cluster.client_of(shard.first), Keys(shard.first)
    return read_terms(client.get(keys.terms(int(client.hget(keys.state, "generation")))))
