"""Dialer, PBX and trunk as one line: place calls, and see of each how it ended and what record it left."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lab.asterisk import Asterisk
from lab.sipp import Call, Dialer, Outcome, Trunk

RECORDED_S = 10.0
"""How long the last records may take after the last call."""

UNRECORDED = {0, 404, 484}
"""A call that never came into the dialplan leaves no record."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A call that is over: its outcome at the dialer, and its call-detail record (empty if it left none)."""

    outcome: Outcome
    record: dict[str, str]

    @property
    def status(self) -> int:
        """The final SIP status."""
        return self.outcome.status


class Line:
    """A dialer in front of a running `pbx` and a trunk behind it; their files stand in `directory`."""

    def __init__(self, pbx: Asterisk, directory: Path, trunk: str = "answer") -> None:
        self.pbx = pbx
        self.dialer = Dialer(directory / "dialer", pbx.sip_port)
        self.trunk = Trunk(directory / "trunk", pbx.trunk_port, trunk)

    def place(self, *calls: Call, per_second: float = 50, at_once: int = 500, hold_ms: int = 20) -> list[Placed]:
        """Place the calls and wait for their records, `RECORDED_S` at most. One item per call, in order."""
        before = len(self.pbx.cdr())
        outcomes = self.dialer.dial(calls, per_second=per_second, at_once=at_once, hold_ms=hold_ms)
        return self._recorded(outcomes, before)

    def give_up(self, *calls: Call, after_ms: int) -> list[Placed]:
        """Place the calls and hang up before there is an answer."""
        before = len(self.pbx.cdr())
        return self._recorded(self.dialer.give_up(calls, after_ms=after_ms), before)

    def _recorded(self, outcomes: Sequence[Outcome], before: int) -> list[Placed]:
        """Wait for the records, which the PBX writes after the calls; match them by the caller's name."""
        due = sum(outcome.status not in UNRECORDED for outcome in outcomes)
        until = time.monotonic() + RECORDED_S
        while time.monotonic() < until and (self.pbx.calls() or len(self.pbx.cdr()) - before < due):
            time.sleep(0.02)
        records = {_number(record): record for record in self.pbx.cdr()[before:]}
        return [Placed(outcome, records.get(number, {})) for number, outcome in enumerate(outcomes, start=1)]

    def __enter__(self) -> Self:
        self.trunk.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.trunk.stop()


def _number(record: dict[str, str]) -> int:
    found = re.match(r'"call-(\d+)\b', record["clid"])
    return int(found[1]) if found else 0
