"""When calls were stopped although their number was on no list, and whether they came back in time.

Only numbers that nobody wanted on a list are looked at, so every call to them must be allowed. Each gate is looked at
by itself, because a PBX may know only one of them, and so is each shard of a cluster.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from tests.faults.harness.checking.collected import NEVER, History
from tests.faults.harness.checking.violations import Violation
from tests.faults.harness.history import ALLOW, Call, Fault
from tests.faults.harness.parts import part_of

NS_PER_S = 1_000_000_000

LONGEST_STRAY_NS = NS_PER_S
"""Away from faults, calls may be stopped for this long before they count as stopped. A busy machine misses a deadline
now and then; each such call is counted, see `wrongly_blocked`.
"""


@dataclass(frozen=True, slots=True)
class Outage:
    """Calls that one gate stopped, one after the other, from the first until the next one was allowed."""

    gate: str
    began: int
    ended: int
    calls: Sequence[Call]

    @property
    def seconds(self) -> float:
        """How long no call was allowed."""
        return (self.ended - self.began) / NS_PER_S


@dataclass(frozen=True, slots=True)
class Quiet:
    """A time of rest: the faults before it are over, and the next one has not begun. `last` are those just before."""

    began: int
    ended: int
    last: Sequence[Fault]


def check_outages(history: History) -> Iterator[Violation]:
    """Yield each outage that reaches into a time in which calls must be back."""
    calls = callable_calls(history)
    invoked = [call.invoked for call in calls]
    for quiet in quiet_times(history.faults):
        # A call that was invoked shortly before the next fault may have been under way when it began.
        during = calls[bisect_left(invoked, quiet.began) : bisect_left(invoked, quiet.ended - history.bound)]
        for outage in outages(during, history.moved, quiet.ended):
            lasted = outage.ended - outage.began - history.stalled(outage.began, outage.ended)
            if lasted > LONGEST_STRAY_NS:
                after = " and ".join(f"{fault.kind} of {fault.target}" for fault in quiet.last) or "no fault at all"
                said = f"{outage.gate} stopped calls for {lasted / NS_PER_S:.1f} s in a time of rest, after {after}."
                yield Violation("not-back", said, (*quiet.last, *outage.calls))


def callable_calls(history: History) -> list[Call]:
    """Return the calls to numbers that nobody wanted on a list, in the order in which they were invoked."""
    listable = history.listable()
    rested = history.rested[0].at if history.rested else NEVER
    calls = (call for call in history.calls if call.number not in listable and call.invoked <= rested)
    return sorted(calls, key=attrgetter("invoked"))


def wrongly_blocked(history: History) -> list[Call]:
    """Return the calls that were not allowed although nobody wanted their number on a list."""
    return [call for call in callable_calls(history) if call.verdict != ALLOW]


def quiet_times(faults: Sequence[Fault]) -> Iterator[Quiet]:
    """Yield the times in which all earlier faults have ended for as long as stated, and the next has not begun."""
    back, last = 0, list[Fault]()
    for fault in sorted(faults, key=attrgetter("began")):
        if fault.began > back:
            yield Quiet(back, fault.began, tuple(last))
        if not (fault.pair and any(fault.pair == one.pair for one in last)):
            last = []
        last.append(fault)
        back = max(back, must_be_back(fault))
    if back < NEVER:
        yield Quiet(back, NEVER, tuple(last))


def must_be_back(fault: Fault) -> int:
    """Return when calls must be back after a fault."""
    return NEVER if fault.ended is None else fault.ended + int(fault.back_within_s * NS_PER_S)


def outages(calls: Sequence[Call], moved: frozenset[int], until: int = NEVER) -> Iterator[Outage]:
    """Yield the runs of stopped calls of each gate and shard. `calls` are in the order in which they were invoked.

    The slots that `moved` during the run are looked at apart from the others: calls that their new shard allows must
    not end the outage of the old one.

    An outage ends with the next answer that allows a call; without one, with the last stopped call.
    """
    spots: dict[tuple[str, int], list[Call]] = defaultdict(list)
    for call in calls:
        spots[call.gate, part_of(call.number, moved)].append(call)
    for (gate, _), mine in sorted(spots.items()):
        stopped: list[Call] = []
        for allowed, group in groupby(mine, key=lambda call: call.verdict == ALLOW):
            if not allowed:
                stopped = list(group)
            elif stopped:
                ended = min(next(group).answered or until, until)
                yield Outage(gate, stopped[0].invoked, ended, stopped)
                stopped = []
        if stopped:
            yield Outage(gate, stopped[0].invoked, stopped[-1].invoked, stopped)
