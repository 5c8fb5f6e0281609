"""Measure whether the memory of gate, worker, site and Redis stays flat under a long load: `python -m bench.soak`.

`python -m bench.soak [--minutes 10] [--rate 1000]` runs Redis, worker, gate and site on SQLite. The callers
(bench/callers.c) place `--rate` calls a second, and a browser requests a page of the site five times a second. Every
two seconds it reads the anonymous memory of each process, the memory that Redis uses, and the number of decisions that
are not archived. It prints the medians of each minute, and the growth from the second quarter of the time to the last.
The exit code is 1 if a program grew by more than `GROWN_MB`, or exceeded `MOST_MB`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from redis import Redis

from bench.agi import built
from compliance.redis_schema import DECISIONS
from lab.process import Process, free_port
from lab.redis import RedisServer

SAMPLE_S = 2.0
PAGE_S = 0.2
LEAST_MINUTES = 0.3
GROWN_MB, MOST_MB = 15.0, 200.0

Sample = Mapping[str, float]


def anonymous_mb(pid: int) -> float:
    """Return the anonymous memory of a process in MB: what it has allocated itself, without files and libraries."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024


@contextmanager
def programs(directory: Path, server: RedisServer) -> Iterator[tuple[dict[str, int], int, str]]:
    """Run worker, gate and site. Yield their process ids, the AGI port and the URL of a page."""
    agi, web, metrics = free_port(), free_port(), free_port()
    environment = {
        "DNC_REDIS_URL": server.url,
        "DNC_DATA_DIR": str(directory / "data"),
        "DNC_AGI_BIND": f"127.0.0.1:{agi}",
        "DNC_WEB_BIND": f"127.0.0.1:{web}",
        "DNC_METRICS_BIND": f"127.0.0.1:{metrics}",
        "DNC_LOG_LEVEL": "WARNING",
    }
    admin, gate = [sys.executable, "-m", "admin_web"], [sys.executable, "-m", "agi_gate"]
    subprocess.run([*admin, "migrate"], env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL)
    words = {"worker": [*admin, "worker"], "gate": [*gate, "serve"], "site": [*admin, "serve"]}
    with ExitStack() as running:
        started = {
            name: running.enter_context(Process(command, directory / f"{name}.log", environment))
            for name, command in words.items()
        }
        started["gate"].wait_until(lambda: answers(f"http://127.0.0.1:{metrics}/readyz"), within_s=120)
        started["site"].wait_until(lambda: answers(f"http://127.0.0.1:{web}/readyz"), within_s=120)
        yield {name: process.pid for name, process in started.items()}, agi, f"http://127.0.0.1:{web}/sign-in"


def answers(url: str) -> bool:
    """Return whether a URL is answered with success."""
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as response:
        return bool(response.status == 200)
    return False


@contextmanager
def browsing(url: str) -> Iterator[None]:
    """Request a page again and again."""
    over = threading.Event()

    def browse() -> None:
        while not over.wait(PAGE_S):
            answers(url)

    thread = threading.Thread(target=browse)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def sample(pids: Mapping[str, int], redis: Redis) -> Sample:
    """Return the memory of each program in MB, and the number of decisions that wait."""
    used = {name: anonymous_mb(pid) for name, pid in pids.items()}
    return {**used, "Redis": redis.info("memory")["used_memory"] / 1e6, "waiting": float(redis.xlen(DECISIONS))}


def medians(samples: Sequence[Sample]) -> dict[str, float]:
    """Return the median of each figure."""
    return {name: statistics.median(one[name] for one in samples) for name in samples[0]}


def line(first: str, figures: Mapping[str, float]) -> str:
    """Return a line of the table."""
    return f"{first:<12}" + "".join(f"{value:>10,.1f}" for value in figures.values())


def soaked(load: subprocess.Popen[str], pids: Mapping[str, int], redis: Redis) -> list[Sample]:
    """Sample until the load ends, and print the medians of each minute."""
    samples: list[Sample] = []
    a_minute = int(60 / SAMPLE_S)
    print(f"{'MB':<12}" + "".join(f"{name:>10}" for name in (*pids, "Redis", "waiting")), flush=True)
    print(line("before", sample(pids, redis)), flush=True)
    while load.poll() is None:
        time.sleep(SAMPLE_S)
        samples.append(sample(pids, redis))
        if len(samples) % a_minute == 0:
            print(line(f"minute {len(samples) // a_minute}", medians(samples[-a_minute:])), flush=True)
    return samples


def verdict(samples: Sequence[Sample], names: Sequence[str]) -> bool:
    """Print growth and maximum of each program; return whether all of them stay flat."""
    quarter = len(samples) // 4
    early, late = medians(samples[quarter : 2 * quarter]), medians(samples[-quarter:])
    most = {name: max(one[name] for one in samples) for name in names}
    print(line("growth", {name: late[name] - early[name] for name in names}))
    print(line("maximum", most))
    return all(late[name] - early[name] < GROWN_MB and most[name] < MOST_MB for name in names)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--rate", type=int, default=1_000)
    given = options.parse_args()
    if given.minutes < LEAST_MINUTES:
        options.error(f"--minutes: write {LEAST_MINUTES} or more, so that each quarter has a sample")
    sys.exit(not soak(given.minutes, given.rate))


def soak(minutes: float, rate: int) -> bool:
    """Run everything and print the figures. Return whether the memory of all programs stays flat."""
    with ExitStack() as running:
        directory = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="dnc-")))
        server = running.enter_context(RedisServer(directory / "redis", options={"appendfsync": "everysec"}))
        redis = running.enter_context(Redis(unix_socket_path=str(server.socket)))
        pids, port, page = running.enter_context(programs(directory, server))
        running.enter_context(browsing(page))
        words = [built("callers", directory), port, "open", rate, minutes * 60, 0]
        load = subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, text=True)
        samples = soaked(load, pids, redis)
        told = json.loads(load.communicate()[0])
        print(f"{told['calls']:,} calls, {told['calls'] / told['wall_s']:,.0f} a second, {told['allowed']:,} allowed, "
              f"{told['unanswered']} unanswered")  # fmt: skip
        return verdict(samples, [*pids, "Redis"])


if __name__ == "__main__":
    main()
