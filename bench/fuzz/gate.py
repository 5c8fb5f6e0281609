"""The whole gate in this process, from the bytes of the PBX to its answer, over a model of Redis."""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import cast

from agi_gate.call_log import CallLog
from agi_gate.decision_log import DecisionLog
from agi_gate.fastagi.listener import Connection as ListenersConnection
from agi_gate.fastagi.session import OpenSessions, Session
from agi_gate.gate import Gate, Numbering
from agi_gate.metrics import Metrics
from agi_gate.peers import Peers
from agi_gate.request import Request
from agi_gate.screening import OnDecision, Screening
from agi_gate.store.facts import FactStore
from agi_gate.store.link import Link
from agi_gate.store.opening import Opened
from agi_gate.store.pipe import Pipe
from bench.fuzz.answers import Connection, Violation
from bench.fuzz.environments import dialogue
from bench.fuzz.judge import Call, Circumstances, judge
from bench.fuzz.model import BROKEN, ModelRedis, Reply, odd_reply
from bench.fuzz.worlds import NOW, RUN_ID, World, world
from compliance.verdict import Decision

WORLDS = 400
"""Worlds that exist at a time."""

TICKS_A_WORLD = 20
"""After so many ticks one of the worlds is replaced by a new one."""

NEVER_S = 1e9
MOST_TRIPS = 60


class Turns:
    """Stands for the event loop of the link: keeps the callbacks that the link schedules."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[..., object], tuple[object, ...]]] = []

    def call_soon(self, callback: Callable[..., object], *arguments: object) -> None:
        """Keep a callback."""
        self._waiting.append((callback, arguments))

    def run(self) -> None:
        """Run what was scheduled."""
        while self._waiting:
            callback, arguments = self._waiting.pop()
            callback(*arguments)


class Noted:
    """Stands for the backlog: keeps the ids of the decisions that wait for their record."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def note(self, decision: Decision) -> None:
        """Keep the id of a decision."""
        self._ids.add(decision.id)

    def taken(self) -> frozenset[str]:
        """Return the ids, and forget them."""
        ids, self._ids = frozenset(self._ids), set()
        return ids


