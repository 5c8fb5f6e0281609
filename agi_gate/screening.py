"""Run the screening of a call: pass the gate's questions to Redis, and the answers back to the gate, in time."""

from collections.abc import Callable
from time import monotonic
from typing import Protocol, TypeAlias

import structlog

from agi_gate.deadlines import Deadlines
from agi_gate.gate import DeadlinePassed, Gate
from agi_gate.request import Request
from agi_gate.store.link import Link
from agi_gate.store.questions import Answers, Question
from agi_gate.store.wire import StoreUnavailable
from compliance.verdict import Decision

OnDecision: TypeAlias = Callable[[Decision], None]

log = structlog.get_logger()


class Screener(Protocol):
    """Screens calls: over one Redis, or over the shards of a cluster."""

    def begin(self, request: Request, decided: OnDecision) -> None:
        """Begin to screen a call. `decided` is called once with the decision, possibly before `begin` returns."""


class Screening:
    """The screening of one call. It ends with exactly one decision, whatever fails; `decided` sends it to the PBX.

    `due` is the end of its time limit, in seconds of `time.monotonic`.
    """

    __slots__ = ("_decided", "_due", "_gate", "_link", "_request", "_steps", "over")

    def __init__(self, gate: Gate, link: Link, request: Request, decided: OnDecision, *, due: float) -> None:
        self._gate, self._link, self._request, self._decided = gate, link, request, decided
        self._due = due
        self._steps = gate.screen(request)
        self.over = False

    def begin(self) -> None:
        """Run the gate's first step. A call that needs no answer from Redis, such as an emergency call, ends here."""
        self._step(self._steps.send, None)

    def answered(self, answers: Answers) -> None:
        """Continue with the answers of Redis."""
        # The timer has usually ended a late call already. But after a stop of the process (SIGSTOP, a starved machine)
        # the loop can read the replies that wait in the socket before it runs the timer (asyncio,
        # BaseEventLoop._run_once: the events of the selector come first). They say what was true before the stop.
        if self.over:
            return
        if monotonic() >= self._due:
            self.expire()
        else:
            self._step(self._steps.send, answers)

    def failed(self, error: StoreUnavailable) -> None:
        """Continue without answers."""
        if not self.over:
            self._step(self._steps.throw, error)

    def expire(self) -> None:
        """End with a block: the deadline has passed."""
        self._step(self._steps.throw, DeadlinePassed())

    def _step(self, step: Callable[..., Question], given: object) -> None:
        try:
            question = step(given)
        except StopIteration as end:
            self._end(end.value)
            return
        except Exception:  # Any fault blocks the call in which it occurs, and is logged with a traceback.
            log.exception("screening failed", channel=self._request.channel)
            self._end(self._gate.failed(self._request))
            return
        try:
            self._link.ask(self, question)
        except StoreUnavailable as error:
            self._step(self._steps.throw, error)

    def _end(self, decision: Decision) -> None:
        self.over = True
        try:
            self._decided(decision)
        except Exception:  # A fault must not reach the link, because the link has replies for other calls to pass on.
            log.exception("answering failed", channel=self._request.channel)


class Screenings:
    """Screens calls over one Redis, each within `deadline_s` seconds."""

    def __init__(self, gate: Gate, link: Link, *, deadline_s: float) -> None:
        self._gate, self._link, self._deadline_s = gate, link, deadline_s
        self._expiries = Deadlines[Screening](deadline_s)

    @property
    def under_way(self) -> int:
        """The number of screenings that have not ended, also of calls whose caller has hung up."""
        return self._expiries.under_way

    def begin(self, request: Request, decided: OnDecision) -> None:
        """Begin to screen a call. `decided` is called once with the decision, possibly before `begin` returns."""
        screening = Screening(self._gate, self._link, request, decided, due=monotonic() + self._deadline_s)
        screening.begin()
        if not screening.over:  # A call that never waits for Redis needs no deadline.
            self._expiries.watch(screening)
