"""During a rebuild, no listed number is ever allowed and no call fails, whatever else happens meanwhile."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Self

import pytest

from bench.load import Outcome, open_loop, run
from compliance.redis_schema import STATE
from lab.redis import RedisServer
from tests.support.samples import PDF
from tests.support.stack import Stack

CALLS_PER_SECOND = 150
"""Enough for hundreds of calls in each rebuild. More would only slow the rebuilds down."""
REBUILDS = 10
ENOUGH = 1_000
"""Minimum number of calls during the rebuilds, even if `REBUILDS` of them end sooner."""

LISTED = [f"+1415555{line:04}" for line in range(400)]
FREE = [f"+1415555{line:04}" for line in range(5000, 5400)]
LATER_LISTED = [f"+1415556{line:04}" for line in range(8)]
LATER_REVOKED = [(f"+1415557{line:04}", f"lead-{line}") for line in range(4)]


class Load:
    """Places `CALLS_PER_SECOND` calls a second from its own thread, until the block ends."""

    def __init__(self, port: int, leads: dict[str, str]) -> None:
        self._port, self._leads = port, leads
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._place)
        self.outcomes: list[Outcome] = []
        self.watched: list[str] = []

    def _place(self) -> None:
        while not self._over.is_set():
            self.outcomes.append(run(open_loop(self._port, CALLS_PER_SECOND, 1, self._anyone)))

    def _anyone(self) -> tuple[str, str]:
        dialed = random.choice(random.choice([LISTED, FREE, self.watched or LISTED]))
        return dialed, self._leads.get(dialed, "lead-0")

    def calls(self) -> int:
        """Return the number of finished calls."""
        return sum(sum(outcome.answers.values()) for outcome in list(self.outcomes))

    def until_calls(self, wanted: int) -> None:
        """Wait until `wanted` calls are finished."""
        deadline = time.monotonic() + 60
        while self.calls() < wanted:
            assert time.monotonic() < deadline, "no call is answered"
            time.sleep(0.02)

    def allowed(self, dialed: str) -> bool:
        return any(answers.answers[(dialed, lead), True] for answers in self.outcomes for lead in self._lead(dialed))

    def reasons(self, numbers: list[str]) -> Counter[str]:
        """Count the reasons of all answers for these numbers."""
        asked = {(number, lead) for number in numbers for lead in self._lead(number)}
        found: Counter[str] = Counter()
        for outcome in self.outcomes:
            for (question, reason), count in outcome.reasons.items():
                found[reason] += count if question in asked else 0
        return +found

    def _lead(self, dialed: str) -> tuple[str]:
        return (self._leads.get(dialed, "lead-0"),)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


class Rebuilds:
    """Rebuilds by command, each as soon as the generation of the one before is live.

    A command ends only after it has removed the earlier generations, two seconds later. So the rebuilds run while
    those before them remove theirs.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._threads = ThreadPoolExecutor(max_workers=100)
        self._begun: list[Future[str]] = []
        self._keeping_on: list[Future[None]] = []
        self._over = threading.Event()

    def __len__(self) -> int:
        return len(self._begun)

    def once(self) -> None:
        """Rebuild, and wait until the new generation is live."""
        before, deadline = self._live(), time.monotonic() + 60
        self._begun.append(begun := self._threads.submit(self._stack.admin, "rebuild"))
        while self._live() == before:
            assert time.monotonic() < deadline, "no rebuild becomes live"
            assert not begun.done(), begun.result()
            time.sleep(0.01)

    def keep_on(self) -> None:
        """Rebuild beside the test, until the block ends and at least `REBUILDS` times."""
        self._keeping_on.append(self._threads.submit(self._keep_on))

    def _keep_on(self) -> None:
        while not self._over.is_set() or len(self) < REBUILDS:
            self.once()

    def _live(self) -> int:
        with self._stack.redis_client() as client:
            return int(client.hget(STATE, "generation"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        wait(self._keeping_on)
        self._threads.shutdown()
        for ended in (*self._keeping_on, *self._begun):
            ended.result()


@pytest.fixture
def stack(redis_server: RedisServer, database_url: str, short_path: Path) -> Iterator[Stack]:
    # Generous deadlines: this tests the rebuild, not the speed of a busy machine.
    settings = {"DNC_LOG_LEVEL": "WARNING", "DNC_DEADLINE_MS": "1000", "DNC_PEER_MS": "10000"}
    with Stack(short_path / "whole", redis_server, database_url, **settings) as stack:
        listed = short_path / "listed.txt"
        listed.write_text("\n".join([*LISTED, *dict(LATER_REVOKED)]))
        stack.admin("import", "internal", str(listed))
        yield stack


def expect_that_no_call_failed(load: Load) -> None:
    """Assert that each call has an answer, and that free numbers are allowed."""
    assert sum(outcome.unanswered for outcome in load.outcomes) == 0
    free = load.reasons(FREE)
    late = free.pop("deadline", 0)  # Caused by a busy machine, not by the rebuild.
    assert (free.keys(), late < sum(free.values()) / 30) == ({"not-listed"}, True), (free, late)


def test_ten_rebuilds_under_load_let_no_listed_number_through_and_fail_no_call(stack):
    with Load(stack.gate.port, {}) as load, Rebuilds(stack) as rebuilds:
        load.until_calls(1)
        while len(rebuilds) < REBUILDS or load.calls() <= ENOUGH:
            rebuilds.once()
    print(f"{load.calls()} calls during {len(rebuilds)} rebuilds")
    assert [number for number in LISTED if load.allowed(number)] == []
    expect_that_no_call_failed(load)


def test_what_is_added_and_revoked_during_rebuilds_is_blocked_from_then_on(stack, short_path):
    document = short_path / "consent.pdf"
    document.write_bytes(PDF)
    for number, lead in LATER_REVOKED:
        stack.admin(
            "override", "grant", "--lead", lead, "--number", number, "--basis", "signed-consent",
            "--consented-on", "2026-01-02", "--document", str(document), "--attest",
        )  # fmt: skip
        assert stack.gate.screen(number, lead).allowed
    with Load(stack.gate.port, dict(LATER_REVOKED)) as load, Rebuilds(stack) as rebuilds:
        rebuilds.keep_on()
        for index, number in enumerate(LATER_LISTED):
            stack.admin("suppress", number)
            assert not stack.gate.screen(number).allowed
            load.watched = [*load.watched, number]
            if index % 2:
                opened, lead = LATER_REVOKED[index // 2]
                stack.admin("override", "revoke", str(index // 2 + 1), "--reason", "asked to stop")
                assert not stack.gate.screen(opened, lead).allowed
                load.watched = [*load.watched, opened]
    assert len(rebuilds) >= REBUILDS
    assert [number for number in [*LISTED, *load.watched] if load.allowed(number)] == []
    expect_that_no_call_failed(load)
