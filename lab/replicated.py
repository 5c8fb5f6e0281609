"""Redis servers that take one another's place, on loopback: what a cluster and Sentinel have in common."""

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
    """A server, of whatever kind."""

    def kill(self) -> None:
        """End it at once, if it runs."""


class Replicated(ABC):
    """Several `servers`; each is ended by its own process id."""

    def __init__(self, directory: Path, servers: list[RedisServer]) -> None:
        self.directory, self.servers = directory, servers

    @abstractmethod
    def start(self) -> Self:
        """Start everything, and wait until it is at rest."""

    @abstractmethod
    def until_at_rest(self) -> None:
        """Wait until each knows all the others."""

    def until(self, ready: Callable[[], bool], within_s: float = 30.0) -> None:
        """Return as soon as `ready()`. Raises NotStarted when that takes longer."""
        deadline = time.monotonic() + within_s
        while not _answered(ready):
            if time.monotonic() > deadline:
                raise NotStarted(f"{type(self).__name__} did not come to rest in {self.directory}")
            time.sleep(0.02)

    def watchers(self) -> Iterable[Killable]:
        """Give those that only look on; they are ended first."""
        return ()

    def stop(self) -> None:
        """End everything at once: what it holds is for nobody."""
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


def _answered(ready: Callable[[], bool]) -> bool:
    try:
        return ready()
    except (RedisError, OSError, NotStarted, NotACluster):
        return False
