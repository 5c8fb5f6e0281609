"""Measure what a decision costs in our gate, in the cheapest possible server, and in a plain server.

`python -m bench.gate [--seconds 2] [--rounds 5] [--everysec]` puts three servers under the same load in turn:

- floor: a C server that answers with a fixed verdict, without any look-up (bench/floor.c),
- documented: a server as in panoramisk's documentation, with one SISMEMBER; it records nothing,
- gate: ours. Each decision is on the stream and on disk before the answer; with --everysec, on the stream only.

The server has one core; the callers (bench/callers.c) and Redis share the other. Every answer is checked. `given up`
counts the calls that our gate blocked because Redis had not answered within the deadline. Prints medians over the
rounds. A ratio divides figures of the same round.

`python -m bench.gate --everysec --against REVISION [--rounds 40] [--seconds 1]` compares the working tree's gate with
that of a git revision instead; see `bench/against.py`.
"""

import argparse
import os
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from bench import against
from bench.agi import LOAD_CORE, SERVER_CORE, Callers, Load, Outcome, Server, documented, floor, median, pin
from lab.redis import RedisServer
from tests.support.asterisk import GateProcess
from tests.support.handmade import HandmadeProjection

LISTED = 1_000
LOADS = (Load("closed", 1), Load("closed", 32), Load("closed", 256), Load("open", 1000))
GOALS = (
    ("calls a second, gate / floor", Load("closed", 32), "floor", "per_second", 0.38, 0.6),
    ("calls a second, gate / documented", Load("closed", 32), "documented", "per_second", 1.8, 3.0),
    ("CPU a call, gate / floor", Load("closed", 32), "floor", "cpu_us", 5.5, 3.0),
    ("p50 at 1,000 a second, gate / floor", Load("open", 1000), "floor", "p50_us", 2.0, 1.5),
)
"""For each ratio: label, load, the other server, the figure, the required value, and the target value."""

Runs = Mapping[tuple[str, Load], list[Outcome]]


@contextmanager
def gate(directory: Path, redis: RedisServer) -> Iterator[Server]:
    """Run our gate as `agi-gate serve` does, on uvloop, without a log line for each call."""
    with GateProcess(directory / "gate", redis.url, DNC_LOG_LEVEL="WARNING") as process:
        process.until_ready()
        pin(process.process.pid, SERVER_CORE)
        yield Server("gate", process.process, process.port, LISTED)


def measured(servers: Sequence[Server], callers: Callers, rounds: int, seconds: float) -> Runs:
    """Measure the servers in turn, round after round, and return the results by server and load."""
    runs: dict[tuple[str, Load], list[Outcome]] = defaultdict(list)
    for server in servers:
        callers.place(server, Load("closed", 4), 0.5)
    for _ in range(rounds):
        for load in LOADS:
            for server in servers:
                runs[server.name, load].append(callers.place(server, load, seconds))
    return runs


def table(runs: Runs) -> Iterator[str]:
    """Yield the lines of the table of medians."""
    yield (
        f"{'':<26}{'calls/s':>9}{'CPU us/call':>13}{'p50 us':>9}{'p99 us':>9}"
        f"{'unanswered':>12}{'given up':>10}{'wrong':>7}"
    )
    for (name, load), outcomes in runs.items():
        figures = [median(outcomes, figure) for figure in ("per_second", "cpu_us", "p50_us", "p99_us")]
        per_second, cpu, p50, p99 = figures
        yield (
            f"{name:<12}{load!s:<14}{per_second:>9,.0f}{cpu:>13.1f}{p50:>9,.0f}{p99:>9,.0f}"
            f"{total(outcomes, 'unanswered'):>12}{total(outcomes, 'given_up'):>10}{total(outcomes, 'wrong'):>7}"
        )


def total(outcomes: Sequence[Outcome], figure: str) -> int:
    """Return the sum of one count over several runs."""
    return sum(getattr(outcome, figure) for outcome in outcomes)


def judged(runs: Runs) -> Iterator[str]:
    """Yield the lines of the ratios, each beside its required and its target value."""
    yield f"{'':<40}{'is':>7}{'must':>7}{'aim':>7}"
    for said, load, other, figure, must, aim in GOALS:
        pairs = zip(runs["gate", load], runs[other, load], strict=True)
        ratio = statistics.median(getattr(ours, figure) / getattr(theirs, figure) for ours, theirs in pairs)
        yield f"{said:<40}{ratio:>7.2f}{must:>7}{aim:>7}"
    p99 = median(runs["gate", Load("open", 1000)], "p99_us") / 1000
    yield f"{'p99 at 1,000 a second, ms':<40}{p99:>7.2f}{5:>7}{3:>7}"


@contextmanager
def stocked(directory: Path, options: Mapping[str, str]) -> Iterator[RedisServer]:
    """Run a Redis on the callers' core, with the listed numbers and a lease that never expires."""
    with RedisServer(directory / "r", options=options) as redis:
        projected = HandmadeProjection(redis)
        for line in range(LISTED):
            projected.put_on(f"+1415555{line:04}")
        projected.redis.persist("dnc:lease")
        pin(redis.running.pid, LOAD_CORE)
        yield redis


def compare_servers(directory: Path, options: Mapping[str, str], rounds: int, seconds: float) -> None:
    """Measure the three servers, and print both tables. Raises SystemExit when the gate gave a wrong answer or none."""
    with ExitStack() as stack:
        redis = stack.enter_context(stocked(directory, options))
        servers = [
            stack.enter_context(floor(directory)),
            stack.enter_context(documented(directory, redis.url, LISTED)),
            stack.enter_context(gate(directory, redis)),
        ]
        runs = measured(servers, Callers(directory), rounds, seconds)
    print("\n".join([*table(runs), "", *judged(runs)]))
    if any(
        outcome.wrong or outcome.unanswered for (name, _), some in runs.items() if name == "gate" for outcome in some
    ):
        raise SystemExit("The gate gave a wrong answer or none.")


def main() -> None:
    """Run the comparison that the options select."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, help="Length of one run; default 2, with --against 1.")
    parser.add_argument("--rounds", type=int, help="Default 5, with --against 40.")
    parser.add_argument("--everysec", action="store_true", help="Redis writes to disk once a second.")
    parser.add_argument("--against", metavar="REVISION", help="Compare the working tree's gate with this revision's.")
    asked = parser.parse_args()
    options = {"appendfsync": "everysec"} if asked.everysec else {}
    print(f"{os.cpu_count()} cores; appendfsync {options.get('appendfsync', 'always')}")
    with tempfile.TemporaryDirectory(prefix="dnc-bench-") as name:
        directory = Path(name)
        if asked.against:
            rounds, seconds = asked.rounds or 40, asked.seconds or 1.0
            redis = partial(stocked, options=options)
            against.compare(asked.against, directory, redis, listed=LISTED, rounds=rounds, seconds=seconds)
        else:
            compare_servers(directory, options, asked.rounds or 5, asked.seconds or 2.0)


if __name__ == "__main__":
    main()
