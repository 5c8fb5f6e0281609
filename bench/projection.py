"""Measure how soon a change is in force, how long a rebuild and a verify take, and how fast decisions are archived.

`python -m bench.projection [numbers]` runs on SQLite and on PostgreSQL, both with every commit on disk, and on a Redis
that fsyncs its append-only file on every write. The numbers (default 1,000,000) are spread over random exchanges.
"""

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from pathlib import Path

import redis
from sqlalchemy import insert

from admin_web.projection.projection import Projection
from admin_web.record.changes import Actor, Records, utc_now
from admin_web.record.database import Database
from admin_web.record.models import SuppressionEntry
from admin_web.record.schema import migrate
from admin_web.services.suppression import suppress
from admin_web.settings import AdminSettings
from admin_web.worker.decision_archive import DecisionArchive
from compliance import verdict
from compliance.numbers import E164
from compliance.redis_records import decision_fields
from compliance.redis_schema import DECISIONS
from compliance.verdict import Decision, allow
from lab.postgres import PostgresServer
from lab.redis import RedisServer

CHANGES = 300
DECIDED = 50_000
EXCHANGES = 100_000
AT = datetime(2026, 1, 1, tzinfo=UTC)


def some_numbers(count: int) -> list[str]:
    """Return `count` distinct numbers in `EXCHANGES` exchanges, the same each time."""
    chosen = random.Random(1)
    exchanges = chosen.sample(range(2_000_000, 9_999_999), EXCHANGES)
    return [f"+1{exchanges[at % EXCHANGES]}{at // EXCHANGES * 97 % 10_000:04}" for at in range(count)]


async def fill(database: Database, numbers: list[str]) -> None:
    for first in range(0, len(numbers), 50_000):
        rows = [
            {"list_name": "internal", "number": number, "source": "bench", "note": "", "added_at": AT, "added_by": ""}
            for number in numbers[first : first + 50_000]
        ]
        async with database.write() as session:
            await session.execute(insert(SuppressionEntry.__table__), rows)


async def timed(what: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await what()
    return time.perf_counter() - began


async def change_latency(records: Records, projection: Projection) -> tuple[list[float], list[float]]:
    """Time single changes; return the times of the drains and of the whole changes, in milliseconds, sorted."""

    class Timed:
        async def drain(self, numbers: Collection[E164] | None = None) -> None:
            del numbers
            drains.append(await timed(projection.drain) * 1000)

    drains: list[float] = []
    wholes: list[float] = []
    slow = Records(records.database, Timed())
    for line in range(CHANGES):
        number = E164(f"+1999555{line:04}")
        wholes.append(await timed(lambda: suppress(slow, Actor("bench"), number, source="bench")) * 1000)  # noqa: B023
    return sorted(drains), sorted(wholes)


async def archive(database: Database, projection: Projection, client: redis.Redis) -> float:
    """Archive `DECIDED` decisions, and return how many per second."""
    pipe = client.pipeline(transaction=False)
    for at in range(DECIDED):
        decision = Decision(
            f"{at:012x}-bench",
            AT,
            allow(verdict.NOT_LISTED),
            "4155550100",
            "+14155550100",
            "lead-1",
            f"pbx-1.{at}",
            7,
            "",
        )
        pipe.xadd(DECISIONS, decision_fields(decision))
    pipe.execute()
    moved = DecisionArchive(database, projection.sides.store, utc_now)
    await moved.archive_left(0)

    async def all_of_them() -> None:
        while await moved.archive_new():
            continue

    return DECIDED / await timed(all_of_them)


PEAK = """
import sys
from pathlib import Path
from admin_web.cli.program import command_line
try:
    command_line(sys.argv[1:])(sys.argv[1:])
finally:
    print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


def peak_mb(command: str, settings: AdminSettings) -> float:
    """Run one `dnc-admin` command in a process of its own, and return its peak memory in MB."""
    environment = {"DNC_REDIS_URL": settings.redis_url, "DNC_DATABASE_URL": settings.database_url}
    ended = subprocess.run(
        [sys.executable, "-c", PEAK, command], env={**os.environ, **environment}, capture_output=True, check=True
    )
    return int(ended.stdout.split()[-1]) / 1024


async def measure(name: str, url: str, server: RedisServer, numbers: int) -> None:
    settings = AdminSettings(redis_url=server.url, database_url=url)
    client = redis.Redis(unix_socket_path=str(server.socket))
    async with Database(settings.database) as database, Projection(database, settings) as projection:
        await migrate(database)
        await fill(database, some_numbers(numbers))
        rebuild = await timed(projection.rebuild)
        held = client.info("memory")["used_memory"] / 1e6
        again = await timed(projection.rebuild)
        verify = await timed(projection.verify)
        memory = [peak_mb(command, settings) for command in ("migrate", "rebuild", "verify")]
        await projection.sweep()
        drains, wholes = await change_latency(Records(database, projection), projection)
        a_second = await archive(database, projection, client)
    print(f"{name}: {numbers:,} numbers")
    print(f"  rebuild           {rebuild:8.1f} s, again with a live generation {again:.1f} s")
    print(f"  verify            {verify:8.1f} s")
    print("  peak memory       {:8.0f} MB migrate, {:.0f} MB rebuild, {:.0f} MB verify".format(*memory))
    print(f"  memory of Redis   {held:8.0f} MB")
    print(f"  drain of a change {drains[CHANGES // 2]:8.1f} ms, p99 {drains[CHANGES * 99 // 100]:.1f} ms")
    print(f"  recorded + in force {wholes[CHANGES // 2]:6.1f} ms, p99 {wholes[CHANGES * 99 // 100]:.1f} ms")
    print(f"  archive           {a_second:8,.0f} decisions a second", flush=True)


def main() -> None:
    numbers = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="dnc-bench-") as path:
        directory = Path(path)
        directory.chmod(0o755)  # PostgreSQL runs as another user.
        with RedisServer(directory / "r1") as server:
            asyncio.run(measure("SQLite", f"sqlite:///{directory}/dnc.sqlite3", server, numbers))
        with RedisServer(directory / "r2") as server, PostgresServer(directory / "pg") as postgres:
            asyncio.run(measure("PostgreSQL", postgres.create_database("dnc"), server, numbers))


if __name__ == "__main__":
    main()
