"""The worker process: it keeps the projection current through outages, and stops on a signal."""

import asyncio
import json
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
import redis
from sqlalchemy import select

from admin_web.record.changes import utc_now
from admin_web.record.database import Database
from admin_web.record.models import DecisionRecord
from compliance import verdict
from compliance.facts import State
from compliance.redis_records import decision_fields
from compliance.redis_schema import DECISIONS, LEASE, STATE, listed_key, terms_key
from compliance.verdict import Decision, allow
from lab.process import Process, free_port
from lab.redis import RedisServer
from tests.support.backups import back_up
from tests.support.programs import Program
from tests.support.projection import World

LISTED, OTHER = "+14155550100", "+14155550199"


class Workshop(World):
    """A record, a Redis, and worker processes that a test starts and kills."""

    def __init__(self, database: Database, server: RedisServer, url: str, directory: Path) -> None:
        super().__init__(database, server)
        self.directory = directory
        self.environment = {"DNC_DATABASE_URL": url, "DNC_REDIS_URL": server.url, "DNC_DATA_DIR": str(directory)}
        self.workers: list[Process] = []

    def start(self, program: str = "worker", **settings: str) -> Process:
        log = self.directory / f"worker-{len(self.workers)}.log"
        worker = Program("admin_web", [program], log, {**self.environment, **settings})
        self.workers.append(worker)
        return worker

    def said(self, worker: Process) -> list[dict]:
        whole, _, _being_written = worker.log.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    async def until(self, holds: Callable[[], bool], within_s: float = 60.0) -> None:
        deadline = time.monotonic() + within_s
        while not holds():
            ends = "\n".join(worker.log_end() for worker in self.workers)
            assert time.monotonic() < deadline, f"not true in time; the workers' logs end:\n{ends}"
            await asyncio.sleep(0.01)

    async def until_verified(self) -> None:
        """Wait until the gate would allow an unlisted number."""
        await self.until(lambda: self.gate.rule(OTHER).reason == "not-listed")


@pytest.fixture
async def shop(
    database: Database, database_url: str, redis_server: RedisServer, short_path: Path
) -> AsyncIterator[Workshop]:
    async with Workshop(database, redis_server, database_url, short_path) as shop:
        yield shop
        for worker in shop.workers:
            worker.kill()


async def test_it_builds_the_projection_of_an_empty_redis_and_leases_it(shop: Workshop):
    await shop.suppress(LISTED)
    shop.start()
    await shop.until_verified()
    assert not shop.gate.allows(LISTED)
    assert 30_000 < shop.redis.pttl(LEASE) <= 60_000  # A busy machine may have renewed it some seconds ago.


async def test_it_applies_what_a_service_recorded_and_could_not_apply(shop: Workshop):
    shop.start()
    await shop.until_verified()
    await shop.suppress(LISTED)
    await shop.until(lambda: not shop.gate.allows(LISTED))


@pytest.mark.parametrize("empty", [True, False])
async def test_it_rebuilds_by_itself_when_redis_was_restarted(shop: Workshop, empty: bool):
    await shop.suppress(LISTED)
    worker = shop.start()
    await shop.until_verified()
    await shop.restart(empty=empty)
    await shop.until_verified()
    assert not shop.gate.allows(LISTED)
    assert worker.exit_code is None


async def test_it_rebuilds_by_itself_when_redis_was_emptied(shop: Workshop):
    await shop.suppress(LISTED)
    shop.start()
    await shop.until_verified()
    for _ in range(3):
        shop.redis.flushall()
        assert not shop.gate.allows(LISTED)
        await shop.until_verified()
        assert not shop.gate.allows(LISTED)


async def test_it_rebuilds_when_the_terms_of_the_registries_are_lost(shop: Workshop):
    shop.start()
    await shop.until_verified()
    generation = int(shop.redis.hget(STATE, "generation"))
    shop.redis.delete(terms_key(generation))
    await shop.until(lambda: int(shop.redis.hget(STATE, "generation")) > generation and shop.gate.allows(OTHER))


async def test_it_takes_out_what_earlier_generations_left(shop: Workshop):
    await shop.suppress(LISTED)
    await shop.projection.rebuild()
    await shop.projection.rebuild()
    shop.start()
    await shop.until(lambda: shop.redis.keys("dnc:1:*") == [])
    assert not shop.gate.allows(LISTED)


