"""Carries out the schedule: one step after the other, each followed by a rest in which calls must come back."""

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.faults.harness import history
from tests.faults.harness.back import Watch
from tests.faults.harness.disks import NoOwnMounts
from tests.faults.harness.faults.fault import CannotBegin, Fault
from tests.faults.harness.redises import AWAY
from tests.faults.harness.repair import repair
from tests.faults.harness.schedule import Step
from tests.faults.harness.stack import FaultStack
from tests.faults.harness.stated import SLOWNESS

REST_S = 1.0
"""Seconds for which calls go on undisturbed before the next step."""

REPAIRED_WITHIN_S = 30.0
TROUBLES = (*AWAY, NoOwnMounts, subprocess.TimeoutExpired)
"""What a fault may meet when another fault is under way."""

PATIENCE = 2.0
"""How many times the stated time a run waits for calls before it goes on with the next step."""


@dataclass
class Conductor:
    """Makes the faults of a run happen. `record` gets each of them when it is over, `say` a line about it."""

    stack: FaultStack
    watch: Watch
    record: Callable[[history.Fault], None]
    say: Callable[[str], None]
    skipped: list[str] = field(default_factory=list)

    def play(self, steps: Sequence[Step], over_s: float) -> None:
        """Carry out the steps, spread over `over_s` seconds; longer, if calls need longer to come back."""
        began = time.monotonic()
        for at, step in enumerate(steps):
            due = began + over_s * at / len(steps)
            self.stack.rest(max(REST_S, due - time.monotonic()))
            self._step(step)

    def _step(self, step: Step) -> None:
        begun: list[tuple[Fault, int, float]] = []
        for fault in step.faults:
            began = time.monotonic_ns()
            if self._begins(fault):
                begun.append((fault, began, time.monotonic() + fault.hold_s))
        for fault, began, until in sorted(begun, key=lambda one: one[2]):
            self.stack.rest(max(0.0, until - time.monotonic()))
            self._end(fault, began, step.pair)
        if begun:
            if not self.stack.wait_for(lambda: repair(self.stack), REPAIRED_WITHIN_S):
                self.say("not everything runs again")
            self._until_back(max(fault.back_within_s for fault, _, _ in begun) * SLOWNESS)

    def _begins(self, fault: Fault) -> bool:
        """Begin a fault. What failed half-way counts as begun: some of it happened."""
        try:
            fault.begin(self.stack)
        except CannotBegin as error:
            self.skipped.append(f"{fault.kind}: {error}")
            self.say(f"{fault.kind} skipped: {error}")
            return False
        except TROUBLES as error:
            self.say(f"{fault.kind} of {fault.target} began in part: {error!r}")
        return True

    def _end(self, fault: Fault, began: int, pair: str) -> None:
        try:
            fault.end(self.stack)
        except TROUBLES as error:
            self.say(f"{fault.kind} of {fault.target} ended in part: {error!r}")
        ended = time.monotonic_ns()
        event = history.Fault(
            fault.kind, fault.target, pair, began, ended, fault.back_within_s * SLOWNESS,
            fault.loses_from, fault.wrong_wall,
        )  # fmt: skip
        self.record(event)
        self.say(f"{fault.kind} of {fault.target}{f', {pair}' if pair else ''}: {(ended - began) / 1e9:.1f} s")

    def _until_back(self, within_s: float) -> None:
        """Wait until calls are back and the servers of Redis agree."""
        began = time.monotonic()
        self.watch.forget(time.monotonic_ns())
        back = self.stack.wait_for(self.watch.back, within_s * PATIENCE)
        took = time.monotonic() - began
        self.say(f"calls are back after {took:.1f} s" if back else f"calls are not back after {took:.1f} s")
        try:
            self.stack.redises.until_at_rest()
        except AWAY as error:
            self.say(f"Redis is not at rest: {error}")
