"""Changes, drains, rebuilds and sweeps at the same time, by processes that die at random, on a Redis that is killed and
emptied. Whatever was reported as in force, the gate obeys from then on.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from random import Random

import pytest
import redis
from sqlalchemy import select

from admin_web.projection.live import ProjectionLost
from admin_web.projection.projection import Projection
from admin_web.projection.rebuild_outcome import NotRebuilt
from admin_web.projection.sweep import sweep
from admin_web.record.changes import NotInForce
from admin_web.record.database import Database, DatabaseUnavailable
from admin_web.record.models import Override
from compliance.openable import OverrideStands
from lab.redis import RedisServer
from tests.support.faults import Fuse, Killed
from tests.support.projection import GateView, World

NUMBERS = [f"+1415555{line:04}" for line in range(0, 600, 100)] + ["+442079460000", "+493012345678"]
LEADS = {number: [f"lead-{number[1:]}-{which}" for which in "ab"] for number in NUMBERS}
ENOUGH = {"block": 8, "revoke": 8, "rebuild": 2, "sweep": 2}
ENOUGH_KILLED = 6
ENOUGH_SEEN = {"internal-dnc": 11, "not-listed": 11, "override": 11}
LONG = 10
"""How many times as much is enough for a long storm."""

SEED = 20270101
STORM_S = 120.0
"""Maximum duration of the storm in seconds. The test fails if not enough has happened by then."""

SETTLED_S = 60.0
"""Maximum seconds that one worker may need for the recovery afterwards."""


class Ledger:
    """What the gate must obey: a change counts once it is reported as in force, until another is requested."""

    def __init__(self) -> None:
        self.blocked: set[str] = set()
        """Numbers whose block was reported as in force, and whose lift has not been requested."""
        self.may_open: set[tuple[str, str]] = set()
        """Leads for which an override was requested, and its revocation has not been reported as in force."""

    def forbids(self, number: str, lead: str) -> bool:
        return number in self.blocked and (number, lead) not in self.may_open


class Checker(threading.Thread):
    """Applies the gate's rule to random calls all the time, and collects the wrong rulings."""

    def __init__(self, server: RedisServer, ledger: Ledger) -> None:
        super().__init__()
        self._gate, self._ledger = GateView(server), ledger
        self.over = threading.Event()
        self.seen: Counter[str] = Counter()
        self.wrong: list[str] = []

    def run(self) -> None:
        random = Random(1)
        while not self.over.is_set():
            number = random.choice(NUMBERS)
            lead = random.choice([*LEADS[number], ""])
            forbidden = self._ledger.forbids(number, lead)
            try:
                ruling = self._gate.rule(number, lead)
            except redis.RedisError:
                self.seen["unavailable"] += 1
                continue
            self.seen[ruling.reason] += 1
            if forbidden and ruling.verdict == "ALLOW" and self._ledger.forbids(number, lead):
                self.wrong.append(f"{number} for {lead!r}: {ruling}")


