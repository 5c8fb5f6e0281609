"""Handmade histories for the tests of the checker: right ones, in which a test then makes one thing wrong.

Times are milliseconds after the beginning of the run.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tests.faults.harness.checker import check
from tests.faults.harness.checking.collected import LISTING, NS_PER_MS
from tests.faults.harness.checking.violations import Violation
from tests.faults.harness.history import (
    ALLOW,
    BLOCK,
    Audited,
    Call,
    Change,
    Entry,
    Event,
    Fault,
    Kind,
    Left,
    Outcome,
    OverrideRow,
    Recorded,
    Rested,
    Run,
    Stalled,
    Verified,
)

WALL = 1_800_000_000_000
DEADLINE_MS, SLACK_MS, LEASE_MS = 100, 50, 10_000
NUMBER, OTHER, FREE = "+14155550100", "+14155550101", "+14155550199"
LEAD = "L-1"
RESTED_MS = 1_000_000
CODES = {"in-force": (0, "in force"), "recorded": (3, "recorded, not yet in force: Redis"), "refused": (1, "refused")}


def ns(ms: float) -> int:
    return int(ms * NS_PER_MS)


class Story:
    """A run as it is told: calls and changes in their order. `events` adds what SQL holds at the end."""

    def __init__(self) -> None:
        self.run = Run("sqlite", 1, "", 0, WALL, DEADLINE_MS, SLACK_MS, LEASE_MS, "python -m x")
        self.calls: list[Call] = []
        self.changes: list[Change] = []
        self.faults: list[Fault] = []
        self.stalls: list[Stalled] = []
        self.unseen: set[int] = set()
        """The changes of unknown outcome that did not happen, by id()."""

    def call(self, at: float, said: str, number: str = NUMBER, lead: str = "", *, took: float = 2, **more: Any) -> Call:
        """Add a call that was answered `said`, such as "ALLOW not-listed"; "" means that it was not answered."""
        verdict, _, reason = said.partition(" ")
        name = f"{len(self.calls)}"
        answered, decision = (ns(at + took), f"d{name}") if said else (None, "")
        call = Call(number, lead, "gate-1", f"u{name}", ns(at), WALL + int(at), answered, verdict, reason, decision)
        self.calls.append(replace(call, **more))
        return self.calls[-1]

    def allow(self, at: float, number: str = NUMBER, **more: Any) -> Call:
        return self.call(at, f"{ALLOW} not-listed", number, **more)

    def block(self, at: float, number: str = NUMBER, **more: Any) -> Call:
        return self.call(at, f"{BLOCK} internal-dnc", number, **more)

    def open(self, at: float, number: str = NUMBER, lead: str = LEAD, **more: Any) -> Call:
        return self.call(at, f"{ALLOW} override", number, lead, **more)

    def change(
        self,
        kind: Kind,
        at: float,
        outcome: Outcome = "in-force",
        *,
        took: float = 2,
        happened: bool = False,
        **more: Any,
    ) -> Change:
        """Add a change. Its id is its place among the changes; one of unknown outcome did not happen, unless it did."""
        code, said = CODES.get(outcome, (None, ""))
        name = "" if outcome in {"unknown", "refused"} or kind != "grant" else f"{len(self.changes)}"
        lead = LEAD if kind in {"grant", "revoke"} else ""
        end = WALL + RESTED_MS * 2 if kind == "grant" else 0
        change = Change(
            kind, "command", (NUMBER,), lead, ns(at), ns(at + took), outcome, code, said, name, end
        )  # fmt: skip
        self.changes.append(replace(change, **more))
        if outcome == "refused" or (outcome == "unknown" and not happened):
            self.unseen.add(id(self.changes[-1]))
        return self.changes[-1]

    def fault(self, at: float, lasted: float = 1000, back_within_s: float = 10, **more: Any) -> Fault:
        self.faults.append(replace(Fault("redis-kill", "redis", "", ns(at), ns(at + lasted), back_within_s), **more))
        return self.faults[-1]

    def stall(self, at: float, lasted: float) -> None:
        self.stalls.append(Stalled(ns(at), ns(at + lasted)))

    def events(self) -> list[Event]:
        return [self.run, *self.calls, *self.changes, *self.faults, *self.stalls, *self._end()]

    def _end(self) -> list[Event]:
        rested = ns(RESTED_MS)
        return [
            Rested(rested), *map(record_of, (call for call in self.calls if call.decision)), *Sql(self).events(),
            Left("dnc:decisions", 0), Verified(rested, 0, "in step"),
        ]  # fmt: skip

    def violations(self, edit: Callable[[list[Event]], list[Event]] = list) -> list[Violation]:
        return check(edit(self.events()))

    def broken(self, edit: Callable[[list[Event]], list[Event]] = list) -> list[str]:
        """Return the slugs of the rules that were broken, one for each violation."""
        return [violation.rule for violation in self.violations(edit)]


class Sql:
    """What SQL holds after the changes of a story, in the order in which they were invoked."""

    def __init__(self, story: Story) -> None:
        self.entries: list[Entry] = []
        self.overrides: dict[str, OverrideRow] = {}
        self.audited: list[Audited] = []
        for change in sorted(story.changes, key=lambda change: change.invoked):
            if id(change) not in story.unseen:
                self._apply(change)

    def events(self) -> Sequence[Event]:
        return [*self.entries, *self.overrides.values(), *self.audited]

    def _apply(self, change: Change) -> None:
        wall = WALL + change.invoked // NS_PER_MS
        if change.kind == "grant":
            name = change.id or f"row-{len(self.overrides)}"
            self.overrides[name] = OverrideRow(name, change.numbers[0], change.lead, wall, change.expires, 0)
            self._audit("grant-override", name)
        for override in (change.id, *change.ended) if change.kind == "revoke" else change.ended:
            self.overrides[override] = replace(self.overrides[override], revoked=wall)
            self._audit("revoke-override", override)
        if change.kind == "import":
            self._audit("import-numbers", f"import-{len(self.audited)}")
        elif change.kind in {"list", "lift"}:
            self._audit("suppress" if change.kind == "list" else "lift", change.numbers[0])
        if change.kind in LISTING:
            for number in change.numbers:
                self._add(number, change, wall)
        if change.kind == "lift":
            self.entries = [
                replace(one, lifted=wall)
                if (one.number, one.list, one.lifted) == (change.numbers[0], change.list, 0) else one
                for one in self.entries
            ]  # fmt: skip

    def _add(self, number: str, change: Change, wall: int) -> None:
        if not any((one.number, one.list, one.lifted) == (number, change.list, 0) for one in self.entries):
            self.entries.append(Entry(f"{len(self.entries)}", number, change.list, change.by, wall, 0))

    def _audit(self, action: str, subject: str) -> None:
        self.audited.append(Audited(len(self.audited), action, subject, WALL))


def record_of(call: Call) -> Recorded:
    return Recorded(
        call.decision, call.number, call.lead, call.verdict, call.reason, call.gate, call.unique_id, call.wall
    )


def edited(kind: type[Event], **values: Any) -> Callable[[list[Event]], list[Event]]:
    """Return the edit that changes fields of the first event of a kind."""

    def edit(events: list[Event]) -> list[Event]:
        at = next(at for at, event in enumerate(events) if type(event) is kind)
        return [*events[:at], replace(events[at], **values), *events[at + 1 :]]

    return edit


def dropped(kind: type[Event], **values: Any) -> Callable[[list[Event]], list[Event]]:
    """Return the edit that leaves out the events of a kind that have these values."""

    def matches(event: Event) -> bool:
        return type(event) is kind and all(getattr(event, name) == value for name, value in values.items())

    return lambda events: [event for event in events if not matches(event)]


def added(*more: Event) -> Callable[[list[Event]], list[Event]]:
    """Return the edit that adds events at the end."""
    return lambda events: [*events, *more]
