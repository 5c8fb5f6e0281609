"""A dialer, a PBX and a trunk, connected in series: place calls, and return each call's outcome and CDR."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lab.asterisk import Asterisk
from lab.sipp import Call, Dialer, Outcome, Trunk

RECORDED_S = 30.0
"""Maximum wait in seconds, after the last call, for the last call-detail records."""

UNRECORDED = {0, 404, 484}
"""Final SIP statuses of calls that never entered the dialplan and so have no record. 0 means that no status came."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A finished call: its outcome at the dialer, and its call-detail record (empty if there is none)."""

    outcome: Outcome
    record: dict[str, str]

    @property
    def status(self) -> int:
        """The final SIP status."""
        return self.outcome.status


class Line:
    """A dialer in front of a running `pbx` and a trunk behind it. Both keep their files in `directory`."""

    def __init__(self, pbx: Asterisk, directory: Path, trunk: str = "answer") -> None:
        self.pbx = pbx
        self.dialer = Dialer(directory / "dialer", pbx.sip_port)
        self.trunk = Trunk(directory / "trunk", pbx.trunk_port, trunk)

    def place(self, *calls: Call, per_second: float = 50, at_once: int = 500, hold_ms: int = 20) -> list[Placed]:
        """Place the calls and wait for their records, at most `RECORDED_S`. Return one item per call, in order."""
        before = len(self.pbx.cdr())
        outcomes = self.dialer.dial(calls, per_second=per_second, at_once=at_once, hold_ms=hold_ms)
        return self._recorded(outcomes, before)

    def give_up(self, *calls: Call, after_ms: int) -> list[Placed]:
        """Place the calls, and cancel each after `after_ms`, before it is answered. Return one item per call."""
        before = len(self.pbx.cdr())
        return self._recorded(self.dialer.give_up(calls, after_ms=after_ms), before)

    def _recorded(self, outcomes: Sequence[Outcome], before: int) -> list[Placed]:
        """Wait until the PBX has written the records, and match them to the calls by the caller's name, `call-N`."""
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