class FuzzedGate:
    """The parts of a gate process, and a driver that sends dialogues and judges the answers.

    Create it on a running event loop. `replicas` is the number that the settings require.
    """

    def __init__(self, rng: Random, replicas: int) -> None:
        self._rng, self._replicas = rng, replicas
        self.counts: Counter[str] = Counter()
        self.metrics = Metrics()
        self._peers, self._turns = Peers([], 100), Turns()
        self._link = Link("redis://model", timeout_s=NEVER_S, replicas=replicas)
        # `Link.run` would connect, and read the state twice a second. The driver does both, at moments that it chooses.
        self._link._loop = self._turns  # type: ignore[assignment]  # noqa: SLF001
        self._link._awake_s = 0.0  # noqa: SLF001
        log, self._noted = DecisionLog(self._link), Noted()
        log.bequeath(cast("DecisionLog", self._noted))
        self._gate = Gate(FactStore(self._link), log, Numbering("US"), name="gate:1", clock=lambda: NOW)
        self._open = OpenSessions(self, self.metrics, CallLog(None), peer_s=NEVER_S)
        self._redis = ModelRedis()
        self._worlds = [world(rng, changes) for changes in range(WORLDS)]
        self._now = self._worlds[0]
        self._made, self._ticks, self._numbered = WORLDS, 0, 0
        self._call: Call
        self._connect()

    def begin(self, request: Request, decided: OnDecision) -> None:
        """Screen a call, as `Screenings` does. The driver ends it, instead of a deadline."""
        call = self._call

        def noted(decision: Decision) -> None:
            call.decision, call.decisions = decision, call.decisions + 1
            decided(decision)

        call.screening = Screening(self._gate, self._link, request, noted, due=NEVER_S * 10)
        call.screening.begin()

    def tick(self) -> int:
        """Send the dialogues of one tick of the event loop, and judge the answers. Return their number."""
        chance = self._rng.random
        moments, disturbed = self._moments(), chance() < 0.25
        self._redis.begin(moments, int(chance() * 3), writable=not disturbed or chance() < 0.8)
        calls = [self._new_call() for _ in range(1 if chance() < 0.6 else 1 + int(chance() * 9))]
        for call in calls:
            self._send(call)
        self._deliver(disturbed, calls)
        _expire(calls)
        self._deliver(disturbed, calls)
        for call in calls:
            self._end(call)
        then = Circumstances(
            moments,
            self._redis.recorded,
            self._noted.taken(),
            self._replicas,
            clean=not disturbed and len(moments) == 1,
            clock=not self._link.health.clock_doubt,
        )
        for call in calls:
            self.counts[judge(call, then)] += 1
        if self._open.sessions or self.metrics.open_conversations:
            raise Violation(f"{len(self._open.sessions)} sessions are still open")
        if disturbed or self._pipe.ended.done():
            self._reconnect()
        return len(calls)

    def _moments(self) -> list[World]:
        """Return the worlds of this tick: mostly the one of the tick before, so that the gate can foresee it."""
        self._ticks += 1
        if self._ticks % TICKS_A_WORLD == 0:
            self._made += 1
            self._worlds[int(self._rng.random() * WORLDS)] = world(self._rng, self._made)
        chance = self._rng.random()
        if chance < 0.7:
            return [self._now]
        before, self._now = self._now, self._worlds[int(self._rng.random() * WORLDS)]
        return [self._now] if chance < 0.85 else [before, self._now]

    def _new_call(self) -> Call:
        self._numbered += 1
        return Call(dialogue(self._rng, self._numbered), Connection(f"127.0.0.{self._numbered % 250}"))

    def _send(self, call: Call) -> None:
        connection, sent = call.connection, call.dialogue
        peer = self._peers.of(connection.peer)
        session = connection.owner = Session(self._open, cast("ListenersConnection", connection), peer)
        self._call = call
        for piece in sent.pieces:
            if connection.closed:
                return
            session.data_received(piece)
        if call.screening is None and sent.after and not connection.closed:
            session.data_received(sent.after)

    def _deliver(self, disturbed: bool, calls: list[Call]) -> None:
        """Deliver what Redis replies, until the gate asks nothing more."""
        for _ in range(MOST_TRIPS):
            self._turns.run()
            if not (replies := self._redis.taken()):
                return
            if disturbed and self._rng.random() < 0.6:
                self._disturb(replies, calls)
            else:
                self._pipe.data_received(b"".join([reply.text for reply in replies]))
        raise Violation("the gate asks Redis again and again")

    def _disturb(self, sent: list[Reply], calls: list[Call]) -> None:
        """Deliver replies wrongly: broken off, late, not at all, or as `_spoilt` has changed them."""
        chance, pipe = self._rng.random, self._pipe
        match int(chance() * 10):
            case 0:
                return
            case 1:
                data = b"".join([reply.text for reply in sent])
                pipe.data_received(data[: int(chance() * len(data))])
                pipe.connection_lost(None)
                return
            case 2:
                _expire(calls)
                data = b"".join([reply.text for reply in sent])
            case _:
                data = b"".join(self._spoilt(sent, alone=len(calls) == 1))
        cut = int(chance() * len(data))
        for piece in (data[:cut], data[cut:]):
            if not pipe.ended.done():
                pipe.data_received(piece)

    def _spoilt(self, sent: list[Reply], *, alone: bool) -> list[bytes]:
        """Return replies of which some are odd, missing or too many. `alone` says that they belong to a single call."""
        chance, replies = self._rng.random, [reply.text for reply in sent]
        at = int(chance() * len(sent))
        match int(chance() * 7):
            case 0:
                replies.insert(at, BROKEN[int(chance() * len(BROKEN))])
            # Replies have no name: if one of several is missing, the next call gets the reply to another. TCP and the
            # order in which Redis answers exclude that.
            case 1 if alone:
                del replies[at]
            case 2 if alone:
                replies.insert(at, odd_reply(self._rng, sent[at].command))
            case _:
                for place in (at, int(chance() * len(sent))):
                    replies[place] = odd_reply(self._rng, sent[place].command)
        return replies

    def _end(self, call: Call) -> None:
        connection = call.connection
        if call.screening and call.dialogue.after and connection.owner and not connection.closed:
            connection.owner.data_received(call.dialogue.after)
        connection.close()

    def _connect(self) -> None:
        self._redis.has_script = self._rng.random() < 0.5
        self._pipe = Pipe(self._redis.connection)
        self._link._begin(Opened(self._link.mastership.connected, RUN_ID, self._pipe))  # noqa: SLF001
        self._link.health.clock_behind_s = 0.0 if self._rng.random() < 0.8 else 5.0

    def _reconnect(self) -> None:
        self._pipe.end(ConnectionError("the next tick has a new connection"))
        self._link._fail_queue()  # noqa: SLF001
        self._connect()


def _expire(calls: list[Call]) -> None:
    """Let the time of each call pass that has no decision."""
    for call in calls:
        if call.screening and not call.screening.over:
            call.screening.expire()
