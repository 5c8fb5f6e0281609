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
        deadline = time.monotonic() + within_s
        while not _is_true(ready):
            if time.monotonic() > deadline:
                raise NotStarted(f"{type(self).__name__} did not become stable in {self.directory}")
            time.sleep(0.02)

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
