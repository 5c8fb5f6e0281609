"""What every fault has: its kind and target, how long it lasts, and how soon calls are back after its end."""

import random
from abc import ABC, abstractmethod
from typing import ClassVar

from tests.faults.harness.setting import Configuration
from tests.faults.harness.stack import FaultStack


class CannotBegin(Exception):
    """The fault cannot happen on this machine or at this moment. The message says why."""


class Fault(ABC):
    """One fault of a kind. `target` says what it hits; a class may find it only when it begins."""

    kind: ClassVar[str]
    back_within_s: ClassVar[float]
    holds_s: ClassVar[tuple[float, float]] = (0.5, 3.0)
    """The shortest and longest time from beginning to end; (0, 0) if the fault is over at once."""

    redis: ClassVar[tuple[str, ...]] = ("alone", "sentinel", "cluster")
    """The kinds of Redis for which there is this fault."""

    destroys: ClassVar[bool] = False
    """Whether decisions that stand in one Redis alone may be lost."""

    wrong_wall: ClassVar[bool] = False

    def __init__(self, draw: random.Random) -> None:
        self.target = ""
        self.hold_s = draw.uniform(*self.holds_s)
        self.loses_from: int | None = None

    @classmethod
    def fits(cls, configuration: Configuration) -> bool:
        """Return whether a configuration can have this fault."""
        return configuration.redis in cls.redis

    @abstractmethod
    def begin(self, stack: FaultStack) -> None:
        """Make it happen. Raises CannotBegin."""

    def end(self, stack: FaultStack) -> None:
        """End it. A fault that is over at once has nothing to end."""
        del stack