async def test_calls_stop_when_the_worker_is_dead_for_longer_than_the_lease(shop: Workshop):
    worker = shop.start(DNC_LEASE_S="1")
    await shop.until_verified()
    await asyncio.sleep(1.5)
    # The lease of the start has ended. On a busy machine the worker may renew it a moment too late.
    await shop.until(lambda: shop.gate.allows(OTHER))
    worker.kill()
    await shop.until(lambda: shop.gate.rule(OTHER).detail == "no-lease")
    shop.start(DNC_LEASE_S="1")
    await shop.until_verified()


async def test_calls_stop_when_a_change_cannot_be_applied_for_longer_than_the_lease(shop: Workshop):
    worker = shop.start(DNC_LEASE_S="1")
    await shop.until_verified()
    key = listed_key(int(shop.redis.hget(STATE, "generation")), "internal", "1415555")
    shop.redis.set(key, "in the way")
    await shop.suppress(LISTED)

    def delays() -> int:
        return [line["event"] for line in shop.said(worker)].count("loop delayed")

    # On a busy machine the lease may end before the worker has tried to apply the change.
    await shop.until(lambda: delays() > 0 and shop.redis.exists(LEASE) == 0)
    shop.redis.delete(key)
    await shop.until_verified()
    assert not shop.gate.allows(LISTED)
    assert delays() == 1


async def test_a_lease_without_length_never_ends(shop: Workshop):
    worker = shop.start(DNC_LEASE_S="0")
    await shop.until_verified()
    assert shop.redis.pttl(LEASE) == -1
    worker.kill()
    assert shop.gate.allows(OTHER)


async def test_an_outage_of_redis_is_told_once_and_its_end_once(shop: Workshop):
    worker = shop.start()
    await shop.until_verified()
    shop.server.running.pause()
    await asyncio.sleep(4)
    assert worker.exit_code is None
    shop.server.running.resume()
    await shop.suppress(LISTED)
    await shop.until(lambda: not shop.gate.allows(LISTED))

    def told(loop: str) -> list[str]:
        return [line["event"] for line in shop.said(worker) if line.get("loop") == loop]

    await shop.until(lambda: all(told(loop)[-1:] != ["loop delayed"] for loop in ("projection", "archive")))
    await asyncio.sleep(1)
    for loop in ("projection", "archive"):
        assert told(loop) in (["loop delayed", "loop resumed"], [])
    assert [line for line in shop.said(worker) if line["level"] == "error"] == []


async def test_a_record_that_shrank_is_refused_loudly_and_calls_stay_blocked(shop: Workshop):
    worker = shop.start()
    await shop.until_verified()
    state = State(1, "another", ("internal",), 0)
    shop.redis.hset(STATE, mapping={"incarnation": state.incarnation, "count:internal": 100_000})
    await shop.until(lambda: any(line["level"] == "error" for line in shop.said(worker)))
    assert shop.gate.rule(OTHER).reason == "state-unverified"
    assert "--allow-drop" in next(line["why"] for line in shop.said(worker) if line["level"] == "error")
    await shop.projection.rebuild(allow_drop=True)
    await shop.until_verified()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly(shop: Workshop, number: signal.Signals):
    worker = shop.start()
    await shop.until_verified()
    worker.signal(number)
    await shop.until(lambda: worker.exit_code is not None)
    assert worker.exit_code == 0
    assert "Traceback" not in worker.log.read_text()


async def test_a_signal_ends_it_cleanly_while_redis_does_not_answer(shop: Workshop):
    worker = shop.start()
    await shop.until_verified()
    shop.server.running.pause()
    await asyncio.sleep(0.5)
    worker.signal(signal.SIGTERM)
    await shop.until(lambda: worker.exit_code is not None)
    shop.server.running.resume()
    assert worker.exit_code == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"DNC_REDIS_URL": "redis://:secret@127.0.0.1:many"}, "DNC_REDIS_URL"),
        ({"DNC_REDIS_URL": f"redis://{'a' * 70}.example"}, "DNC_REDIS_URL"),
        ({"DNC_DATABASE_URL": "mysql://nobody:secret@127.0.0.1/none"}, "DNC_DATABASE_URL"),
        ({"DNC_DATABASE_URL": "sqlite:////nowhere/dnc.sqlite3"}, "dnc-admin migrate"),
        ({"DNC_LEASE_S": "-1"}, "DNC_LEASE_S"),
    ],
)
@pytest.mark.parametrize("program", ["worker", "serve"])
async def test_wrong_settings_are_one_line_and_code_2(shop: Workshop, program: str, settings, said):
    worker = shop.start(program, DNC_WEB_BIND=f"127.0.0.1:{free_port()}", **settings)
    await shop.until(lambda: worker.exit_code is not None)
    assert worker.exit_code == 2
    (line,) = worker.log.read_text().splitlines()
    assert said in line
    assert "secret" not in line


