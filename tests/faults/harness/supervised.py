"""A program of the product under a supervisor, as an operator would run it."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.process import Process
from tests.faults.harness.clocks import Clock
from tests.support.programs import Program

AGAIN_S = 0.5
"""Seconds after which the supervisor starts a program again that ended by itself."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that ended although nobody ended it."""

    name: str
    code: int
    said: str


class Supervised:
    """A program that is started again whenever it ends by itself. `kill` keeps it down until `start`.

    Only the thread that starts a program may be the one that outlives it: the kernel ends a child with the thread that
    began it (prctl(2), PR_SET_PDEATHSIG).
    """

    def __init__(
        self,
        name: str,
        package: str,
        words: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        clock: Clock | None = None,
    ) -> None:
        self.name, self.log, self._clock = name, log, clock
        self._package, self._words, self._environment = package, words, environment
        self._process: Process | None = None
        self._due = 0.0
        self.ended: list[Ended] = []

    @property
    def running(self) -> Process:
        """The process that was started last."""
        if self._process is None:
            raise RuntimeError(f"{self.name} has not been started")
        return self._process

    def start(self) -> None:
        """Start the program without waiting for it, unless it runs."""
        if self._process is None or self._process.exit_code is not None:
            self._process = self._begin()
        self._due = 0.0

    def _begin(self) -> Process:
        if self._clock is None:
            return Program(self._package, self._words, self.log, self._environment)
        # A fork has the libraries of the process that it was forked from.
        environment = {**self._environment, **self._clock.environment}
        return Process([sys.executable, "-m", self._package, *self._words], self.log, environment)

    def tend(self) -> None:
        """Start the program again if it ended by itself a while ago."""
        if self._process is None or (code := self._process.exit_code) is None:
            return
        now = time.monotonic()
        if not self._due:
            self.ended.append(Ended(self.name, code, self._process.last_line()))
            self._due = now + AGAIN_S
        elif now >= self._due:
            self.start()

    def pause(self) -> None:
        """Suspend the program (SIGSTOP)."""
        if self._process is not None:
            self._process.pause()

    def resume(self) -> None:
        """Resume the program (SIGCONT)."""
        if self._process is not None:
            self._process.resume()

    def kill(self) -> None:
        """Kill the program (SIGKILL), and keep it down until `start`."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    def stop(self) -> None:
        """End the program as an operator does (SIGTERM), and keep it down until `start`."""
        process, self._process = self._process, None
        if process is not None:
            process.stop()
