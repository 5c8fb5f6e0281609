"""Faults of the product's own programs."""

import random
from typing import ClassVar

from tests.faults.harness.faults.fault import Fault
from tests.faults.harness.stack import GATES, FaultStack
from tests.faults.harness.stated import FORWARD_S, REBUILT_S, START_S


class _OfProgram(Fault):
    names: ClassVar[tuple[str, ...]]

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self.target = draw.choice(self.names)


class _Killed(_OfProgram):
    """The program is killed, and started again a while later."""

    def begin(self, stack: FaultStack) -> None:
        stack.programs[self.target].kill()

    def end(self, stack: FaultStack) -> None:
        stack.programs[self.target].start()


class GateKilled(_Killed):
    kind, names, back_within_s = "gate-kill", GATES, START_S


class WorkerKilled(_Killed):
    kind, names, back_within_s = "worker-kill", ("worker",), START_S + REBUILT_S
    holds_s = (0.5, 6.0)


class SiteKilled(_Killed):
    kind, names, back_within_s = "site-kill", ("site",), FORWARD_S


class _Paused(_OfProgram):
    """The program stands still (SIGSTOP), and goes on a while later."""

    holds_s = (0.2, 5.0)

    def begin(self, stack: FaultStack) -> None:
        stack.programs[self.target].pause()

    def end(self, stack: FaultStack) -> None:
        stack.programs[self.target].resume()


class GatePaused(_Paused):
    kind, names, back_within_s = "gate-pause", GATES, FORWARD_S


class WorkerPaused(_Paused):
    kind, names, back_within_s = "worker-pause", ("worker",), REBUILT_S
    holds_s = (0.5, 14.0)


class SitePaused(_Paused):
    kind, names, back_within_s = "site-pause", ("site",), FORWARD_S


class _Restarted(_OfProgram):
    """The program is ended as an operator does (SIGTERM) and started again at once."""

    holds_s = (0.0, 0.0)

    def begin(self, stack: FaultStack) -> None:
        stack.programs[self.target].stop()
        stack.programs[self.target].start()


class GateRestarted(_Restarted):
    kind, names, back_within_s = "gate-restart", GATES, START_S


class WorkerRestarted(_Restarted):
    kind, names, back_within_s = "worker-restart", ("worker",), START_S + REBUILT_S


class SiteRestarted(_Restarted):
    kind, names, back_within_s = "site-restart", ("site",), FORWARD_S
