"""Dialogues over TCP, with a real gate process and a real Redis."""

import asyncio
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from bench.fuzz.answers import Connection, Violation
from bench.fuzz.environments import dialogue
from bench.fuzz.hearing import heard
from bench.fuzz.judge import Call, Circumstances, Recorded, is_free, require_allowed
from bench.fuzz.spellings import LEADS, NUMBERS
from bench.fuzz.worlds import NOW, Policy, World
from compliance.terms import CampaignList
from lab.redis import RedisServer
from tests.support.asterisk import GateProcess
from tests.support.handmade import HandmadeProjection

TOGETHER = 32
"""Connections at a time."""

ANSWER_WITHIN_S = 20.0

PATIENT = {"DNC_DEADLINE_MS": "1000", "DNC_PEER_MS": "30000", "DNC_LEASE_S": "0", "DNC_LOG_LEVEL": "ERROR"}
"""Settings of a gate whose callers may be slow, because the fuzz itself keeps the machine busy."""

OWN_FAULTS = (b"deadline", b"store-unavailable", b"record-unavailable")
"""Reasons of a machine that is busy. No other reason may block a call that the rule allows."""

POLICY = Policy(pattern="1212", campaign_list="spring-offers", campaign="spring")
WORLD = World(
    1,
    0,
    POLICY,
    {"internal": frozenset(NUMBERS[:2]), "spring-offers": frozenset({NUMBERS[2]})},
    {(NUMBERS[0], LEADS[0]): NOW + timedelta(days=9), (NUMBERS[3], LEADS[1]): NOW + timedelta(days=9)},
)


class FuzzedPort:
    """A gate process on its AGI port, and callers that judge its answers."""

    def __init__(self, rng: Random, gate: GateProcess, projection: HandmadeProjection) -> None:
        self._rng, self._gate, self._projection = rng, gate, projection
        self.counts: Counter[str] = Counter()
        self._allowed: list[tuple[Call, re.Match[bytes]]] = []
        self._numbered = 0

    def memory_bytes(self) -> int:
        """Return the resident memory of the gate process."""
        return self._gate.memory_bytes()

    async def run(self, count: int) -> None:
        """Hold `count` dialogues, and judge them. Raises Violation."""
        until = self._numbered + count
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(TOGETHER):
                    tasks.create_task(self._call_until(until))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        self._judge_allowed()
        if self._gate.process.exit_code is not None:
            raise Violation(f"the gate ended: {self._gate.process.log_end()}")

    async def _call_until(self, until: int) -> None:
        while self._numbered < until:
            self._numbered += 1
            call = Call(dialogue(self._rng, self._numbered), Connection(""))
            await self._converse(call)
            self._judge(call)

    async def _converse(self, call: Call) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._gate.port)
        with suppress(OSError):  # The gate resets a connection that it has refused.
            for piece in call.dialogue.pieces:
                writer.write(piece)
                await writer.drain()
            if b"\n\n" in call.dialogue.environment + call.dialogue.before:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    if line := await reader.read(4096):
                        call.connection.lines.append(line)
                        writer.write(call.dialogue.after)
                    while call.dialogue.after.endswith(b"\n") and (more := await reader.read(4096)):
                        call.connection.lines.append(more)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    def _judge(self, call: Call) -> None:
        answer = call.connection.answer()
        self.counts["answered" if answer else "refused"] += 1
        if answer and answer["channel"]:
            self._allowed.append((call, answer))
        elif call.dialogue.whole:
            busy = answer is not None and answer["reason"] in OWN_FAULTS
            if not answer or (not busy and is_free(heard(call.dialogue.environment), _circumstances({}))):
                raise Violation(f"a call was blocked without a reason: {call.dialogue} {call.connection.lines}")

    def _judge_allowed(self) -> None:
        recorded: dict[bytes, list[Recorded]] = {}
        for one in self._projection.decisions():
            recorded.setdefault(one.id.encode(), []).append(Recorded(one.ruling.verdict.encode(), 0))
        for call, answer in self._allowed:
            require_allowed(call, answer, _circumstances(recorded))
        self.counts["allowed"] += len(self._allowed)
        self._allowed.clear()
        self._projection.redis.xtrim("dnc:decisions", maxlen=0, approximate=False)


def _circumstances(recorded: dict[bytes, list[Recorded]]) -> Circumstances:
    return Circumstances([WORLD], recorded, frozenset(), 0, clean=True, clock=True)


@contextmanager
def fuzzed_port(rng: Random) -> Iterator[FuzzedPort]:
    """Yield a real gate over a real Redis that holds `WORLD`."""
    with tempfile.TemporaryDirectory(prefix="dnc-fuzz-") as directory:
        redis = RedisServer(Path(directory) / "redis", options={"appendfsync": "everysec"})
        redis.start()
        try:
            projection = _projection(redis)
            with GateProcess(Path(directory) / "gate", redis.url, **PATIENT) as gate:
                yield FuzzedPort(rng, gate.until_ready(), projection)
        finally:
            redis.stop()


def _projection(redis: RedisServer) -> HandmadeProjection:
    projection = HandmadeProjection(redis)
    projection.lists = POLICY.lists
    projection.patterns = (POLICY.pattern,)
    projection.campaign_lists = (CampaignList(POLICY.campaign_list, (POLICY.campaign,)),)
    projection.verify()
    projection.redis.persist("dnc:lease")
    for name, numbers in WORLD.holders.items():
        for number in numbers:
            projection.put_on(number, name)
    for number, lead in WORLD.ends:
        projection.grant(number, lead, datetime.now(UTC) + timedelta(days=9))
    return projection
