"""Faults of Redis servers: one of those that take writes, unless a fault says otherwise."""

import random
from abc import abstractmethod
from typing import ClassVar

from lab.redis import RedisServer
from tests.faults.harness.faults.fault import CannotBegin, Fault
from tests.faults.harness.redises import AWAY, Replicas
from tests.faults.harness.stack import FaultStack
from tests.faults.harness.stated import FAILED_OVER_S, REBUILT_S, RECONNECT_S


def revive(stack: FaultStack, server: RedisServer) -> None:
    """Start a server again unless it runs; behind Sentinel it follows whoever is the master now."""
    if server.running.exit_code is None:
        return
    if isinstance(stack.redises, Replicas):
        if stack.redises.watched.master is not server:
            stack.redises.watched.revive(server)
            return
        server.options.pop("replicaof", None)
    server.start()


class OnServer(Fault):
    """A fault of one server, which is found when the fault begins."""

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self._at = draw.random()
        self.server: RedisServer | None = None

    def choose(self, stack: FaultStack) -> RedisServer:
        """Find the target."""
        try:
            masters = stack.redises.masters()
        except AWAY as error:
            raise CannotBegin(f"no master is known: {error}") from error
        candidates = self.candidates(stack, masters)
        self.server = candidates[int(self._at * len(candidates))]
        self.target = f"redis-{stack.redises.servers.index(self.server)}"
        return self.server

    @abstractmethod
    def candidates(self, stack: FaultStack, masters: list[RedisServer]) -> list[RedisServer]:
        """Return the servers of which one is the target."""

    @property
    def chosen(self) -> RedisServer:
        """The target."""
        if self.server is None:
            raise CannotBegin("the fault has not begun")
        return self.server


class OnMaster(OnServer):
    """A fault of one master."""

    def candidates(self, stack: FaultStack, masters: list[RedisServer]) -> list[RedisServer]:
        """Return the masters."""
        del stack
        return masters


class RedisKilled(OnMaster):
    """A server is killed and started again with its data; behind Sentinel and in a cluster, after it was replaced."""

    kind, back_within_s, holds_s = "redis-kill", REBUILT_S, (0.2, 2.0)
    redis: ClassVar[tuple[str, ...]] = ("alone",)

    def begin(self, stack: FaultStack) -> None:
        self.choose(stack).running.kill()

    def end(self, stack: FaultStack) -> None:
        revive(stack, self.chosen)


class MasterKilled(RedisKilled):
    kind, back_within_s, holds_s = "master-kill", FAILED_OVER_S, (1.0, 6.0)
    redis = ("sentinel", "cluster")


class RedisPaused(OnMaster):
    """A server stands still and goes on."""

    kind, back_within_s, holds_s = "redis-pause", RECONNECT_S + REBUILT_S, (0.2, 4.0)
    redis: ClassVar[tuple[str, ...]] = ("alone",)

    def begin(self, stack: FaultStack) -> None:
        self.choose(stack).running.pause()

    def end(self, stack: FaultStack) -> None:
        del stack
        self.chosen.running.resume()


class MasterPaused(RedisPaused):
    """A master stands still for about as long as it takes to replace it."""

    kind, back_within_s, holds_s = "master-pause", FAILED_OVER_S, (0.3, 3.0)
    redis = ("sentinel", "cluster")


class RedisRestarted(OnMaster):
    """A server is ended as an operator does, and started again."""

    kind, back_within_s, holds_s = "redis-restart", REBUILT_S, (0.0, 0.0)
    redis = ("alone",)

    def begin(self, stack: FaultStack) -> None:
        self.choose(stack).running.stop()
        revive(stack, self.chosen)
