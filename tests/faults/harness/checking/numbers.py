"""What calls saw of each number, against the changes of that number.

An ALLOW saw the number on no list. An ALLOW `override` saw an override of its lead. A BLOCK for a list saw the number
on that list. Other answers say nothing about the number.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from tests.faults.harness.checking.collected import KNOWN, LISTING, NS_PER_MS, History
from tests.faults.harness.checking.effects import Opening, writes_of
from tests.faults.harness.checking.register import Read, Register, State, Undecidable, Write
from tests.faults.harness.checking.violations import Violation
from tests.faults.harness.history import ALLOW, BLOCK, Call, Change, Event, Fault

LISTED = "-dnc"
OVERRIDE, EMERGENCY = "override", "emergency"
MOST_CHANGES_SHOWN = 6


def check_numbers(history: History) -> Iterator[Violation]:
    """Yield each call that saw what no order of the changes explains."""
    writes, calls = writes_of(history), calls_by_number(history.calls)
    stands = standing(history)
    for number, reads in calls.items():
        yield from Number(history, number, writes.get(number, []), reads).violations(stands.get(number, frozenset()))
    for number in writes.keys() - calls.keys():
        yield from Number(history, number, writes[number], []).violations(stands.get(number, frozenset()))


def calls_by_number(calls: Iterable[Call]) -> dict[str, list[Call]]:
    """Return the calls whose answer says something about their number."""
    found: dict[str, list[Call]] = {}
    for call in calls:
        if saw_something(call):
            found.setdefault(call.number, []).append(call)
    return found


def saw_something(call: Call) -> bool:
    """Return whether a call was answered with a verdict that follows from the state of its number."""
    if call.answered is None:
        return False
    return call.reason != EMERGENCY if call.verdict == ALLOW else call.reason.endswith(LISTED)


def standing(history: History) -> dict[str, frozenset[str]]:
    """Return the lists that hold each number in SQL at the end."""
    lists: dict[str, frozenset[str]] = {}
    for entry in history.entries:
        if not entry.lifted:
            lists[entry.number] = lists.get(entry.number, frozenset()) | {entry.list}
    return lists


@dataclass(frozen=True, slots=True)
class AtTheEnd:
    """The last read of a number: SQL at rest, with the lists that hold the number."""

    lists: frozenset[str]


@dataclass(frozen=True, slots=True)
class Number:
    """One number: its writes, and the calls that saw something of it."""

    history: History
    number: str
    writes: Sequence[Write[Change]]
    calls: Sequence[Call]

    def violations(self, stands: frozenset[str]) -> Iterator[Violation]:
        """Yield what no order explains, first with the bound of late answers; most numbers need no second look."""
        end = [AtTheEnd(stands)] if self.history.rested and self.writes else []
        try:
            if wrong := self._unexplained(end, self.history.bound):
                certain = {id(one) for one in self._unexplained(end, None)}
                for one in wrong:
                    yield self._violation(one, late=id(one) not in certain)
        except Undecidable:
            yield Violation("undecided", f"{self.number}: too many changes overlap.", self._changes())

    def _unexplained(self, end: Sequence[AtTheEnd], bound: int | None) -> list[Call | AtTheEnd]:
        reads: list[Read[Call | AtTheEnd]] = [self._read(call, bound) for call in self.calls]
        reads += [self._last_read(one) for one in end]
        if not self.writes:  # Most numbers were never changed, so there is one state.
            return [read.subject for read in reads if not read.fits(frozenset())]
        register: Register[Change, Call | AtTheEnd] = Register(self.writes, reads)
        return [read.subject for read in register.unexplained()]

    def _read(self, call: Call, bound: int | None) -> Read[Call | AtTheEnd]:
        answered = call.answered
        assert answered is not None
        if call.verdict == BLOCK:
            return Read(call, call.invoked, answered, on_list(call.reason.removesuffix(LISTED)))
        began = call.invoked if bound is None else max(call.invoked, self.history.arrived(answered) - bound)
        if call.reason != OVERRIDE:
            return Read(call, began, answered, on_no_list)
        wall = call.wall + (began - call.invoked) // NS_PER_MS
        if any(_overlaps(fault, call) for fault in self.history.steps_of_redis):
            wall = 0
        return Read(call, began, answered, lambda state: is_open(state, call.lead, wall))

    def _last_read(self, end: AtTheEnd) -> Read[Call | AtTheEnd]:
        at = self.history.rested[0].at + 1
        return Read(end, at, at, lambda state: {fact for fact in state if type(fact) is str} == end.lists)

    def _violation(self, one: Call | AtTheEnd, *, late: bool) -> Violation:
        if isinstance(one, AtTheEnd):
            entries = [entry for entry in self.history.entries if entry.number == self.number]
            on = ", ".join(sorted(one.lists)) or "no list"
            return Violation(
                "change-lost",
                f"At the end, SQL has {self.number} on {on}, which no order of its changes explains.",
                (*self._changes(), *entries),
            )
        before = self._changes(one)
        rule = "late-allow" if late else self._rule(one, before)
        how = f"{one.verdict} {one.reason}" + (f" for lead {one.lead}" if one.lead else "")
        return Violation(rule, f"{self.number}: {how} by {one.gate}.", (*before, *self._sight(one, rule), one))

    def _rule(self, call: Call, before: Sequence[Change]) -> str:
        if call.verdict == BLOCK:
            return "false-block"
        if call.reason != OVERRIDE:
            if self._blocked_before(call, 0, frozenset({"in-force"})):
                return "allow-after-block"
            lease = self.history.lease
            return "allow-after-lease" if self._blocked_before(call, lease, KNOWN) else "allow-after-sight"
        grants = [change for change in before if change.kind == "grant" and change.lead == call.lead]
        if not grants:
            return "override-of-nobody"
        return "override-after-revoke" if any(call.wall < grant.expires for grant in grants) else "override-after-end"

    def _blocked_before(self, call: Call, since: int, outcomes: frozenset[str]) -> bool:
        """Return whether a block was answered so, more than `since` before the call, and no lift may have followed."""
        changes = [write.subject for write in self.writes]
        lifts = [change for change in changes if change.kind == "lift" and change.invoked <= (call.answered or 0)]
        return any(
            change.kind in LISTING
            and change.outcome in outcomes
            and change.answered is not None
            and change.answered + since < call.invoked
            and not any(lift.list == change.list and _may_be_later(lift, change) for lift in lifts)
            for change in changes
        )

    def _sight(self, call: Call, rule: str) -> tuple[Event, ...]:
        """Return the earlier call that saw the number on a list, for a call that was allowed after such a sight."""
        if rule != "allow-after-sight":
            return ()
        earlier = (one for one in self.calls if one.verdict == BLOCK and (one.answered or 0) < call.invoked)
        return tuple(sorted(earlier, key=lambda one: one.answered or 0)[-1:])

    def _changes(self, call: Call | None = None) -> tuple[Change, ...]:
        """Return the last changes of the number that the call may have seen."""
        until = (call.answered or 0) if call else None
        changes = [write.subject for write in self.writes if until is None or write.invoked <= until]
        if call is not None and call.reason == OVERRIDE:
            changes = [change for change in changes if change.kind != "lift" and change.lead in {"", call.lead}]
        return tuple(sorted(changes, key=lambda change: change.invoked)[-MOST_CHANGES_SHOWN:])


def _may_be_later(lift: Change, block: Change) -> bool:
    """Return whether a lift may have been committed after a block."""
    return lift.outcome == "unknown" or lift.answered is None or lift.answered >= block.invoked


def _overlaps(fault: Fault, call: Call) -> bool:
    """Return whether a call was under way during a fault."""
    return fault.began <= (call.answered or 0) and (fault.ended is None or call.invoked <= fault.ended)


def on_no_list(state: State) -> bool:
    """Return whether a number in this state is on no list."""
    return not any(type(fact) is str for fact in state)


@cache
def on_list(name: str) -> Callable[[State], bool]:
    """Return the question whether a number is on a list."""
    return lambda state: name in state


def is_open(state: State, lead: str, wall: int) -> bool:
    """Return whether an override opens a number to a lead at a moment (wall milliseconds)."""
    return any(isinstance(fact, Opening) and fact.lead == lead and wall < fact.expires for fact in state)
