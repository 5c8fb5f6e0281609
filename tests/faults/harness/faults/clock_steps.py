"""Steps of the wall clock of a program."""

import random

from tests.faults.harness.faults.fault import CannotBegin, Fault
from tests.faults.harness.stack import CLOCKED, FaultStack
from tests.faults.harness.stated import FORWARD_S

STEPS_S = (-86_400.0, -3600.0, -60.0, -5.0, 5.0, 60.0, 3600.0, 86_400.0)


class _Stepped(Fault):
    """The clock of a program steps, and steps back a while later."""

    back_within_s, holds_s, wrong_wall = FORWARD_S, (2.0, 14.0), True

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self._step_s = draw.choice(STEPS_S)

    def begin(self, stack: FaultStack) -> None:
        program = self.target
        if program not in stack.clocks:
            raise CannotBegin("no C compiler: install the package gcc")
        stack.clocks[program].step(self._step_s)
        self.target = f"{program} {self._step_s:+g} s"

    def end(self, stack: FaultStack) -> None:
        stack.clocks[self.target.split()[0]].step(0)


class GateClock(_Stepped):
    kind = "gate-clock"

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self.target = CLOCKED[0]


class WorkerClock(_Stepped):
    kind = "worker-clock"

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self.target = CLOCKED[1]
