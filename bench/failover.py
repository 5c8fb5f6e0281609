"""Measure how long calls stop when the Redis master behind Sentinel is killed, and check that no record is lost.

`python -m bench.failover [kills] [numbers]` runs a master, two replicas and three sentinels, with worker, gate and four
callers. A record must be on disk and on one replica before the gate allows a call. A master is considered dead after
half a second of silence. Half of the calls go to a listed number.

For each kill, it prints the seconds until another master is named, until the other replica follows it, and until the
projection has been rebuilt and a call is allowed. At the end, it prints how many calls were answered, and how many of
the allowed ones are on record.
"""

import random
import sys
import tempfile
import time
from pathlib import Path

from lab.sentinel import Watched
from tests.support.stack import Callers, Stack

LISTED = "+14155550100"
SETTINGS = {"DNC_REPLICAS": "1", "DNC_DEADLINE_MS": "200", "DNC_LEASE_S": "60"}


def someone() -> tuple[str, str]:
    """Return a random number, which is listed in half of the cases, and a lead."""
    return random.choice([LISTED, f"+1415555{random.randrange(1000, 2000):04}"]), "lead-1"


def listed(numbers: int) -> str:
    """Return the text of a file of `numbers` numbers, one a line."""
    return "".join(f"+1212{line:07}\n" for line in range(2_000_000, 2_000_000 + numbers))


def kill(watched: Watched, callers: Callers) -> tuple[float, float, float]:
    """Kill the master under load; return the seconds until another is named, a replica follows, and a call passes."""
    callers.until_allowed(50)
    killed, began = watched.kill_master(), time.monotonic()
    watched.until_replaced(killed)
    named = time.monotonic() - began
    watched.until(lambda: len(watched.following()) == 1, within_s=60)
    followed = time.monotonic() - began
    callers.until_allowed(1, within_s=120)
    allowed = time.monotonic() - began
    watched.revive(killed)
    watched.until_at_rest()
    return named, followed, allowed


def main() -> None:
    given = [int(word) for word in sys.argv[1:]]
    kills, numbers = [*given, *(3, 100_000)[len(given) :]]
    with tempfile.TemporaryDirectory(prefix="dnc-") as directory, Watched(Path(directory) / "r", 2) as watched:
        sheet = Path(directory) / "numbers.txt"
        sheet.write_text(listed(numbers))
        with Stack(Path(directory) / "w", watched, f"sqlite:///{directory}/dnc.sqlite3", **SETTINGS) as stack:
            stack.admin("suppress", LISTED)
            stack.admin("import", "internal", str(sheet))
            print(f"{numbers + 1:,} numbers on the list")
            print(f"{'':<8}{'named after s':>16}{'followed after s':>18}{'allowed after s':>18}")
            with Callers(stack, someone, pause_s=0) as callers:
                for at in range(kills):
                    named, followed, allowed = kill(watched, callers)
                    print(f"kill {at + 1:<3}{named:>16.1f}{followed:>18.1f}{allowed:>18.1f}")
            report(stack, callers)


def report(stack: Stack, callers: Callers) -> None:
    """Print how many calls were answered and allowed, and how many of the allowed ones are on record."""
    allowed = [answer.decision for _, _, answer in callers.answers if answer.allowed]
    records = stack.until_archived(set(allowed), within_s=60)
    wrong = sum(answer.allowed for dialed, _, answer in callers.answers if dialed == LISTED)
    recorded = sum(records[decision][0] == "ALLOW" for decision in allowed)
    print(f"{len(callers.answers):,} answers, {len(allowed):,} ALLOW, {recorded:,} of them in SQL as ALLOW")
    print(f"listed number answered ALLOW: {wrong}")


if __name__ == "__main__":
    main()
