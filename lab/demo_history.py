"""Records of a day of calls to the demo's leads, as gate and PBX would write them, to fill charts and logs."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from redis import Redis

from admin_web.cli.demo_data import LEADS, LISTED, MORE, SHARED
from compliance.redis_records import decision_fields
from compliance.redis_schema import DECISIONS
from compliance.verdict import NOT_LISTED, Decision, allow, block, listed_on

CALLS = 240
ENDED = ("ANSWERED", "ANSWERED", "ANSWERED", "NO ANSWER", "BUSY")
PEOPLE = ("agent", "supervisor")


def record(redis: Redis, cdr_file: Path, now: datetime | None = None) -> None:
    """Append the decisions of the 24 hours before `now` to the stream, and their CDRs to the PBX's file."""
    random = Random(3)  # noqa: S311 - a fixed seed makes equal pictures
    with cdr_file.open("a", newline="") as file:
        records = csv.writer(file, quoting=csv.QUOTE_ALL)
        for decision in sorted(_decisions(random, now or datetime.now(UTC)), key=lambda decision: decision.at):
            entry: dict[Any, Any] = {**decision_fields(decision)}  # The type in redis-py is invariant.
            redis.xadd(DECISIONS, entry)
            records.writerow(_call_detail(random, decision))


def _decisions(random: Random, now: datetime) -> Iterator[Decision]:
    leads = [(lead.id, lead.number) for lead in LEADS] + [(lead, number) for lead, number, _ in MORE]
    for index in range(CALLS):
        lead, number = random.choice(leads)
        hours_ago = min(random.gammavariate(3, 3), 23)
        at = now - timedelta(hours=hours_ago)
        listed = number in {*LISTED, SHARED}
        channel = f"{int(at.timestamp())}.{index}"
        yield Decision(
            id=f"{int(at.timestamp() * 1000):012x}-0de30000-{index:08x}",
            at=at,
            ruling=block(listed_on("internal")) if listed else allow(NOT_LISTED),
            dialed=number,
            number=number,
            lead=lead,
            channel=channel,
            generation=1,
            gate="demo",
        )


def _call_detail(random: Random, decision: Decision) -> list[str]:
    """Return the fields of one CDR line, in the order of `dialplan/cdr_custom.conf`."""
    allowed = decision.ruling.verdict == "ALLOW"
    ended = random.choice(ENDED) if allowed else "FAILED"
    rang, talked = random.randint(4, 20), random.randint(20, 400) if ended == "ANSWERED" else 0
    start = int(decision.at.timestamp())
    moments = [_moment(start), _moment(start + rang) if talked else "", _moment(start + rang + talked)]
    trunk = f"PJSIP/trunk-{decision.id[-8:]}" if allowed else ""
    return [
        *moments, str(rang + talked), str(talked), ended, "", "", decision.dialed, "dnc-from-phones", "PJSIP/agent-1",
        trunk, "Dial" if allowed else "Hangup", decision.channel, decision.channel, "1",
        decision.ruling.verdict, decision.ruling.reason, decision.id, decision.number, decision.lead,
        random.choice(PEOPLE),
    ]  # fmt: skip


def _moment(seconds: int) -> str:
    return f"{seconds}.000000"
