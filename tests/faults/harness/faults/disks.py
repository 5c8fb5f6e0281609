"""Full disks of Redis."""

from typing import ClassVar

from tests.faults.harness.faults.fault import CannotBegin
from tests.faults.harness.faults.servers import OnMaster, revive
from tests.faults.harness.redises import client_of
from tests.faults.harness.stack import FaultStack
from tests.faults.harness.stated import FAILED_OVER_S, REBUILT_S, RECONNECT_S


class RedisDiskFull(OnMaster):
    """The disk of Redis is full. With `appendfsync always` Redis ends itself, and an operator starts it again."""

    kind, back_within_s, holds_s = "redis-disk-full", REBUILT_S, (0.5, 4.0)
    redis: ClassVar[tuple[str, ...]] = ("alone",)
    fsync: ClassVar[str] = "always"

    def begin(self, stack: FaultStack) -> None:
        server = self.choose(stack)
        if self.target not in stack.disks:
            raise CannotBegin("this machine allows no mounts of its own")
        with client_of(server) as client:
            client.config_set("appendfsync", self.fsync)
        stack.disks[self.target].fill()

    def end(self, stack: FaultStack) -> None:
        stack.disks[self.target].free()
        revive(stack, self.chosen)


class RedisDiskFullEverysec(RedisDiskFull):
    """The same with `appendfsync everysec`: Redis refuses every write (MISCONF) until the disk has room."""

    kind, back_within_s, fsync = "redis-disk-full-everysec", RECONNECT_S + REBUILT_S, "everysec"

    def end(self, stack: FaultStack) -> None:
        super().end(stack)
        with client_of(self.chosen) as client:
            client.config_set("appendfsync", "always")


class MasterDiskFull(RedisDiskFull):
    """The disk of a master is full: it ends itself and is replaced."""

    kind, back_within_s, redis = "master-disk-full", FAILED_OVER_S, ("sentinel", "cluster")


class MasterDiskFullEverysec(RedisDiskFullEverysec):
    """A master refuses every write, and PING as well: Sentinel replaces it. The nodes of a cluster do not notice."""

    kind, back_within_s, redis = "master-disk-full-everysec", FAILED_OVER_S, ("sentinel", "cluster")
