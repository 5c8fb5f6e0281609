"""The summary of runs: what was run, what was disturbed, how long calls stopped, and what the checker reports."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from tests.faults.harness.checking.collected import History
from tests.faults.harness.checking.outages import (
    NS_PER_S,
    Outage,
    callable_calls,
    must_be_back,
    outages,
    wrongly_blocked,
)
from tests.faults.harness.checking.records import missing_records
from tests.faults.harness.checking.violations import Violation
from tests.faults.harness.history import Fault, Run

COLUMNS = (
    "configuration", "minutes", "calls", "faults", "changes", "wrongly blocked", "lost with Redis", "violations",
    "seed", "command",
)  # fmt: skip

UNNAMED = Run("", 0, "", 0, 0, 0, 0)
"""The run of a history that does not say what it is of."""


@dataclass(frozen=True, slots=True)
class KindOfFault:
    """All faults of one kind: how many, the longest outage after one of them, and the longest stated time (seconds)."""

    count: int = 0
    longest_outage_s: float = 0.0
    stated_s: float = 0.0

    def __add__(self, other: "KindOfFault") -> "KindOfFault":
        return KindOfFault(
            self.count + other.count,
            max(self.longest_outage_s, other.longest_outage_s),
            max(self.stated_s, other.stated_s),
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one run, or of several together.

    `lost_with_redis` are records that stood only in a Redis that a fault destroyed. `lost_blocks` are other blocked
    calls without a record.
    """

    runs: tuple[Run, ...]
    seconds: float
    calls: int
    allowed: int
    unanswered: int
    changes: int
    wrongly_blocked: int
    lost_with_redis: int
    lost_blocks: int
    faults: dict[str, KindOfFault] = field(default_factory=dict)
    violations: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Summary") -> "Summary":
        kinds = sorted({*self.faults, *other.faults})
        none = KindOfFault()
        return Summary(
            self.runs + other.runs,
            self.seconds + other.seconds,
            self.calls + other.calls,
            self.allowed + other.allowed,
            self.unanswered + other.unanswered,
            self.changes + other.changes,
            self.wrongly_blocked + other.wrongly_blocked,
            self.lost_with_redis + other.lost_with_redis,
            self.lost_blocks + other.lost_blocks,
            {kind: self.faults.get(kind, none) + other.faults.get(kind, none) for kind in kinds},
            self.violations + other.violations,
        )

    @property
    def number_of_faults(self) -> int:
        """How many faults there were."""
        return sum(kind.count for kind in self.faults.values())


def summarize(history: History, violations: Iterable[Violation]) -> Summary:
    """Return the figures of one run."""
    missing = missing_records(history)
    ends = [call.answered or call.invoked for call in history.calls]
    return Summary(
        tuple(history.runs),
        (max(ends) - history.runs[0].began) / NS_PER_S if ends and history.runs else 0.0,
        len(history.calls),
        sum(call.verdict == "ALLOW" for call in history.calls),
        sum(call.answered is None for call in history.calls),
        len(history.changes),
        len(wrongly_blocked(history)),
        len(missing.excused),
        len(missing.blocks),
        kinds_of_faults(history),
        Counter(violation.rule for violation in violations),
    )


def kinds_of_faults(history: History) -> dict[str, KindOfFault]:
    """Return the faults by kind, each with the longest outage after one of them."""
    kinds: dict[str, KindOfFault] = {}
    for fault in history.faults:
        kinds[fault.kind] = kinds.get(fault.kind, KindOfFault()) + KindOfFault(1, 0.0, fault.back_within_s)
    for outage in outages(callable_calls(history), history.moved):
        lasted = outage.seconds - history.stalled(outage.began, outage.ended) / NS_PER_S
        for fault in _causes(outage, history):
            kinds[fault.kind] += KindOfFault(0, lasted, 0.0)
    return dict(sorted(kinds.items()))


def _causes(outage: Outage, history: History) -> list[Fault]:
    """Return the last fault that began before an outage, with the other one of its pair; none if it was over by then.

    A call may have been under way for a while when the fault stopped it.
    """
    began = [fault for fault in history.faults if fault.began - history.bound <= outage.began <= must_be_back(fault)]
    if not began:
        return []
    last = max(began, key=attrgetter("began"))
    return [fault for fault in began if fault is last or (last.pair and fault.pair == last.pair)]


def markdown(summaries: Sequence[Summary]) -> Iterator[str]:
    """Yield the lines of the summary: a table of the runs with their sum, and a table of the faults."""
    whole = total(summaries)
    yield f"| {' | '.join(COLUMNS)} |"
    yield f"|{' --- |' * len(COLUMNS)}"
    for one in summaries:
        run = one.runs[0] if one.runs else UNNAMED
        yield _row(run.configuration, one, str(run.seed), f"`{run.command}`")
    yield _row("**all**", whole)
    yield ""
    yield "| fault | times | longest outage | calls must be back |"
    yield "| --- | --- | --- | --- |"
    for kind, those in whole.faults.items():
        yield f"| {kind} | {those.count} | {those.longest_outage_s:.1f} s | {those.stated_s:.0f} s after its end |"
    for rule, count in sorted(whole.violations.items()):
        yield ""
        yield f"{rule}: {count:,} violations"


def total(summaries: Sequence[Summary]) -> Summary:
    """Return the sum of all runs."""
    return sum(summaries, start=Summary((), 0.0, 0, 0, 0, 0, 0, 0, 0))


def _row(configuration: str, one: Summary, seed: str = "", command: str = "") -> str:
    cells = (
        configuration, f"{one.seconds / 60:.1f}", f"{one.calls:,}", f"{one.number_of_faults:,}", f"{one.changes:,}",
        f"{one.wrongly_blocked:,}", f"{one.lost_with_redis:,}", f"{one.violations.total():,}", seed, command,
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"
