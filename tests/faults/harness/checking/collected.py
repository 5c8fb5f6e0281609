"""The events of one history, by kind."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter

from tests.faults.harness.history import (
    Audited,
    Call,
    Change,
    Entry,
    Event,
    Fault,
    Left,
    Lost,
    OverrideRow,
    Recorded,
    Rested,
    Run,
    Stalled,
    Verified,
)

NS_PER_MS = 1_000_000

NEVER = 1 << 62
"""A time after every other one."""

LEASE_SLACK_MS = 100
"""How far the clock of Redis, by which the lease ends, may drift against the harness's within a lease."""


@dataclass
class History:
    """The events of one run, each kind in the order of the file."""

    runs: list[Run] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    stalls: list[Stalled] = field(default_factory=list)
    rested: list[Rested] = field(default_factory=list)
    recorded: list[Recorded] = field(default_factory=list)
    audited: list[Audited] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    overrides: list[OverrideRow] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    verified: list[Verified] = field(default_factory=list)

    @cached_property
    def steps_of_redis(self) -> list[Fault]:
        """The faults that stepped the clock of Redis, by which overrides end."""
        return [fault for fault in self.faults if fault.wrong_wall and "redis" in fault.target]

    @cached_property
    def moved(self) -> frozenset[int]:
        """The slots that moved to another shard during the run, which their fault names."""
        moves = [fault.target for fault in self.faults if fault.kind == "slots-move"]
        return frozenset(int(slot) for target in moves for slot in target.split(","))

    @cached_property
    def losing(self) -> list[Fault]:
        """The faults that destroyed a Redis with the records in it."""
        return [fault for fault in self.faults if fault.loses_from is not None]

    @property
    def bound(self) -> int:
        """How long before its answer an ALLOW may have been decided, in nanoseconds."""
        return (self.runs[0].deadline_ms + self.runs[0].slack_ms) * NS_PER_MS if self.runs else 0

    @property
    def lease(self) -> int:
        """How long after its commit a change may be unseen while calls are allowed, in nanoseconds; NEVER: no limit."""
        lease_ms = self.runs[0].lease_ms if self.runs else 0
        return (lease_ms + LEASE_SLACK_MS) * NS_PER_MS if lease_ms else NEVER

    @cached_property
    def _stalls(self) -> list[Stalled]:
        return sorted(self.stalls, key=attrgetter("ended"))

    def arrived(self, seen: int) -> int:
        """Return when an answer may have arrived at the earliest that the harness saw at `seen`.

        After a stall, the harness needs a moment for all the answers that have arrived meanwhile.
        """
        slack = self.runs[0].slack_ms * NS_PER_MS if self.runs else 0
        at = bisect_left(self._stalls, seen - slack, key=attrgetter("ended"))
        return min([seen, *(stall.began for stall in self._stalls[at : at + 1])])

    def stalled(self, began: int, ended: int) -> int:
        """Return for how many of these nanoseconds the harness stood still."""
        return sum(max(0, min(ended, stall.ended) - max(began, stall.began)) for stall in self.stalls)

    def listable(self) -> set[str]:
        """Return every number that somebody wanted on a list, whatever became of it."""
        wanted = (change.numbers for change in self.changes if change.kind in LISTING)
        return {number for numbers in wanted for number in numbers}


LISTING = frozenset({"list", "import"})
KNOWN = frozenset({"in-force", "recorded"})


def collect(events: Iterable[Event]) -> History:
    """Return the history of these events."""
    history = History()
    adders = {
        Run: history.runs.append,
        Call: history.calls.append,
        Change: history.changes.append,
        Fault: history.faults.append,
        Stalled: history.stalls.append,
        Rested: history.rested.append,
        Recorded: history.recorded.append,
        Audited: history.audited.append,
        Entry: history.entries.append,
        OverrideRow: history.overrides.append,
        Left: history.left.append,
        Lost: history.lost.append,
        Verified: history.verified.append,
    }
    for event in events:
        adders[type(event)](event)  # type: ignore[operator]
    return history
