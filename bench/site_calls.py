"""Synthetic rows of the calls of a call centre: every attempt has rows in several tables."""

import random
from bisect import bisect
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from bench.site_data import AGENTS, YEARS, Rows, Scale, lead_id, listed, number, overridden

REASONS = (
    ("not-listed", 880_000), ("internal-dnc", 96_000), ("override", 18_000), ("invalid-number", 4_000),
    ("us-ftc-dnc", 1_600), ("deadline", 200), ("state-unverified", 150), ("store-unavailable", 40), ("bad-channel", 10),
)  # fmt: skip
"""Reasons of decisions, each with its share per million."""

OUTCOMES = ("no-answer", "interested", "not-interested", "call-back", "wrong-number")

DECISIONS = "id at verdict reason detail override number dialed lead channel generation gate archived_at agent"


class Call(NamedTuple):
    """One call attempt, from which the rows of several tables are made."""

    place: int
    at: datetime
    decision: str
    reason: str
    lead: int
    override: str
    channel: str
    agent: str
    fate: float
    """A random value from 0 to 1 that decides how the call ends."""

    @property
    def allowed(self) -> bool:
        return self.reason in {"not-listed", "override"}

    @property
    def lead_id(self) -> str:
        return lead_id(self.lead) if self.place % 33 else ""


def calls(scale: Scale) -> Iterator[Call]:
    """Yield every attempt in order of time. Agents placed two thirds by a click, and the dialer the others."""
    chance = random.Random(3)
    names, shares = zip(*REASONS, strict=True)
    cumulated = [sum(shares[: place + 1]) for place in range(len(shares))]
    epoch = datetime(1970, 1, 1)  # noqa: DTZ001 - as the tables hold it
    step = (YEARS.total_seconds() - 60) / scale.decisions
    first = (scale.began - epoch).total_seconds()
    for place in range(scale.decisions):
        seconds = first + step * place
        reason = names[bisect(cumulated, chance.random() * 1_000_000)]
        lead, override = _judged(scale, chance, reason)
        yield Call(
            place, epoch + timedelta(seconds=seconds), f"{int(seconds * 1000):012x}-{place % 4:08x}-{place:08x}",
            reason, lead, override, f"pbx{place % 2 + 1}-{int(seconds)}.{place}",
            AGENTS[int(chance.random() * 120)] if place % 3 else "", chance.random(),
        )  # fmt: skip


def _judged(scale: Scale, chance: random.Random, reason: str) -> tuple[int, str]:
    """Return the called lead, and the override that allowed the call, if any."""
    if reason == "internal-dnc":
        return listed(int(chance.random() * scale.entries)), ""
    if reason == "override":
        place = int(chance.random() * scale.overrides)
        return overridden(place), str(place + 1)
    return int(chance.random() * scale.leads), ""


def decisions(scale: Scale) -> Rows:
    for call in calls(scale):
        wrong = call.reason == "invalid-number"
        whole = number(call.lead)
        yield (
            call.decision, call.at, "ALLOW" if call.allowed else "BLOCK", call.reason, "too-short" if wrong else "",
            call.override, "" if wrong else whole, "415" if wrong else whole[2:], call.lead_id, call.channel, 7,
            "gate-1:4573", call.at, call.agent,
        )  # fmt: skip


DETAILS = (
    "channel linked_channel sequence decision_id source destination verdict reason disposition lead agent unscreened "
    "started_at answered_at ended_at seconds_billed"
)


def details(scale: Scale) -> Rows:
    """Yield the PBX's records: of nearly every decision, of calls that no gate decided, of unscreened calls."""
    for call in calls(scale):
        if call.fate > 0.97:
            continue
        decided = (call.decision, "ALLOW" if call.allowed else "BLOCK", call.reason)
        yield _detail(call, decided, "ANSWERED" if call.allowed and call.fate < 0.4 else "NO ANSWER")
        if call.place % 5_000 == 0:
            yield _detail(call, ("", "BLOCK", "gate-unreachable"), "NO ANSWER", sequence=1)
        if call.place % 10_000 == 1:
            yield _detail(call, ("", "", ""), "ANSWERED", sequence=2, unscreened=True)


def _detail(
    call: Call, decided: tuple[str, str, str], disposition: str, *, sequence: int = 0, unscreened: bool = False
) -> tuple[Any, ...]:
    answered = disposition == "ANSWERED"
    billed = int(call.fate * 400) if answered else 0
    ended = call.at + timedelta(seconds=billed + 5)
    decision, verdict, reason = decided
    return (
        call.channel, call.channel, sequence, decision, call.agent or "dialer", number(call.lead), verdict, reason,
        disposition, call.lead_id, call.agent, unscreened, call.at,
        call.at + timedelta(seconds=5) if answered else None, ended, billed,
    )  # fmt: skip


REQUESTS = "channel lead_id number asked_at asked_by failure"


def requests(scale: Scale) -> Rows:
    for call in calls(scale):
        if call.agent:
            yield call.channel, lead_id(call.lead), number(call.lead), call.at, call.agent, ""


DISPOSITIONS = "lead_id decision_id outcome note wrapped_up_at wrapped_up_by"


def dispositions(scale: Scale) -> Rows:
    for call in calls(scale):
        if call.agent and call.allowed and call.fate < 0.2:
            at = call.at + timedelta(minutes=5)
            yield lead_id(call.lead), call.decision, OUTCOMES[call.place % 5], "", at, call.agent
