"""How long the calls of one shard stop when its master is killed, in a Redis Cluster, and whether anything is lost.

`python -m bench.cluster [kills] [numbers]`: three masters, three replicas and a spare one (every write on disk, and on
one replica, before ALLOW), nodes that call another dead after a second, worker and gate, and four callers, half of
whose calls go to listed numbers on all shards. The masters are killed in turn. Prints, for each kill, seconds until
another master is named, until a replica follows it, and until the shard has been rebuilt and allows a call; how many
calls to the other shards were answered meanwhile, and how many of them by a block that no list is the reason of; and in
the end what was answered and what of it is on record.
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


def someone() -> tuple[str, str]:
    """Give a listed number, or one that is not."""
    return random.choice(random.choice([LISTED, FREE])), "lead-1"


def on(shard: Shard, number: str) -> bool:
    """Tell whether a number is this shard's."""
    return shard.owns(slot_of_number(E164(number)))


def kill(cluster: RedisCluster, stack: Stack, callers: Callers, shard: Shard) -> tuple[float, float, float, int, int]:
    """Kill the master of a shard under load; give what is printed of it."""
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


def main() -> None:
    given = [int(word) for word in sys.argv[1:]]
    kills, numbers = [*given, *(3, 100_000)[len(given) :]]
    with tempfile.TemporaryDirectory(prefix="dnc-") as directory, RedisCluster(Path(directory) / "r") as cluster:
        sheet = Path(directory) / "numbers.txt"
        sheet.write_text(listed(numbers) + "\n".join(LISTED))
        with Stack(Path(directory) / "w", cluster, f"sqlite:///{directory}/dnc.sqlite3", **SETTINGS) as stack:
            stack.admin("import", "internal", str(sheet))
            print(f"{numbers + len(LISTED):,} numbers on the list")
            heading = f"{'named after s':>15}{'replica after s':>17}{'allowed after s':>17}"
            print(f"{'':<8}{heading}{'elsewhere':>11}{'stopped':>9}")
            with Callers(stack, someone) as callers:
                for at in range(kills):
                    shard = cluster.topology().shards[at % cluster.masters]
                    named, followed, allowed, elsewhere, stopped = kill(cluster, stack, callers, shard)
                    row = f"{named:>15.1f}{followed:>17.1f}{allowed:>17.1f}{elsewhere:>11,}{stopped:>9}"
                    print(f"kill {at + 1:<3}{row}", flush=True)
            report(stack, callers)


def report(stack: Stack, callers: Callers) -> None:
    """Print what was answered, and what of it is on record."""
    allowed = [answer.decision for _, _, answer in callers.answers if answer.allowed]
    records = stack.until_archived(set(allowed), within_s=60)
    wrong = sum(answer.allowed for dialed, _, answer in callers.answers if dialed in LISTED)
    whole_ones = sum(records[decision][0] == "ALLOW" for decision in allowed)
    print(f"{len(callers.answers):,} answers, {len(allowed):,} ALLOW, {whole_ones:,} of them in SQL as ALLOW")
    print(f"listed numbers answered ALLOW: {wrong}")


if __name__ == "__main__":
    main()
