"""A short run by a script: the real programs, one caller, and a history that is checked like that of a long run."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agi_gate.canary import NoAnswer
from lab.process import Process
from lab.redis import RedisServer
from tests.faults.harness.checker import check
from tests.faults.harness.checking.violations import Violation
from tests.faults.harness.history import ALLOW, BLOCK, Call, Change, Event, Fault, Outcome, Rested, Run, Verified
from tests.faults.harness.sql_facts import left_in, lost, rows
from tests.support.asterisk import GateProcess
from tests.support.programs import Program, run
from tests.support.stack import Stack

DEADLINE_MS, SLACK_MS = 1000, 1000
PATCHED = "tests.faults.harness.patched"
OUTCOMES: dict[int, Outcome] = {0: "in-force", 3: "recorded"}
REST_WITHIN_S = 60.0
BACK_WITHIN_S = 60.0


class PatchedGate(GateProcess):
    """A gate that is broken by a patch."""

    patch = ""

    def begin(self, words: list[str], log: Path, environment: dict[str, str]) -> Process:
        """Start the gate."""
        if not self.patch:
            return super().begin(words, log, environment)
        return Program(PATCHED, [self.patch, "agi_gate", *words], log, environment)


class ScriptedRun(Stack):
    """One gate, one worker, and commands, in which `patch` breaks the gate and the commands if it is not empty."""

    def __init__(self, directory: Path, redis: RedisServer, patch: str = "", lease_s: float = 60) -> None:
        settings = {"DNC_DEADLINE_MS": str(DEADLINE_MS), "DNC_LEASE_S": str(lease_s)}
        super().__init__(directory, redis, f"sqlite:///{directory / 'dnc.sqlite3'}", **settings)
        self.patch, self.lease_s = patch, lease_s
        began, wall = time.monotonic_ns(), _wall()
        self.events: list[Event] = [Run("scripted", 0, "", began, wall, DEADLINE_MS, SLACK_MS, int(lease_s * 1000))]
        self._ids = itertools.count(1)

    def start_gate(self) -> GateProcess:
        """Start the gate, at the address of the one before."""
        before, binds = self.gate, {}
        if before is not None:
            binds = {"DNC_AGI_BIND": f"127.0.0.1:{before.port}"}
        kind = type("Patched", (PatchedGate,), {"patch": self.patch})
        self.gate = kind(self.directory, self.redis.url, **{**self.environment, **binds})
        self.gate.port = before.port if before is not None else self.gate.port
        return self.gate

    def call(self, number: str, lead: str = "") -> Call:
        """Place one call, and record it."""
        assert self.gate is not None
        unique_id = f"call-{next(self._ids)}.1"
        wall, invoked = _wall(), time.monotonic_ns()
        call = Call(number, lead, "gate", unique_id, invoked, wall)
        try:
            answer = self.gate.screen(number, lead, unique_id)
        except (OSError, NoAnswer):
            pass
        else:
            verdict = ALLOW if answer.allowed else BLOCK
            now = time.monotonic_ns()
            call = Call(number, lead, "gate", unique_id, invoked, wall, now, verdict, answer.reason, answer.decision)
        self.events.append(call)
        return call

    def suppress(self, number: str, **settings: str) -> Change:
        """List a number by a command, with other settings if they are given, and record it."""
        words = ["suppress", number]
        package, words = (PATCHED, [self.patch, "admin_web", *words]) if self.patch else ("admin_web", words)
        invoked = time.monotonic_ns()
        ended = run(package, words, {**self.environment, **settings})
        change = Change(
            "list", "command", (number,), "", invoked, time.monotonic_ns(),
            OUTCOMES.get(ended.returncode, "unknown"), ended.returncode, ended.stdout + ended.stderr,
        )  # fmt: skip
        self.events.append(change)
        return change

    @contextmanager
    def fault(self, kind: str, target: str, *, loses_from: int | None = None) -> Iterator[None]:
        """Record a fault that begins and ends with the block."""
        began = time.monotonic_ns()
        yield
        self.events.append(Fault(kind, target, "", began, time.monotonic_ns(), BACK_WITHIN_S, loses_from))

    def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is true."""
        deadline = time.monotonic() + REST_WITHIN_S
        while not true():
            assert time.monotonic() < deadline, "not at rest in time"
            time.sleep(0.02)

    def violations(self) -> list[Violation]:
        """Let everything come to rest, read the end of the run, and check all of it."""
        self.until_ready()
        self.until(lambda: self._verified() == 0 and self._archived())
        at = time.monotonic_ns()
        with self.redis_client() as client:
            left = list(left_in({"redis": client}))
        metrics = self.gate.get("/metrics")[1] if self.gate else ""
        facts = [*rows(self.database_url), *left, *lost([("gate", metrics)])]
        return check([*self.events, Rested(at), *facts, Verified(at, self._verified(), "")])

    def _archived(self) -> bool:
        with self.redis_client() as client:
            return not any(left.count for left in left_in({"redis": client}))

    def _verified(self) -> int:
        return run("admin_web", ["verify"], self.environment).returncode


def _wall() -> int:
    return time.time_ns() // 1_000_000
