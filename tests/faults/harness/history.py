"""The history of one run under faults: every operation, every answer and every fault, with its times.

Times are integer nanoseconds of the harness's CLOCK_MONOTONIC. Fields named `wall` and `expires` are milliseconds since
1970 UTC. A file holds one event per line: a JSON array of the event's name and its fields, in their order.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from sys import intern
from typing import Any, Literal, Self

ALLOW, BLOCK = "ALLOW", "BLOCK"

Kind = Literal["list", "lift", "grant", "revoke", "import"]
Outcome = Literal["in-force", "recorded", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class Run:
    """What the run was: the first event of its history.

    `deadline_ms` is the gates' deadline and `slack_ms` what the harness adds for a busy machine. `lease_ms` is the
    lease of the projection, 0 if it is turned off. `wall` is the wall clock at `began`. `command` makes the run again.
    """

    configuration: str
    seed: int
    revision: str
    began: int
    wall: int
    deadline_ms: int
    slack_ms: int
    lease_ms: int = 0
    command: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One question to a gate. Without an answer, `answered` is None and the rest is empty.

    `wall` is the wall clock when the call was invoked.
    """

    number: str
    lead: str
    gate: str
    unique_id: str
    invoked: int
    wall: int
    answered: int | None = None
    verdict: str = ""
    reason: str = ""
    decision: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One change that a person or a program asked for.

    `by` is the way in: api, site or command. `code` is the HTTP status or the exit code (None without an answer), and
    `said` the words of the answer. `id` is the entry or the override: the one that a grant made, or that a revocation
    named. `expires` is the end of a granted override. `list` is the name of the list. `ended` are the overrides that
    the change ended, as its answer says.
    """

    kind: Kind
    by: str
    numbers: tuple[str, ...]
    lead: str
    invoked: int
    answered: int | None
    outcome: Outcome
    code: int | None
    said: str
    id: str = ""
    expires: int = 0
    list: str = "internal"
    ended: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. Calls must be back `back_within_s` after its end.

    `pair` is the name that two faults at one time share, else empty. If the fault destroys a Redis, `loses_from` is the
    time from which a decision may have stood in that Redis alone: for an older copy the time of the copy, else `began`
    less the window that the product states. `wrong_wall` says that a clock was stepped. `ended` is None if it
    never ended.
    """

    kind: str
    target: str
    pair: str
    began: int
    ended: int | None
    back_within_s: float
    loses_from: int | None = None
    wrong_wall: bool = False


@dataclass(frozen=True, slots=True)
class Stalled:
    """The harness itself stood still, because the machine was busy. What arrived meanwhile was seen at the end only."""

    began: int
    ended: int


@dataclass(frozen=True, slots=True)
class Rested:
    """All faults are over, all changes were answered, and the product had its time: everything must be at rest now."""

    at: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """One row of decisions in SQL at the end. `unique_id` is the PBX's name of the call."""

    decision: str
    number: str
    lead: str
    verdict: str
    reason: str
    gate: str
    unique_id: str
    wall: int


@dataclass(frozen=True, slots=True)
class Audited:
    """One audit event in SQL at the end."""

    id: int
    action: str
    subject: str
    wall: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One suppression entry in SQL at the end. `lifted` is 0 while the entry stands."""

    id: str
    number: str
    list: str
    source: str
    added: int
    lifted: int


@dataclass(frozen=True, slots=True)
class OverrideRow:
    """One override in SQL at the end. `revoked` is 0 if it was never revoked."""

    id: str
    number: str
    lead: str
    granted: int
    expires: int
    revoked: int


@dataclass(frozen=True, slots=True)
class Left:
    """What was left at rest in one place (a stream, the outbox) although it must be empty."""

    where: str
    count: int


@dataclass(frozen=True, slots=True)
class Lost:
    """How many records of blocked calls the product itself reports as lost, by gate, at the end."""

    gate: str
    count: int


@dataclass(frozen=True, slots=True)
class Verified:
    """The answer of `dnc-admin verify` after rest."""

    at: int
    code: int
    said: str


Event = (
    Run | Call | Change | Fault | Stalled | Rested | Recorded | Audited | Entry | OverrideRow | Left | Lost | Verified
)
_TYPES: tuple[type[Event], ...] = (
    Run, Call, Change, Fault, Stalled, Rested, Recorded, Audited, Entry, OverrideRow, Left, Lost, Verified,
)  # fmt: skip
_BY_NAME = {type_.__name__: type_ for type_ in _TYPES}
_VALUES = {type_: attrgetter(*(field.name for field in fields(type_))) for type_ in _TYPES}


class UnreadableHistory(Exception):
    """A line of the file is no event."""


class Recorder:
    """Appends events to a file, for use in one thread. `flush` makes what was recorded survive the harness."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def record(self, *events: Event) -> None:
        """Append the events."""
        self._file.writelines(line(event) for event in events)

    def flush(self) -> None:
        """Hand everything recorded to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def line(event: Event) -> str:
    """Return the line of a file that holds this event."""
    values: Any = _VALUES[type(event)](event)
    values = values if isinstance(values, tuple) and len(fields(event)) > 1 else (values,)
    return json.dumps([type(event).__name__, *values], separators=(",", ":")) + "\n"


def read(path: Path) -> Iterator[Event]:
    """Yield the events of a file in their order. Raise `UnreadableHistory` with the number of a broken line."""
    with path.open(encoding="utf-8") as file:
        yield from parsed(file)


def parsed(lines: Iterable[str]) -> Iterator[Event]:
    """Yield the event of each line."""
    for at, text in enumerate(lines, start=1):
        try:
            yield _event(*json.loads(text))
        except (ValueError, TypeError, KeyError) as error:
            raise UnreadableHistory(f"Line {at} is no event: {text[:80]!r}") from error


def _event(name: str, *values: Any) -> Event:
    # A million calls share a few thousand numbers, leads and reasons. Interned, they take a third of the memory.
    shared: list[Any] = [intern(value) if type(value) is str else value for value in values]
    if name == "Change":
        shared = [tuple(value) if type(value) is list else value for value in shared]
    return _BY_NAME[name](*shared)
