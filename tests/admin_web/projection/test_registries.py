"""A registry version comes into force in Redis at once, without a gap, and the content of Redis is verified."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from admin_web.lists.registries.following import standing
from admin_web.projection import builder
from admin_web.projection import registry_sets as registries
from admin_web.projection.rebuild_outcome import CountsDiffer, NotNeeded, RegistriesMoved, SuspiciousDrop
from admin_web.projection.wire import RedisRefused
from admin_web.record.database import Database
from admin_web.record.lines import dump
from admin_web.settings import AdminSettings
from admin_web.worker.worker import Worker
from compliance.redis_schema import STATE, listed_key
from lab.redis import RedisServer
from tests.support.projection import World
from tests.support.registries import file, flat, take

pytestmark = pytest.mark.redis

EXCHANGE = "+1202555"
A, B, C, FREE = f"{EXCHANGE}0101", f"{EXCHANGE}0102", "+14155550103", "+14155550104"
MANY = [f"{EXCHANGE}{line:04}" for line in range(0, 10_000, 3)]


def quiet(*_: object) -> None:
    return


@pytest.fixture
async def world(database: Database, redis_server: RedisServer) -> AsyncIterator[World]:
    async with World(database, redis_server) as world:
        await world.projection.rebuild()
        yield world


async def test_an_imported_version_is_in_force_once_it_says_so(world: World, tmp_path: Path):
    await take(world.records, "us-ftc", file(tmp_path, flat([*MANY, C])))
    assert world.gate.allows(C)
    assert await world.projection.behind() == {"us-ftc": (0, 1)}
    assert (await standing(world.projection, quiet)).in_force
    assert await world.projection.behind() == {}
    assert world.gate.rule(C).reason == "us-ftc-dnc"
    assert not any(world.gate.allows(number) for number in MANY[::100])
    assert world.gate.allows(FREE)
    key = listed_key(int(world.redis.hget(STATE, "generation")), "us-ftc", EXCHANGE[1:])
    assert world.redis.scard(key) == len(MANY)
    assert world.redis.object("encoding", key) == b"intset"
    assert world.redis.ttl(key) == -1
    with pytest.raises(NotNeeded):
        await world.projection.rebuild(only_if_lost=True)


async def test_the_version_before_stays_in_force_until_the_new_one_is(world: World, tmp_path: Path, monkeypatch):
    await take(world.records, "us-ftc", file(tmp_path, flat([A, C])))
    await world.projection.follow()
    await take(world.records, "us-ftc", file(tmp_path, flat([A, B])))
    asked = []
    write = registries.RegistryWriter.write

    async def watched(self, sets):
        asked.append([world.gate.allows(number) for number in (A, B, C)])
        return await write(self, sets)

    monkeypatch.setattr(registries.RegistryWriter, "write", watched)
    await world.projection.follow()
    assert asked == [[False, True, False]]
    assert [world.gate.allows(number) for number in (A, B, C)] == [False, False, True]


async def test_where_restore_is_refused_the_sets_are_added_number_by_number(world: World, tmp_path: Path):
    world.redis.acl_setuser("default", commands=["-restore"])
    await take(world.records, "us-ftc", file(tmp_path, flat([*MANY, C])))
    await world.projection.follow()
    assert not world.gate.allows(C)
    assert (await world.projection.verify()).found == {}
    world.redis.acl_setuser("default", commands=["+restore"])


async def test_where_the_bytes_of_restore_are_not_understood_the_sets_are_added(
    world: World, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(registries, "dump", lambda lines: dump(lines)[:-1] + b"x")
    await take(world.records, "us-ftc", file(tmp_path, flat([A, B, C])))
    await world.projection.follow()
    assert not any(world.gate.allows(number) for number in (A, B, C))


async def test_a_redis_that_takes_no_registry_at_all_keeps_the_new_generation_out(world: World, tmp_path: Path):
    world.redis.acl_setuser("default", commands=["-restore", "-sadd"])
    await take(world.records, "us-ftc", file(tmp_path, flat([A])))
    with pytest.raises(RedisRefused):
        await world.projection.follow()
    assert world.redis.hget(STATE, "generation") == b"1"


@pytest.mark.parametrize("restores", [True, False])
async def test_a_set_that_is_not_whole_keeps_the_new_generation_out(
    world: World, tmp_path: Path, monkeypatch, restores: bool
):
    await take(world.records, "us-ftc", file(tmp_path, flat([A, B])))
    monkeypatch.setattr(registries, "dump", lambda lines: dump(lines[:-1]) if restores else b"")
    monkeypatch.setattr(registries, "_added", lambda one: ("SADD", one.key, int(one.lines[0])))
    with pytest.raises(CountsDiffer, match="Redis acknowledged 1 number of the list us-ftc, but SQL holds 2"):
        await world.projection.follow()
    assert "in force" in str(await standing(world.projection, quiet))
    assert not (await standing(world.projection, quiet)).in_force


async def test_a_version_that_comes_in_between_is_loaded_next(world: World, tmp_path: Path, monkeypatch):
    await take(world.records, "us-ftc", file(tmp_path, flat([A])))
    load = builder.Builder.load

    async def overtaken(self):
        await load(self)
        monkeypatch.undo()
        await take(world.records, "us-ftc", file(tmp_path, flat([A, B])))

    monkeypatch.setattr(builder.Builder, "load", overtaken)
    with pytest.raises(RegistriesMoved):
        await world.projection.rebuild()
    assert world.gate.allows(A)
    await world.projection.follow()
    assert not world.gate.allows(B)


async def test_a_much_smaller_registry_is_not_believed_unless_its_import_was_let(world: World, tmp_path: Path):
    await take(world.records, "us-ftc", file(tmp_path, flat(MANY)))
    await world.projection.follow()
    await take(world.records, "us-ftc", file(tmp_path, flat([A])), allow_drop=True)
    await world.projection.follow()
    assert not world.gate.allows(A)
    assert world.gate.allows(MANY[1])
    await take(world.records, "us-ftc", file(tmp_path, flat(MANY)))
    await world.projection.follow()
    world.redis.hset(STATE, "count:us-ftc", 1_000_000)
    with pytest.raises(SuspiciousDrop):
        await world.projection.rebuild()


async def test_changes_of_the_company_s_own_list_go_on_beside_a_registry(world: World, tmp_path: Path):
    await take(world.records, "us-ftc", file(tmp_path, flat(MANY)))
    await world.projection.follow()
    await world.suppress(FREE)
    await world.projection.drain()
    assert not world.gate.allows(FREE)
    await world.lift(FREE)
    await world.projection.drain()
    assert world.gate.allows(FREE)
    assert (await world.projection.verify()).clean


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (lambda redis, key: redis.srem(key, 0), {"listed in SQL, not in Redis": 1}),
        (lambda redis, key: redis.delete(key), {"listed in SQL, not in Redis": len(MANY)}),
        (lambda redis, key: redis.sadd(key, 1, 4), {"listed in Redis, not in SQL": 2}),
        (lambda redis, key: redis.sadd(key, "01"), {"listed in Redis, not in SQL": 1}),
        (lambda redis, key: redis.sadd(key, "x", "9" * 5_000), {"listed in Redis, not in SQL": 2}),
        (
            lambda redis, key: redis.srem(key, 0) + redis.sadd(key, 1),
            {"listed in SQL, not in Redis": 1, "listed in Redis, not in SQL": 1},
        ),
        (lambda redis, key: redis.sadd(key.replace("1202555", "1303555"), 7), {"listed in Redis, not in SQL": 1}),
    ],
)
async def test_what_differs_in_a_registry_is_found(world: World, tmp_path: Path, harm, found):
    await take(world.records, "us-ftc", file(tmp_path, flat([*MANY, C])))
    await world.projection.follow()
    drift = await world.projection.verify()
    assert drift.clean
    assert drift.numbers == len(MANY) + 1
    harm(world.redis, listed_key(drift.generation, "us-ftc", EXCHANGE[1:]))
    drift = await world.projection.verify()
    assert drift.found == found
    assert not drift.clean


async def test_a_version_that_is_recorded_and_not_in_force_is_told_and_no_drift(world: World, tmp_path: Path):
    await take(world.records, "us-ftc", file(tmp_path, flat([A])))
    await world.projection.follow()
    await take(world.records, "us-ftc", file(tmp_path, flat([A, B])))
    drift = await world.projection.verify()
    assert drift.clean
    assert "us-ftc: version 2 is recorded and not yet in force; Redis holds 1." in drift.lines()


async def test_the_worker_brings_into_force_what_a_killed_import_left_recorded(world: World, tmp_path: Path):
    await take(world.records, "us-ftc", file(tmp_path, flat([A])))
    settings = AdminSettings(redis_url=world.server.url, data_dir=tmp_path / "data")
    worker = Worker(world.database, world.projection, settings)
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(60):
        while world.gate.allows(A):  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.05)
    worker.stop()
    await running