async def test_calls_stop_within_a_second_when_redis_is_set_to_evict_and_go_on_when_it_is_set_back(shop: Workshop):
    worker = shop.start()
    await shop.until_verified()
    shop.redis.config_set("maxmemory-policy", "allkeys-lru")
    await shop.until(lambda: shop.gate.rule(OTHER).detail == "no-lease")
    assert "not allkeys-lru" in worker.log.read_text()
    shop.redis.config_set("maxmemory-policy", "noeviction")
    await shop.until_verified()
    assert shop.redis.hget(STATE, "generation") == b"1"
    assert worker.exit_code is None


async def test_a_redis_with_the_default_settings_is_taken(shop: Workshop):
    shop.redis.config_set("set-max-intset-entries", "512")
    worker = shop.start()
    await shop.until_verified()
    assert worker.exit_code is None
    assert "redis was set to need less memory, until it restarts" in worker.log.read_text()


def decision(number: int) -> Decision:
    return Decision(
        id=f"019ab3c4d5e6-9f3a1c22-{number:08x}", at=utc_now(), ruling=allow(verdict.NOT_LISTED), dialed="4155550100",
        number="+14155550100", lead="", channel=f"pbx-1.{number}", generation=7, gate="gate-1",
    )  # fmt: skip


async def test_two_workers_killed_at_random_apply_and_archive_everything_once(shop: Workshop):
    random, appended = Random(), set()
    workers = [shop.start(), shop.start()]
    await shop.until_verified()
    for number in range(300):
        with suppress(redis.RedisError):
            shop.redis.xadd(DECISIONS, decision_fields(decision(number)))
            appended.add(decision(number).id)
        if number % 10 == 0:
            await shop.suppress(f"+1415556{number:04}")
        if number % 25 == 12:
            which = random.randrange(2)
            workers[which].kill()
            workers[which] = shop.start()
        if number % 100 == 50:
            await shop.restart()
        await asyncio.sleep(random.random() * 0.03)
    await shop.until_verified()
    await shop.until(lambda: shop.redis.xlen(DECISIONS) == 0)
    async with shop.database.read() as session:
        archived = list(await session.scalars(select(DecisionRecord.id)))
    assert set(archived) == appended
    assert len(archived) == len(appended)
    await shop.projection.drain()
    compared = await shop.projection.verify()
    assert (compared.clean, compared.numbers, compared.pending) == (True, 30, 0), compared


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("running", [True, False], ids=["under a running worker", "before a worker starts"])
async def test_an_older_sqlite_file_that_is_put_back_is_noticed(shop: Workshop, tmp_path: Path, running: bool):
    third = "+14155550101"
    await shop.suppress(LISTED)
    worker = shop.start()
    await shop.until_verified()
    backup = await back_up(shop.database, tmp_path)
    await shop.suppress(third)
    await shop.until(lambda: not shop.gate.allows(third))
    if not running:
        worker.kill()
    await shop.database.close()
    path = Path(shop.database.url.database)
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    shutil.copy(backup.url.removeprefix("sqlite:///"), path)
    worker = worker if running else shop.start()

    def recovered() -> bool:
        assert not shop.gate.allows(third)
        return any(line["event"].startswith("recovered") for line in shop.said(worker))

    await shop.until(recovered)
    await shop.until_verified()
    assert not shop.gate.allows(third)
    assert not shop.gate.allows(LISTED)
    (stopped,) = [line["why"] for line in shop.said(worker) if line["event"].startswith("redis has another history")]
    assert "the restore of a backup" in stopped
