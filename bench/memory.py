"""Measure the bytes that Redis needs for a number, an override and a decision: `python -m bench.memory`.

It writes sets, overrides and decisions to a real Redis as the product encodes them, and reads `used_memory` before and
after.
"""

import random
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import redis

from compliance import verdict
from compliance.facts import LiveOverride
from compliance.numbers import E164, LeadId
from compliance.redis_records import decision_fields
from compliance.redis_schema import DECISIONS, listed_key, override_key, override_value
from compliance.verdict import Decision, allow
from lab.redis import RedisServer

AT_ONCE = 500
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def growth(client: redis.Redis, times: int, write: Callable[[redis.client.Pipeline, int], object]) -> int:
    """Call `write` the given number of times, and return by how many bytes Redis has grown."""
    before = client.info("memory")["used_memory"]
    for start in range(0, times, AT_ONCE):
        with client.pipeline() as pipe:
            for at in range(start, min(start + AT_ONCE, times)):
                write(pipe, at)
            pipe.execute()
    return int(client.info("memory")["used_memory"] - before)


def exchange(lines: int) -> Callable[[redis.client.Pipeline, int], object]:
    """Return a function that writes one exchange with `lines` random lines."""
    return lambda pipe, at: pipe.sadd(
        listed_key(lines, "us-ftc", f"1{2_000_000 + at}"), *random.sample(range(10_000), lines)
    )


def override(pipe: redis.client.Pipeline, at: int) -> None:
    number, ends = E164(f"+1{3_120_000_000 + at}"), datetime(2099, 1, 1, tzinfo=UTC)
    value = override_value(LiveOverride(str(at), "signed-consent", ends))
    pipe.set(override_key(1, number, LeadId(f"lead-{at}")), value, pxat=ends)


def decision(pipe: redis.client.Pipeline, at: int) -> None:
    made = Decision(
        id=f"01a20a789220-cf157d42-{at:08x}", at=NOW, ruling=allow(verdict.NOT_LISTED), dialed="4155550199",
        number="+14155550199", lead=f"lead-{at}", channel=f"1767225600.{at}", generation=1, gate="pbx-1:4711",
        peer="192.0.2.10",
    )  # fmt: skip
    pipe.xadd(DECISIONS, decision_fields(made))  # type: ignore[arg-type]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="dnc-") as directory, RedisServer(Path(directory) / "r") as server:
        client = redis.Redis(unix_socket_path=str(server.socket))
        for lines, times in ((4_000, 500), (2_500, 1_000), (1_000, 2_000), (100, 5_000), (10, 10_000), (1, 20_000)):
            grown = growth(client, times, exchange(lines))
            print(f"a number, {lines:>5,} to an exchange {grown / times / lines:>8.2f} bytes")
        print(f"an override                     {growth(client, 20_000, override) / 20_000:>8.0f} bytes")
        print(f"a decision that is not archived {growth(client, 20_000, decision) / 20_000:>8.0f} bytes")


if __name__ == "__main__":
    main()
