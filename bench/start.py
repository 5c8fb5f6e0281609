"""Measure how long a gate takes from its start to its first accepted call.

`python -m bench.start [--times 9]` starts `agi-gate serve` beside a Redis again and again. For each start it measures
the time from `exec` until the AGI port accepts a connection, and the CPU time until then. It prints the median, the
shortest and the longest of both, in ms. CPU time hardly depends on what else the machine does.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.agi import cpu_seconds
from lab.process import accepts, free_port
from lab.redis import RedisServer
from tests.support.handmade import HandmadeProjection

LONGEST_S = 60.0


def started(environment: dict[str, str], port: int) -> tuple[float, float]:
    """Start a gate; return the seconds until it accepts a connection, and its CPU seconds until then."""
    began = time.monotonic()
    with subprocess.Popen([sys.executable, "-m", "agi_gate", "serve"], env=environment) as gate:
        try:
            while not accepts(("127.0.0.1", port)):
                if gate.poll() is not None or time.monotonic() - began > LONGEST_S:
                    raise SystemExit(f"the gate did not start (exit code {gate.returncode})")
                time.sleep(0.001)
            return time.monotonic() - began, cpu_seconds(gate.pid)
        finally:
            gate.terminate()


def shown(name: str, seconds: list[float]) -> str:
    """Return one line of the table, in ms."""
    median, least, most = (1000 * value for value in (statistics.median(seconds), min(seconds), max(seconds)))
    return f"{name:<28}{median:>8.0f}{least:>8.0f}{most:>8.0f}"


def main() -> None:
    arguments = argparse.ArgumentParser(description="How long a gate takes to start.")
    arguments.add_argument("--times", type=int, default=9)
    times = arguments.parse_args().times
    with tempfile.TemporaryDirectory(prefix="dnc-") as directory, RedisServer(Path(directory) / "r") as redis:
        HandmadeProjection(redis)
        runs = []
        for _ in range(times + 1):  # The first start may compile byte code.
            agi, metrics = free_port(), free_port()
            settings = {
                "DNC_REDIS_URL": redis.url,
                "DNC_DATA_DIR": directory,
                "DNC_AGI_BIND": f"127.0.0.1:{agi}",
                "DNC_METRICS_BIND": f"127.0.0.1:{metrics}",
                "DNC_LOG_LEVEL": "WARNING",
            }
            runs.append(started({**os.environ, **settings}, agi))
    print(f"{'ms, ' + str(times) + ' starts':<28}{'median':>8}{'least':>8}{'most':>8}")
    print(shown("until a call is accepted", [wall for wall, _ in runs[1:]]))
    print(shown("CPU until then", [cpu for _, cpu in runs[1:]]))


if __name__ == "__main__":
    main()
