"""Redis servers with failover, on loopback: the common part of `lab.cluster` and `lab.sentinel`."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import Protocol, Self

from redis.exceptions import RedisError

from compliance.cluster import NotACluster
from lab.process import NotStarted
from lab.redis import RedisServer

POLL_S = 0.02, 0.1
"""Shortest and longest pause between two looks at the servers. It is a tenth of the time waited so far."""


class Killable(Protocol):
    """A server of any kind."""

    def kill(self) -> None:
        """Kill the server if it is running."""


class Replicated(ABC):
    """Several Redis `servers`, each in its own process."""

    def __init__(self, directory: Path, servers: list[RedisServer]) -> None:
        self.directory, self.servers = directory, servers

    @abstractmethod
    def start(self) -> Self:
        """Start all servers, and wait until replication is in sync and no failover is under way."""

    @abstractmethod
    def until_at_rest(self) -> None:
        """Wait until all living servers see each other as alive and in sync."""

    def until(self, ready: Callable[[], bool], within_s: float = 30.0) -> None:
        """Wait until `ready()` is true; an error counts as false. Raises NotStarted after `within_s` seconds."""
        began = time.monotonic()
        while not _is_true(ready):
            waited = time.monotonic() - began
            if waited > within_s:
                raise NotStarted(f"{type(self).__name__} did not become stable in {self.directory}")
            # A question to all servers costs 10 ms of CPU, which the servers and the product then lack.
            time.sleep(min(max(POLL_S[0], waited / 10), POLL_S[1]))

    def watchers(self) -> Iterable[Killable]:
        """Return the processes that only monitor the servers. `stop` kills them first."""
        return ()

    def stop(self) -> None:
        """Kill all processes. A clean stop is not needed, because their data is discarded."""
        for one in chain(self.watchers(), self.servers):
            one.kill()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()


def _is_true(ready: Callable[[], bool]) -> bool:
    try:
        return ready()
    except (RedisError, OSError, NotStarted, NotACluster):
        return False
