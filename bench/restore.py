"""Compare two ways to write sets of line numbers to Redis: RESTORE of whole sets, and SADD of their members.

`python -m bench.restore [--numbers 500000] [--rounds 5]` measures them in turn, for exchanges of 2,500, 100, 10 and 1
numbers, on a private Redis that fsyncs its append-only file on every write. Both go through the writer that a rebuild
uses, and end with the same sets. Prints medians over the rounds. A ratio divides figures of the same round. CPU is the
CPU time of writer and Redis together. On a machine with other work, it is more reliable than the elapsed time.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import redis
import typer

from admin_web.projection.batches import batches
from admin_web.projection.registry_sets import AT_ONCE, Exchange, RegistryWriter
from admin_web.projection.store import Store
from bench.agi import cpu_seconds
from compliance.redis_schema import listed_key
from lab.redis import RedisServer

DENSITIES = (2_500, 100, 10, 1)
"""Numbers in one exchange. The registry of the United States has about 2,500."""

WITHIN_S = 60.0


class Took(NamedTuple):
    """Cost of writing all sets: seconds, seconds of CPU, and bytes of the append-only file."""

    seconds: float
    cpu: float
    written: int


def sets_of(count: int, numbers: int) -> list[Exchange]:
    """Return `count` sets of `numbers` random lines each, the same each time."""
    random = np.random.default_rng(1)
    names = [f"1{2_000_000 + at}" for at in range(count)]
    lines = [np.sort(random.choice(10_000, numbers, replace=False)).astype("<u2") for _ in names]
    return [Exchange(name, listed_key(1, "us-ftc", name), some) for name, some in zip(names, lines, strict=True)]


async def write(server: RedisServer, sets: Sequence[Exchange], *, restores: bool) -> Took:
    """Write the sets to an empty Redis, and return the cost. Raises SystemExit when Redis refuses RESTORE."""
    client = redis.Redis(unix_socket_path=str(server.socket))
    client.flushall()
    file_before, cpu_before, began = _file_bytes(server), _cpu(server), time.perf_counter()
    async with Store(server.url) as store, store.wire() as wire:
        writer = RegistryWriter(wire, WITHIN_S)
        writer.restores = restores
        counted = sum([await writer.write(some) for some in batches(sets, AT_ONCE)])
    took = Took(time.perf_counter() - began, _cpu(server) - cpu_before, _file_bytes(server) - file_before)
    if writer.restores != restores or counted != sum(len(one.lines) for one in sets):
        raise SystemExit("Redis refused RESTORE, or holds the wrong count of numbers.")
    return took


def _cpu(server: RedisServer) -> float:
    return time.process_time() + cpu_seconds(server.running.pid)


def _file_bytes(server: RedisServer) -> int:
    return sum(file.stat().st_size for file in (server.directory / "appendonlydir").iterdir())


async def measure(server: RedisServer, density: int, numbers: int, rounds: int) -> str:
    """Write sets with `numbers` numbers in all, by both commands in turn; return a line of the table."""
    sets = sets_of(max(1, numbers // density), density)
    total = len(sets) * density
    pairs = [
        (await write(server, sets, restores=True), await write(server, sets, restores=False)) for _ in range(rounds)
    ]
    restored, added = (statistics.median(total / pair[side].seconds for pair in pairs) for side in (0, 1))
    faster = statistics.median(sadd.seconds / restore.seconds for restore, sadd in pairs)
    cheaper = statistics.median(sadd.cpu / max(restore.cpu, 0.001) for restore, sadd in pairs)
    smaller = statistics.median(sadd.written / restore.written for restore, sadd in pairs)
    each = pairs[0][0].written / total
    return f"{density:>8,}{restored:>14,.0f}{added:>14,.0f}{faster:>9.1f}{cheaper:>9.1f}{smaller:>9.1f}{each:>9.1f}"


def main(
    numbers: Annotated[int, typer.Option(min=2_500, help="Numbers to write for each size of a set.")] = 500_000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds. In each, both commands write all numbers once.")] = 5,
) -> None:
    """Measure, and print the table."""
    print(f"{'numbers':>8}{'RESTORE':>14}{'SADD':>14}{'times':>9}{'times':>9}{'times':>9}{'bytes a':>9}")
    print(f"{'in a set':>8}{'numbers/s':>14}{'numbers/s':>14}{'faster':>9}{'less CPU':>9}{'less AOF':>9}{'number':>9}")
    options = {"auto-aof-rewrite-percentage": "0"}  # A rewrite would shrink the measured file.
    with (
        tempfile.TemporaryDirectory(prefix="dnc-bench-") as path,
        RedisServer(Path(path) / "r", None, options) as server,
    ):
        for density in DENSITIES:
            # With one number per set there are as many sets as numbers, so a tenth of the numbers is enough.
            print(asyncio.run(measure(server, density, numbers if density > 1 else numbers // 10, rounds)), flush=True)


if __name__ == "__main__":
    typer.run(main)
