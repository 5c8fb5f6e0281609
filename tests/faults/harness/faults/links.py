"""Faults of the network: one program and its Redis, or behind Sentinel a master and everybody else."""

import random
from typing import ClassVar

from tests.faults.harness.faults.fault import CannotBegin, Fault
from tests.faults.harness.faults.servers import OnMaster
from tests.faults.harness.network import Mode, Network
from tests.faults.harness.stack import FaultStack
from tests.faults.harness.stated import DEADLINE_MS, FAILED_OVER_S, REBUILT_S, RECONNECT_S

ENDS = ("gate-a", "gate-b", "gate-a", "gate-b", "worker", "site")
LATE_MS = (20.0, 2.0 * DEADLINE_MS)


def _network(stack: FaultStack) -> Network:
    if stack.redises.network is None:
        raise CannotBegin("this configuration has no network of its own")
    return stack.redises.network


class _Disturbed(Fault):
    """The link of `target` is in another mode for a while."""

    mode: ClassVar[Mode]
    late_ms = LATE_MS[0]

    def begin(self, stack: FaultStack) -> None:
        _network(stack).set(self.target, self.mode, self.late_ms)

    def end(self, stack: FaultStack) -> None:
        _network(stack).set(self.target, "open")


class _OfLink(_Disturbed):
    """The link of one program."""

    back_within_s, holds_s, redis = RECONNECT_S, (0.3, 5.0), ("alone",)

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self.target = draw.choice(ENDS)
        self.late_ms = draw.uniform(*LATE_MS)


class LinkCut(_OfLink):
    kind, mode = "link-cut", "cut"


class LinkSilent(_OfLink):
    kind, mode = "link-silent", "silent"


class LinkDeaf(_OfLink):
    """Half open: what the program sends arrives, and no answer comes back."""

    kind, mode = "link-half-open", "deaf"


class LinkLate(_OfLink):
    kind, mode = "link-delay", "late"


class _OfMaster(_Disturbed, OnMaster):
    """The link of a master, for its replicas too, and for the sentinels."""

    back_within_s, holds_s, redis = FAILED_OVER_S, (0.3, 4.0), ("sentinel", "cluster")

    def begin(self, stack: FaultStack) -> None:
        self.choose(stack)
        super().begin(stack)


class MasterCut(_OfMaster):
    kind, mode = "master-cut", "cut"


class MasterSilent(_OfMaster):
    kind, mode = "master-silent", "silent"


class MasterDeaf(_OfMaster):
    kind, mode = "master-half-open", "deaf"


class MasterLate(_OfMaster):
    kind, mode, back_within_s = "master-delay", "late", RECONNECT_S + REBUILT_S
