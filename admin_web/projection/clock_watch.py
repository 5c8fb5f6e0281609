"""Compares this machine's clock each second with those of Redis and of the database."""

import asyncio
import time
from contextlib import suppress

import structlog
from sqlalchemy import text

from admin_web.projection.store import Store
from admin_web.projection.wire import Command, RedisUnavailable, Wire, words
from admin_web.record.database import Database, DatabaseUnavailable
from admin_web.record.steady_clock import UNKNOWN, SteadyClock

WATCH_S = 1.0
"""Seconds between two comparisons."""

REPORTED_MS = 10_000
"""Milliseconds for which Redis keeps the doubt about a worker's clock. The worker repeats it each second."""

log = structlog.get_logger()


class ClockWatch:
    """Compares the clock of one program.

    If it `reports`, it also keeps a doubt in Redis, so that the site shows it.
    """

    def __init__(self, clock: SteadyClock, database: Database, store: Store, *, reports: bool = False) -> None:
        self.clock, self._database, self._store, self._reports = clock, database, store, reports
        self._reported = False

    async def run(self) -> None:
        """Compare again and again, until cancelled."""
        while True:
            try:
                await self.step()
            except Exception:  # After a bug here, a later step of the clock would otherwise never be believed.
                log.exception("clock not compared")
            await asyncio.sleep(WATCH_S)

    async def step(self) -> float:
        """Compare once. Return the seconds to wait."""
        others = dict[str, float]()
        with suppress(RedisUnavailable):
            for store in await self._store.shards():
                with suppress(RedisUnavailable):
                    async with store.wire() as wire:
                        others[_name_of(wire)] = await _redis_ahead_s(wire)
        if not self._database.on_sqlite:
            with suppress(DatabaseUnavailable):
                others["the database"] = await self._database_ahead_s()
        self.clock.compare(others)
        if self._reports:
            await self._report()
        return WATCH_S

    async def _report(self) -> None:
        said = "" if self.clock.doubt == UNKNOWN else self.clock.text
        if not said and not self._reported:
            return
        with suppress(RedisUnavailable):
            for store in await self._store.shards():
                with suppress(RedisUnavailable):  # The site reads it from the other shards.
                    async with store.wire() as wire:
                        key = wire.keys.clock
                        command: Command = ("SET", key, said, "PX", REPORTED_MS) if said else ("UNLINK", key)
                        await wire.ask(command)
            self._reported = bool(said)

    async def _database_ahead_s(self) -> float:
        began = time.time()
        async with self._database.read() as session:
            there = await session.scalar(text("SELECT extract(epoch FROM clock_timestamp())"))
        return _ahead_s(float(there), began, time.time())


async def _redis_ahead_s(wire: Wire) -> float:
    began = time.time()
    (clock,) = await wire.ask(("TIME",))
    seconds, micros = (int(word) for word in words(clock))
    return _ahead_s(seconds + micros / 1_000_000, began, time.time())


def _ahead_s(there: float, began: float, ended: float) -> float:
    """Return by how many seconds another clock is ahead. It was read between `began` and `ended` of this one."""
    return max(there - ended, 0.0) - max(began - there, 0.0)


def _name_of(wire: Wire) -> str:
    return f"Redis at slot {wire.keys.first_slot}" if wire.to_shard else "Redis"
