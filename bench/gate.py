"""How many calls a second one gate process decides, every decision recorded on disk, and how fast.

`python -m bench.gate [seconds]`: a real gate on one core; Redis, with the append-only file fsynced on every write, and
the callers on the other. Prints a table, with the CPU time of the gate for each call.
"""

import os
import random
import sys
import tempfile
from pathlib import Path

from bench.load import Outcome, closed_loop, cpu_seconds, open_loop, run, warm
from lab.redis import RedisServer
from tests.asterisk import GateProcess
from tests.projected import Projected

NUMBERS = 1_000


def anyone() -> tuple[str, str]:
    """Give one of ten thousand numbers, a tenth of them listed, and a lead."""
    return f"+1415555{random.randrange(10_000):04}", "lead-1"


def row(name: str, outcome: Outcome, cpu_s: float) -> str:
    calls = len(outcome.seconds)
    decided = sum(count for (_, allowed), count in outcome.answers.items() if allowed)
    latency = f"{outcome.percentile_ms(50):>9.2f}{outcome.percentile_ms(99):>9.2f}"
    return f"{name:<22}{outcome.per_second:>9.0f}{latency}{cpu_s / calls * 1e6:>12.0f}{decided:>10}{calls:>10}"


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    with tempfile.TemporaryDirectory(prefix="dnc-bench-") as directory, RedisServer(Path(directory) / "r") as redis:
        projected = Projected(redis)
        for line in range(NUMBERS):
            projected.put_on(f"+1415555{line:04}")
        with GateProcess(Path(directory) / "gate", redis.url) as gate:
            gate.until_ready()
            projected.redis.persist("dnc:lease")
            os.sched_setaffinity(gate.process.pid, {0})
            for pid in (0, redis.running.pid):
                os.sched_setaffinity(pid, {1})
            warm(gate.port, anyone)
            print(f"{'':<22}{'calls/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU us/call':>12}{'allowed':>10}{'calls':>10}")
            for callers in (1, 32, 256):
                before = cpu_seconds(gate.process.pid)
                outcome = run(closed_loop(gate.port, callers, seconds, anyone))
                print(row(f"{callers} callers", outcome, cpu_seconds(gate.process.pid) - before))
            before = cpu_seconds(gate.process.pid)
            outcome = run(open_loop(gate.port, 1000, seconds, anyone))
            print(row("1000 calls/s, open", outcome, cpu_seconds(gate.process.pid) - before))


if __name__ == "__main__":
    main()
