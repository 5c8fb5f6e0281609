"""The decisions that a gate could not keep: how many, from when until when, as a record of their own."""

from datetime import datetime

import structlog

from agi_gate.decision_id import DecisionIds
from compliance.redis_schema import EPOCH
from compliance.verdict import RECORDS_LOST, Decision, block

log = structlog.get_logger()


class Loss:
    """The decisions of `gate` that were lost since the last record of a loss."""

    def __init__(self, gate: str) -> None:
        self._gate, self._ids = gate, DecisionIds()
        self.total = self._many = 0
        self._id = ""
        self._first = self._last = EPOCH

    def add(self, first: datetime, last: datetime, many: int = 1) -> None:
        """Add `many` lost decisions."""
        if not self._many:
            log.error("decisions lost: too many wait to be recorded", gate=self._gate)
            self._first, self._last, self._id = first, last, self._ids.next(first)
        self._many += many
        self.total += many
        self._first, self._last = min(self._first, first), max(self._last, last)

    def decision(self) -> Decision:
        """Return the record of the loss so far."""
        detail = f"{self._many} calls until {self._last:%Y-%m-%dT%H:%M:%SZ}"
        return Decision(self._id, self._first, block(RECORDS_LOST, detail), "", "", "", "", 0, self._gate)

    def take(self) -> Decision | None:
        """Return the record of the loss, and begin a new one. Return None if nothing was lost."""
        if not self._many:
            return None
        decision, self._many = self.decision(), 0
        log.error("loss of decisions goes on record", decision=decision.id, detail=decision.ruling.detail)
        return decision
