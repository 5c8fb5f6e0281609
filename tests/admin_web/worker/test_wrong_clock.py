"""A worker whose clock is set wrong ends and deletes nothing, and what a wrong clock has put off comes back in time."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from time import time
from typing import cast

import pytest
from sqlalchemy import select

from admin_web.people import sessions, throttle
from admin_web.people.throttle import sign_in_attempt
from admin_web.projection import clock_watch
from admin_web.projection.clock_watch import ClockWatch
from admin_web.projection.live import LiveProjection
from admin_web.projection.projection import Projection
from admin_web.projection.store import Store
from admin_web.projection.turn import Turn
from admin_web.projection.wire import RedisUnavailable
from admin_web.queries.alarm import alarm
from admin_web.queries.alarms.clocks import CLOCK, alarm_of_clocks
from admin_web.queries.alarms.enforcement import NO_CALLS
from admin_web.record.changes import Records, utc_now
from admin_web.record.database import Database
from admin_web.record.models import AuditEvent, SignInBucket, SignInSession, Webhook, WebhookDelivery
from admin_web.record.steady_clock import DIFFERS, STEPPED, SteadyClock
from admin_web.worker import housekeeping, steps
from admin_web.worker.deliveries import HELD, RETRY_S, hooks_with_due, take
from admin_web.worker.worker import Worker
from compliance.redis_schema import CLOCK as CLOCK_KEY
from compliance.redis_schema import WHOLE
from lab.process import NotInstalled, Process
from lab.redis import RedisServer
from tests.admin_web.worker.test_worker import OTHER, Workshop
from tests.conftest import unavailable
from tests.support.records import AT, rows

TWO_DAYS = timedelta(days=2)


async def delivery(records: Records, attempts: int, due_in: timedelta) -> int:
    async with records.database.write() as session:
        hook = Webhook(url="https://example.com/", secret="s", events=["expiry"], created_at=AT, created_by="admin")
        session.add(hook)
        await session.flush()
        session.add(
            WebhookDelivery(
                webhook_id=hook.id, event_id="e", event="expiry", body={}, told_at=AT, due_at=AT + due_in,
                attempts=attempts,
            )
        )  # fmt: skip
        return hook.id


@pytest.mark.parametrize("attempts", [0, 1, len(RETRY_S)])
async def test_a_delivery_that_a_wrong_clock_has_put_off_is_due_again(records: Records, attempts: int):
    hook = await delivery(records, attempts, TWO_DAYS)
    assert [one.id for one in await hooks_with_due(records.database, AT)] == [hook]
    (taken,) = await take(records.database, hook, AT)
    assert taken.attempt == attempts + 1
    assert await take(records.database, hook, AT) == []


@pytest.mark.parametrize(("attempts", "wait_s"), [(1, HELD.total_seconds()), (1, RETRY_S[0]), (11, RETRY_S[10])])
async def test_a_delivery_that_waits_as_it_should_is_not_due(records: Records, attempts: int, wait_s: float):
    wait = timedelta(seconds=wait_s)
    hook = await delivery(records, attempts, wait)
    assert await take(records.database, hook, AT) == []
    assert await hooks_with_due(records.database, AT + wait) != []


@pytest.mark.parametrize(("beat_in_s", "built"), [(0, True), (-9, True), (9, True), (-11, False), (172_800, False)])
def test_a_builder_whose_heartbeat_lies_in_the_future_is_dead(beat_in_s: float, built: bool):
    turn = Turn(1, 1, 2, AT + timedelta(seconds=beat_in_s))
    assert turn.is_built(AT, silent_s=10.0) is built


async def test_a_sign_in_limit_that_a_wrong_clock_has_filled_ends_no_later_than_another(database: Database):
    attempt = sign_in_attempt("agent", "192.0.2.1")
    for _ in range(6):
        await throttle.take(database, attempt, AT + TWO_DAYS)
    await throttle.take(database, attempt, AT)


async def test_a_name_that_was_unlocked_by_a_wrong_clock_is_limited_again(database: Database):
    async with database.write() as session:
        await throttle.unlock(session, "agent", AT + TWO_DAYS)
        assert not await throttle._is_unlocked(session, "agent", AT)
        assert await throttle._is_unlocked(session, "agent", AT + TWO_DAYS)


async def test_a_session_that_a_wrong_clock_has_opened_lives_no_longer_than_another(site):
    async with site.database.write() as session:
        now = site.now()
        opened = select(SignInSession.id).where(*sessions.is_open(now))
        before = len((await session.scalars(opened)).all())
        sessions.start(session, "admin", "", "", now + TWO_DAYS)
        sessions.start(session, "admin", "", "", now + timedelta(seconds=5))
        await session.flush()
        assert len((await session.scalars(opened)).all()) == before + 1


@pytest.mark.parametrize(("off_s", "shown"), [(0, False), (2, False), (-2, False), (3, True), (-3, True)])
def test_the_site_says_when_its_own_clock_is_not_that_of_redis(off_s: float, shown: bool):
    live = LiveProjection("run-1", None, int(AT.timestamp() * 1000))
    found = alarm_of_clocks("", live, AT + timedelta(seconds=off_s))
    assert (found is not None) is shown


class WorkerWithAnotherClock:
    """The environment of a worker whose clock a test sets while it runs (libfaketime)."""

    def __init__(self, directory: Path) -> None:
        libraries = list(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not libraries:
            unavailable(NotInstalled("No libfaketime: install the package faketime."))
        self._file = directory / "faketime"
        self.set("+0")
        self.environment = {
            "LD_PRELOAD": str(libraries[0]), "FAKETIME_TIMESTAMP_FILE": str(self._file), "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }  # fmt: skip

    def set(self, offset: str) -> None:
        self._file.write_text(offset)


@pytest.fixture
async def shop(
    database: Database, database_url: str, redis_server: RedisServer, short_path: Path
) -> AsyncIterator[Workshop]:
    async with Workshop(database, redis_server, database_url, short_path) as shop:
        yield shop
        for worker in shop.workers:
            worker.kill()


async def ends(shop: Workshop) -> list[AuditEvent]:
    return [event for event in await rows(shop.records, AuditEvent) if event.action == "expire-override"]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("step_s", [172_800.0, -172_800.0])
async def test_a_worker_whose_clock_is_set_records_no_end_and_deletes_nothing_until_it_is_right(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, step_s: float
):
    for room, name in (
        (housekeeping, "EXPIRIES_S"),
        (housekeeping, "FORGET_S"),
        (steps, "WATCH_S"),
        (clock_watch, "WATCH_S"),
    ):
        monkeypatch.setattr(room, name, 0.05)
    await shop.suppress(OTHER)
    await shop.grant(OTHER, "lead-1", hours=1)
    async with shop.database.write() as session:
        session.add(SignInBucket(key="name:x", tokens=1, filled_at=utc_now() - timedelta(hours=1)))
    off = {"s": 0.0}
    clock = SteadyClock(lambda: time() + off["s"])
    projection = Projection(shop.database, shop.settings, now=clock.now)
    worker = Worker(shop.database, projection, shop.settings, clock)
    running = asyncio.create_task(worker.run())
    await until(lambda: clock.right and shop.gate.allows(OTHER, "lead-1"))
    await shop.grant_until_soon(OTHER, "lead-2", seconds=3)
    off["s"] = step_s
    await until(lambda: clock.doubt == STEPPED and not shop.gate.allows(OTHER, "lead-2"))
    loops = [loop for loop in worker.loops if loop.name in {"expiries", "retention"}]
    done = [loop.steps for loop in loops]  # The time of Redis counts in whole seconds: forty steps take two.
    await until(lambda: all(loop.steps >= before + 40 for loop, before in zip(loops, done, strict=True)))
    assert await ends(shop) == []
    assert len(await rows_of(shop, SignInBucket)) == 1
    assert shop.redis.exists(CLOCK_KEY)
    assert shop.gate.allows(OTHER, "lead-1")  # Calls go on.
    off["s"] = 0.0
    async with asyncio.timeout(60):
        while not (found := await ends(shop)):  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.02)
    worker.stop()
    await running
    await projection.close()
    assert found[0].particulars["lead"] == "lead-2"
    assert abs(found[0].done_at - utc_now()) < timedelta(minutes=1)
    assert len(await rows_of(shop, SignInBucket)) == 1


@pytest.mark.exhaustive
async def test_a_worker_that_starts_with_a_wrong_clock_says_so_until_it_is_right(shop: Workshop, short_path: Path):
    clock = WorkerWithAnotherClock(short_path)
    clock.set("+2d")
    environment = {**os.environ, **shop.environment, **clock.environment}
    worker = Process([sys.executable, "-m", "admin_web", "worker"], short_path / "worker.log", environment)
    shop.workers.append(worker)
    # A busy machine may be interrupted between its look at Redis's clock and the one at its own.
    behind = re.compile(r"The clock of Redis is 172,[78]\d\d s behind this machine")
    await shop.until(lambda: behind.search(worker.log.read_text()) is not None, 200)
    await shop.until(lambda: shop.redis.exists(CLOCK_KEY) == 1)
    shown = await alarm(shop.projection.sides)
    assert shown is not None
    assert shown.title in {CLOCK, NO_CALLS}
    clock.set("+0")
    await shop.until(lambda: "can be trusted again" in worker.log.read_text(), 200)


async def rows_of(shop: Workshop, table: type[SignInBucket]) -> list[SignInBucket]:
    async with shop.database.read() as session:
        return list(await session.scalars(select(table)))


async def test_a_clock_is_compared_with_redis_and_the_database(shop: Workshop):
    fast = SteadyClock(lambda: utc_now().timestamp())
    watch = ClockWatch(fast, shop.database, shop.projection.sides.store, reports=True)
    await watch.step()
    assert fast.right
    shifted = SteadyClock()
    shifted._wall = lambda: utc_now().timestamp()
    shifted.compare({"Redis": 0.0})
    shifted.compare({"Redis": -7200.0})
    assert shifted.doubt == DIFFERS
    watch.clock = shifted
    await watch._report()
    assert b"behind this machine's clock" in shop.redis.get(CLOCK_KEY)
    await watch.step()
    assert shifted.right
    assert not shop.redis.exists(CLOCK_KEY)


class Shard:
    """A shard that keeps the commands it is asked, or that cannot be reached."""

    def __init__(self, *, away: bool = False) -> None:
        self.away, self.asked = away, list[tuple[str, ...]]()
        self.keys = WHOLE

    async def shards(self) -> list["Shard"]:
        return [self]

    @asynccontextmanager
    async def wire(self) -> AsyncIterator["Shard"]:
        if self.away:
            raise RedisUnavailable("it is away")
        yield self

    async def ask(self, *commands: tuple[str, ...]) -> None:
        self.asked += commands


class Shards(Shard):
    def __init__(self, *shards: Shard) -> None:
        self._shards = shards

    async def shards(self) -> list[Shard]:
        return list(self._shards)


async def test_the_doubt_about_a_clock_reaches_each_shard_though_another_is_away(database: Database):
    there = Shard()
    clock = SteadyClock()
    clock.compare({"Redis": -7200.0})
    await ClockWatch(clock, database, cast("Store", Shards(Shard(away=True), there)), reports=True)._report()
    ((command, key, *_),) = there.asked
    assert (command, key) == ("SET", CLOCK_KEY)


async def test_a_comparison_that_fails_is_followed_by_others(database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(clock_watch, "WATCH_S", 0.0)
    watch, compared, tries = ClockWatch(SteadyClock(), database, cast("Store", Shards())), asyncio.Event(), count()

    async def step() -> float:
        if not next(tries):
            raise ValueError("not a time")
        compared.set()
        return 0.0

    monkeypatch.setattr(watch, "step", step)
    running = asyncio.create_task(watch.run())
    async with asyncio.timeout(60):
        await compared.wait()
    running.cancel()
