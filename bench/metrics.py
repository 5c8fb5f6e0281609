"""Measure what counting one call costs with the gate's own metrics, and with those of prometheus-client.

`python -m bench.metrics [--calls 200000] [--rounds 5]` prints the CPU time per call, in microseconds, for
`agi_gate/metrics.py`; for prometheus-client's Counter with two labels and Histogram with the same buckets; and for the
same two in its multiprocess mode, which keeps the values in files shared by mmap. The figures are medians over the
rounds.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import typer
from prometheus_client import CollectorRegistry, Counter, Histogram

from agi_gate.metrics import BUCKETS_S, Metrics
from compliance import verdict
from compliance.verdict import Decision, allow

DECISION = Decision(
    "01a20a789220-cf157d42-00000004", datetime(2026, 1, 1, tzinfo=UTC), allow(verdict.NOT_LISTED), "4155550199",
    "+14155550199", "lead-1", "pbx-1.1", 7, "",
)  # fmt: skip
SECONDS = 0.0007


def own() -> Callable[[], None]:
    metrics = Metrics()
    return lambda: metrics.count(DECISION, SECONDS)


def library() -> Callable[[], None]:
    registry = CollectorRegistry()
    calls = Counter("calls", "Calls answered.", ["verdict", "reason"], registry=registry)
    latency = Histogram("seconds", "From the request to the answer.", buckets=BUCKETS_S, registry=registry)
    ruling = DECISION.ruling

    def count() -> None:
        calls.labels(ruling.verdict, ruling.reason).inc()
        latency.observe(SECONDS)

    return count


WAYS = {"own": own, "prometheus-client": library, "multiprocess mode": library}


def microseconds(count: Callable[[], None], calls: int, rounds: int) -> float:
    """Return the CPU time of one `count()` in microseconds, the median over the rounds."""
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(calls):
            count()
        taken.append((time.process_time() - began) / calls * 1e6)
    return statistics.median(taken)


def main(
    calls: Annotated[int, typer.Option(min=1)] = 200_000,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    way: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Measure each way in its own process, because prometheus-client chooses its mode when it is imported."""
    if way:
        print(f"{way:<20}{microseconds(WAYS[way](), calls, rounds):8.2f} us a call", flush=True)
        return
    for each in WAYS:
        with tempfile.TemporaryDirectory(prefix="dnc-bench-") as directory:
            shared = {"PROMETHEUS_MULTIPROC_DIR": directory} if each == "multiprocess mode" else {}
            command = [sys.executable, "-m", "bench.metrics", f"--calls={calls}", f"--rounds={rounds}", f"--way={each}"]
            subprocess.run(command, env={**os.environ, **shared}, check=True)


if __name__ == "__main__":
    typer.run(main)
