"""Try generated AGI environments and dialogues on the gate, and judge each answer by a rule that was written again.

`python -m bench.fuzz [--count 10000000] [--seed 1]` holds that many dialogues in 20 rounds:

- five in six with the parser and the session alone, which must read the request that was sent, or none,
- one in six with the whole gate in this process, half of them with a replica that must acknowledge each record. A
  model of Redis answers, changes between two questions, and sometimes breaks its answers,
- one in a hundred of these numbers in addition over TCP, with a real gate and a real Redis.

Prints the counts, the rate, and the growth of the memory since the second round. Exits with code 1 after the first
violation, which it prints with the dialogue.
"""

import argparse
import asyncio
import gc
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

import structlog

from agi_gate.serving.server import tune_garbage_collector
from bench.fuzz.answers import Violation
from bench.fuzz.gate import FuzzedGate
from bench.fuzz.port import FuzzedPort, fuzzed_port
from bench.fuzz.wire import FuzzedWire
from lab.process import NotInstalled

ROUNDS = 20
GROWTH_MB = 16.0
"""Megabytes that a process may grow between the second round and the end."""

MB = 1_000_000


def memory_bytes() -> int:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def tried(one: FuzzedWire | FuzzedGate, count: int) -> int:
    """Hold at least `count` dialogues; return how many."""
    done = 0
    while done < count:
        done += one.tick()
    return done


async def fuzz(count: int, seed: int, port: FuzzedPort) -> float:
    """Hold the dialogues and print the figures. Return the largest growth in megabytes. Raises Violation."""
    wire, gates = FuzzedWire(Random(seed)), [FuzzedGate(Random(seed + 1 + replicas), replicas) for replicas in (0, 1)]
    tune_garbage_collector()
    shares: list[tuple[FuzzedWire | FuzzedGate, int]] = [(one, count // 12 // ROUNDS) for one in gates]
    shares.append((wire, count * 5 // 6 // ROUNDS))
    done, seconds, over_tcp = 0, 0.0, max(1, count // 100 // ROUNDS)
    sizes: list[tuple[int, int]] = []
    for number in range(ROUNDS):
        begun = time.perf_counter()
        done += sum(tried(one, share) for one, share in shares)
        seconds += time.perf_counter() - begun
        await port.run(over_tcp)
        gc.collect()
        sizes.append((memory_bytes(), port.memory_bytes()))
        print(f"round {number + 1}: {done:,} dialogues, {done / seconds:,.0f} a second", file=sys.stderr, flush=True)
    print(f"{done:,} dialogues in this process, {done / seconds:,.0f} a second; {over_tcp * ROUNDS:,} over TCP")
    print(f"parser and session: {shown(wire.counts)}")
    print(f"whole gate: {shown(gates[0].counts + gates[1].counts)}")
    print(f"over TCP: {shown(port.counts)}")
    grown = [(last - first) / MB for first, last in zip(sizes[1], sizes[-1], strict=True)]
    print(f"growth: this process {grown[0]:+.1f} MB, the real gate {grown[1]:+.1f} MB")
    return max(grown)


def shown(counts: Counter[str]) -> str:
    """Return counts as text, the largest first."""
    return ", ".join(f"{number:,} {what}" for what, number in counts.most_common())


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.fuzz")
    parser.add_argument("--count", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    # Odd answers of Redis are logged as errors, tens of thousands of them.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        with fuzzed_port(Random(args.seed)) as port:
            grown = asyncio.run(fuzz(args.count, args.seed, port))
    except NotInstalled as error:
        sys.exit(str(error))
    except Violation as violation:
        print(f"seed {args.seed}: {violation}")
        return 1
    print("no violation" if grown <= GROWTH_MB else f"grew by {grown:.1f} MB")
    return int(grown > GROWTH_MB)


if __name__ == "__main__":
    sys.exit(main())
