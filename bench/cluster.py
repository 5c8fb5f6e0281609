"""Measure how long calls stop when a master of a Redis Cluster is killed or slots move, and that no record is lost.

`python -m bench.cluster [kills] [numbers] [moves]` runs three masters, three replicas and a spare replica, with worker,
gate and four callers. A record must be on disk and on one replica before the gate allows a call. A node is considered
dead after one second of silence. Half of the calls go to listed numbers, on all shards. The masters are killed in turn.

For each kill, it prints the seconds until another master is named, until that master has a replica, and until the shard
has been rebuilt and allows a call. `elsewhere` counts the calls to other shards that were answered meanwhile. `stopped`
counts the calls among these that were blocked although no list has the number.

For each move, three slots move one after the other, so that a move may overtake the rebuild after an earlier one. It
prints the seconds until the last of them has moved, and until all shards allow calls again.

At the end, it prints how many calls were answered, and how many of the allowed ones are on record.
"""

import random
import sys
import tempfile
import time
from pathlib import Path

from bench.failover import SETTINGS, listed
from compliance.cluster import Shard
from compliance.numbers import E164
from compliance.redis_schema import slot_of_number
from lab.cluster import RedisCluster
from tests.support.stack import Callers, Stack

LISTED = [f"+1415{exchange}0100" for exchange in range(200, 260)]
FREE = [f"+1415{exchange}0101" for exchange in range(200, 260)]
SLOTS_MOVED = 3
GOES_ON_S = 2.0
"""Seconds for which all shards must allow calls. The gate notices a move after a second at the latest."""


def someone() -> tuple[str, str]:
    """Return a random number, which is listed in half of the cases, and a lead."""
    return random.choice(random.choice([LISTED, FREE])), "lead-1"


def on(shard: Shard, number: str) -> bool:
    """Return whether a number belongs to a shard."""
    return shard.owns(slot_of_number(E164(number)))


def kill(cluster: RedisCluster, stack: Stack, callers: Callers, shard: Shard) -> tuple[float, float, float, int, int]:
    """Kill the master of a shard under load, and return the figures of its row in the table."""
    callers.until_allowed(50)
    before = len(callers.answers)
    killed, began = cluster.kill_master(shard.first), time.monotonic()
    new = cluster.until_replaced(killed, shard.first)
    named = time.monotonic() - began
    cluster.until(lambda: cluster.replicas_of(new) > 0, within_s=60)
    followed = time.monotonic() - began
    stack.gate.until("not-listed", next(number for number in FREE if on(shard, number)), within_s=120)
    allowed = time.monotonic() - began
    elsewhere = [(number, answer) for number, _, answer in callers.answers[before:] if not on(shard, number)]
    stopped = sum(not answer.allowed for number, answer in elsewhere if number in FREE)
    killed.start()
    cluster.until_at_rest()
    return named, followed, allowed, len(elsewhere), stopped


def move(cluster: RedisCluster, stack: Stack, at: int) -> tuple[float, float]:
    """Move three slots, and return the figures of their row in the table."""
    shards = cluster.topology().shards
    source, began = shards[at % len(shards)], time.monotonic()
    free = [next(number for number in FREE if on(shard, number)) for shard in shards]
    for slot in random.sample([*source.slots()][1:], SLOTS_MOVED):
        time.sleep(random.uniform(0.25, 1.25))
        cluster.move(slot)
    moved = allowed = time.monotonic()
    while time.monotonic() - allowed < GOES_ON_S:
        # A block at the deadline says how busy the machine is.
        if not {stack.gate.screen(number).reason for number in free} <= {"not-listed", "deadline"}:
            allowed = time.monotonic()
        time.sleep(0.05)
    return moved - began, allowed - began


def main() -> None:
    given = [int(word) for word in sys.argv[1:]]
    kills, numbers, moves = [*given, *(3, 100_000, 3)[len(given) :]]
    with tempfile.TemporaryDirectory(prefix="dnc-") as directory, RedisCluster(Path(directory) / "r") as cluster:
        sheet = Path(directory) / "numbers.txt"
        sheet.write_text(listed(numbers) + "\n".join(LISTED))
        with Stack(Path(directory) / "w", cluster, f"sqlite:///{directory}/dnc.sqlite3", **SETTINGS) as stack:
            stack.admin("import", "internal", str(sheet))
            print(f"{numbers + len(LISTED):,} numbers on the list")
            heading = f"{'named after s':>15}{'replica after s':>17}{'allowed after s':>17}"
            print(f"{'':<8}{heading}{'elsewhere':>11}{'stopped':>9}")
            with Callers(stack, someone, pause_s=0) as callers:
                for at in range(kills):
                    shard = cluster.topology().shards[at % cluster.masters]
                    named, followed, allowed, elsewhere, stopped = kill(cluster, stack, callers, shard)
                    row = f"{named:>15.1f}{followed:>17.1f}{allowed:>17.1f}{elsewhere:>11,}{stopped:>9}"
                    print(f"kill {at + 1:<3}{row}", flush=True)
                print(f"{'':<8}{'moved after s':>15}{'allowed after s':>17}")
                for at in range(moves):
                    moved, allowed = move(cluster, stack, at)
                    print(f"move {at + 1:<3}{moved:>15.1f}{allowed:>17.1f}", flush=True)
            report(stack, callers)


def report(stack: Stack, callers: Callers) -> None:
    """Print how many calls were answered and allowed, and how many of the allowed ones are on record."""
    allowed = [answer.decision for _, _, answer in callers.answers if answer.allowed]
    records = stack.until_archived(set(allowed), within_s=60)
    wrong = sum(answer.allowed for dialed, _, answer in callers.answers if dialed in LISTED)
    recorded = sum(records[decision][0] == "ALLOW" for decision in allowed)
    print(f"{len(callers.answers):,} answers, {len(allowed):,} ALLOW, {recorded:,} of them in SQL as ALLOW")
    print(f"listed numbers answered ALLOW: {wrong}")


if __name__ == "__main__":
    main()
