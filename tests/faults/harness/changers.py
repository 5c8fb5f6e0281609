"""The changers: people and programs that list, lift, open and import numbers, one change at a time on each number."""

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.faults.harness.history import Change, Kind, Outcome
from tests.faults.harness.pool import CHANGING, FILES, holder
from tests.faults.harness.replies import Answered
from tests.faults.harness.ways import Api, Commands

LIVES_S = (3.0, 15.0)
"""How long an override lives, in seconds: many of them end by themselves during the run."""

ENDED_S = 0.5
AT_ONCE = 4
"""Changes under way at once: as many people and programs work on the lists."""

LONGEST = 2000
"""Characters of an answer that the history keeps."""

ENDED = re.compile(r"ended override (\d+)")
OVERRIDE = re.compile(r"[Oo]verride (\d+)")
ENTRY = re.compile(r"entry (\d+)")


@dataclass
class Spot:
    """The numbers of one unit of change, and what was done to them last."""

    numbers: tuple[str, ...]
    listed: bool = False
    override: str = ""
    override_ends: float = 0.0


class Changers:
    """Makes about `per_second` changes, drawn by `seed`. One in ten goes through a command. `record` gets each."""

    def __init__(
        self, api: Api, commands: Commands, per_second: float, seed: int, record: Callable[[Change], None]
    ) -> None:
        self._api, self._commands, self._per_second, self._record = api, commands, per_second, record
        self._random = random.Random(seed)
        self._idle = [Spot((number,)) for number in CHANGING] + [Spot(file) for file in FILES]
        self._random.shuffle(self._idle)
        self._under_way: set[asyncio.Task[None]] = set()
        self._commanding = asyncio.Semaphore(1)

    async def run(self, over: asyncio.Event) -> None:
        """Make changes until `over` is set, and wait for the answers of those that are under way."""
        while not over.is_set():
            await asyncio.sleep(self._random.expovariate(self._per_second))
            if self._idle and len(self._under_way) < AT_ONCE:
                self._begin(self._idle.pop(0))
        if self._under_way:
            await asyncio.wait(self._under_way)

    def _begin(self, spot: Spot) -> None:
        task = asyncio.get_running_loop().create_task(self._change(spot))
        self._under_way.add(task)
        task.add_done_callback(lambda done: self._over(done, spot))

    def _over(self, task: asyncio.Task[None], spot: Spot) -> None:
        self._under_way.discard(task)
        task.result()
        # Some numbers change again and again at once, others rest for a while. Live overrides are to be revoked.
        soon = len(self._idle) // 50 if spot.override else len(self._idle)
        self._idle.insert(self._random.randrange(soon + 1), spot)

    async def _change(self, spot: Spot) -> None:
        if len(spot.numbers) > 1:
            await (self._lift_all(spot) if spot.listed else self._list_all(spot))
        elif not spot.listed:
            await self._list(spot)
        elif spot.override and time.time() < spot.override_ends + ENDED_S:
            await self._with_override(spot)
        elif self._random.random() < 0.6:
            await self._grant(spot)
        else:
            await self._lift(spot, spot.numbers[0])

    def _by_command(self) -> bool:
        return not self._commanding.locked() and self._random.random() < 0.1

    async def _asked(self, kind: Kind, by: str, numbers: tuple[str, ...], work: Callable[[], Awaitable[Answered]],
                     lead: str = "", override: str = "") -> tuple[Outcome, Answered]:  # fmt: skip
        """Make one change and record it."""
        if by == "command":
            async with self._commanding:
                return await self._timed(kind, by, numbers, work, lead, override)
        return await self._timed(kind, by, numbers, work, lead, override)

    async def _timed(self, kind: Kind, by: str, numbers: tuple[str, ...], work: Callable[[], Awaitable[Answered]],
                     lead: str, override: str) -> tuple[Outcome, Answered]:  # fmt: skip
        invoked = time.monotonic_ns()
        answered = await work()
        at = time.monotonic_ns() if answered.code is not None else None
        outcome = answered.command_outcome if by == "command" else answered.api_outcome
        self._record(
            Change(
                kind, by, numbers, lead, invoked, at, outcome, answered.code, answered.said[:LONGEST],
                override or _id_in(kind, answered), _end_in(answered), ended=_ended_by(answered),
            )
        )  # fmt: skip
        return outcome, answered

    async def _list(self, spot: Spot) -> None:
        (number,) = numbers = spot.numbers
        if self._by_command():
            outcome, _ = await self._asked("list", "command", numbers, lambda: self._commands.list(number))
        else:
            outcome, _ = await self._asked("list", "api", numbers, lambda: self._api.list(numbers))
        spot.listed = outcome in {"in-force", "recorded"}

    async def _list_all(self, spot: Spot) -> None:
        if self._random.random() < 0.5:
            outcome, _ = await self._asked("import", "command", spot.numbers,
                                           lambda: self._commands.import_file(spot.numbers))  # fmt: skip
        else:
            outcome, _ = await self._asked("list", "api", spot.numbers, lambda: self._api.list(spot.numbers))
        spot.listed = outcome in {"in-force", "recorded"}

    async def _lift_all(self, spot: Spot) -> None:
        for number in spot.numbers:
            await self._lift(spot, number)

    async def _lift(self, spot: Spot, number: str) -> None:
        if self._by_command():
            await self._asked("lift", "command", (number,), lambda: self._commands.lift(number))
        else:
            await self._asked("lift", "api", (number,), lambda: self._api.lift(number))
        spot.listed = False  # Whatever became of it: listing a number that is listed changes nothing.

    async def _grant(self, spot: Spot) -> None:
        (number,), lead = spot.numbers, holder(spot.numbers[0])
        expires = datetime.now(UTC) + timedelta(seconds=self._random.uniform(*LIVES_S))
        outcome, answered = await self._asked(
            "grant", "api", (number,), lambda: self._api.grant(number, lead, expires), lead
        )
        made = outcome in {"in-force", "recorded"}
        spot.override = str(answered.fields.get("override", "")) if made else ""
        spot.override_ends = expires.timestamp()

    async def _with_override(self, spot: Spot) -> None:
        """Revoke a live override, lift its number, or let it end by itself."""
        draw, override, lead = self._random.random(), spot.override, holder(spot.numbers[0])
        if draw < 0.4:
            by = "command" if self._by_command() else "api"
            way = self._commands.revoke if by == "command" else self._api.revoke
            outcome, _ = await self._asked("revoke", by, spot.numbers, lambda: way(override), lead, override)
            spot.override = spot.override if outcome == "unknown" else ""
        elif draw < 0.6:
            await self._lift(spot, spot.numbers[0])


def _id_in(kind: Kind, answered: Answered) -> str:
    """Return the override that a grant made, or the entry of a listed or lifted number."""
    name, pattern = ("override", OVERRIDE) if kind in {"grant", "revoke"} else ("entry", ENTRY)
    found = pattern.search(answered.said)
    return str(answered.fields.get(name) or (found[1] if found else ""))


def _end_in(answered: Answered) -> int:
    """Return the end of a granted override in milliseconds; 0 without one."""
    written = answered.fields.get("expires_at")
    return int(datetime.fromisoformat(written).timestamp() * 1000) if written else 0


def _ended_by(answered: Answered) -> tuple[str, ...]:
    """Return the overrides that a request ended."""
    return tuple(map(str, answered.fields.get("ended_overrides", []))) or tuple(ENDED.findall(answered.said))