class Storm:
    """All actors at once. One person changes each number; the ledger has what was reported to that person."""

    def __init__(self, world: World, seed: int, times: int) -> None:
        self.world, self.random, self.ledger, self.times = world, Random(seed), Ledger(), times
        self.done: Counter[str] = Counter()
        self.checker = Checker(world.server, self.ledger)
        self.ends = time.monotonic() + STORM_S * times

    def raging(self) -> bool:
        return time.monotonic() < self.ends and not self.enough()

    def enough(self) -> bool:
        killed = sum(times for what, times in self.done.items() if "killed" in what)
        return killed >= ENOUGH_KILLED * self.times and all(
            counted[what] >= often * self.times
            for counted, least in ((self.done, ENOUGH), (self.checker.seen, ENOUGH_SEEN))
            for what, often in least.items()
        )

    async def as_a_process(self, what: str, work, steps: int = 30) -> bool:
        """Run work as a process that may die at one of its steps. Return whether it reported success."""
        fuse = Fuse(self.random.randrange(steps) if self.random.random() < 0.3 else None)
        try:
            async with self.world.mortal(fuse) as projection:
                await work(projection)
        except Killed:
            self.done[f"{what}: killed"] += 1
        except (NotInForce, NotRebuilt, DatabaseUnavailable) as error:
            self.done[f"{what}: {type(error).__name__}"] += 1
        else:
            self.done[what] += 1
            return True
        return False

    async def in_force(self, what: str) -> bool:
        """Drain recorded changes, as the service that recorded them does. Return whether it reported success."""
        return await self.as_a_process(what, Projection.drain, 12)

    async def person(self, number: str) -> None:
        """Repeatedly block a number, place and revoke overrides, and lift the number."""
        while self.raging():
            try:
                await self.one_round(number)
            except DatabaseUnavailable:  # SQLite does not queue writers for its lock.
                self.done["no turn"] += 1

    async def one_round(self, number: str) -> None:
        await self.world.suppress(number)
        if await self.in_force("block"):
            self.ledger.blocked.add(number)
        await asyncio.sleep(self.random.random() * 0.05)
        for lead in LEADS[number]:
            if self.random.random() < 0.6:
                await self.open_and_close(number, lead)
        if self.random.random() < 0.4:
            self.ledger.blocked.discard(number)
            await self.world.lift(number)
            await self.in_force("lift")

    async def open_and_close(self, number: str, lead: str) -> None:
        self.ledger.may_open.add((number, lead))
        with suppress(OverrideStands):  # An earlier revocation did not get the turn.
            await self.world.grant(number, lead)
            await self.in_force("grant")
        await asyncio.sleep(self.random.random() * 0.05)
        await self.world.revoke(await self.standing(number, lead))
        while self.raging():
            if await self.in_force("revoke"):
                self.ledger.may_open.discard((number, lead))
                return

    async def standing(self, number: str, lead: str) -> int:
        async with self.world.database.read() as session:
            live = select(Override.id).where(Override.lead_id == lead, Override.revoked_at.is_(None))
            return (await session.scalars(live)).one()

    async def worker(self) -> None:
        """Renew the lease and rebuild a lost projection, as the worker does."""
        while self.raging():
            await self.as_a_process("lease", Projection.renew_lease)
            await self.as_a_process("recover", lambda projection: projection.rebuild(only_if_lost=True))
            await asyncio.sleep(0.02)

    async def operator(self) -> None:
        """Rebuild and sweep at random times."""
        while self.raging():
            await asyncio.sleep(self.random.random() * 0.3)
            await self.as_a_process("rebuild", Projection.rebuild)
            await self.as_a_process("sweep", lambda projection: sweep(projection.sides, grace_s=0))

    async def calamity(self) -> None:
        """Empty, restart or pause Redis at random times."""
        while self.raging():
            await asyncio.sleep(0.2 + self.random.random())
            kind = self.random.choice(["emptied", "restarted", "restarted empty", "paused"])
            self.done[kind] += 1
            if kind == "emptied":
                self.world.redis.flushall()
            elif kind == "paused":
                self.world.server.running.pause()
                await asyncio.sleep(0.3 + self.random.random())
                self.world.server.running.resume()
            else:
                await self.world.restart(empty=kind == "restarted empty")


@pytest.fixture
async def world(database: Database, redis_server: RedisServer, monkeypatch) -> AsyncIterator[World]:
    monkeypatch.setattr("admin_web.projection.rebuild.SILENT_S", 0.3)
    async with World(database, redis_server) as world:
        yield world


@pytest.mark.exhaustive
@pytest.mark.parametrize("calamities", [False, True], ids=["kills", "kills-and-lost-redis"])
async def test_what_was_reported_as_in_force_is_obeyed_whatever_happens(world: World, calamities: bool, long: bool):
    seed = time.time_ns() if long else SEED
    print(f"seed {seed}")
    storm = Storm(world, seed, LONG if long else 1)
    await world.projection.rebuild()
    checker = storm.checker
    checker.start()
    people = [storm.person(number) for number in NUMBERS]
    others = [storm.worker(), storm.operator(), storm.operator()]
    try:
        await asyncio.gather(*people, *others, *([storm.calamity()] if calamities else []))
    finally:
        checker.over.set()
        checker.join()
    print(dict(storm.done), dict(checker.seen))
    assert checker.wrong == []
    await settled(world)
    assert storm.enough()


async def recovered(world: World) -> None:
    """Rebuild and drain until it succeeds, as the worker does.

    A rebuild waits until a builder that was killed a moment ago has been silent for long enough.
    """
    async with asyncio.timeout(SETTLED_S):
        while True:
            try:
                return await world.projection.drain()
            except ProjectionLost:
                with suppress(NotRebuilt):
                    await world.projection.rebuild(only_if_lost=True)
                await asyncio.sleep(0.05)


async def settled(world: World) -> None:
    """Recover with one worker after the storm, and assert that the projection is correct."""
    await recovered(world)
    await world.projection.renew_lease()
    compared = await world.projection.verify()
    assert (compared.clean, compared.pending) == (True, 0), compared
    built = await world.projection.rebuild()
    await sweep(world.projection.sides, grace_s=0)
    assert {key.split(":")[1] for key in await world.keys()} <= {str(built.generation)}
