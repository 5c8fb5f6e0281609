"""One call on its way to a decision: the gate's questions are carried to Redis, and the answers back to the gate."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

import structlog

from agi_gate.deadlines import Deadlines
from agi_gate.gate import DeadlinePassed, Gate
from agi_gate.request import Request
from agi_gate.store.asking import Answers, Question
from agi_gate.store.link import Link
from agi_gate.store.wire import StoreUnavailable
from compliance.verdict import Decision

Decided: TypeAlias = Callable[[Decision], None]

log = structlog.get_logger()


class Beginning(Protocol):
    """Whoever begins the screening of calls."""

    def begin(self, request: Request, decided: Decided) -> None:
        """Screen a call; `decided` is called with the decision, perhaps before this returns."""


class Screening:
    """Carries one call to its end, whatever happens: `decided` is called once, with what goes back to the PBX."""

    __slots__ = ("_decided", "_gate", "_link", "_request", "_steps", "over")

    def __init__(self, gate: Gate, link: Link, request: Request, decided: Decided) -> None:
        self._gate, self._link, self._request, self._decided = gate, link, request, decided
        self._steps = gate.screen(request)
        self.over = False

    def begin(self) -> None:
        """Take the first step, which may be the last."""
        self._go(self._steps.send, None)

    def answered(self, answers: Answers) -> None:
        """Go on with what Redis answered."""
        if not self.over:
            self._go(self._steps.send, answers)

    def failed(self, error: StoreUnavailable) -> None:
        """Go on without an answer."""
        if not self.over:
            self._go(self._steps.throw, error)

    def expire(self) -> None:
        """End with a block: the time for a decision is over."""
        self._go(self._steps.throw, DeadlinePassed())

    def _go(self, step: Callable[..., Question], given: object) -> None:
        try:
            question = step(given)
        except StopIteration as end:
            self._end(end.value)
            return
        except Exception:  # Whatever went wrong, the call is blocked, and the fault is logged whole.
            log.exception("screening failed", channel=self._request.channel)
            self._end(self._gate.failed(self._request))
            return
        try:
            self._link.ask(self, question)
        except StoreUnavailable as error:
            self._go(self._steps.throw, error)

    def _end(self, decision: Decision) -> None:
        self.over = True
        try:
            self._decided(decision)
        except Exception:  # It must not reach the link, where other calls wait for their part of the same replies.
            log.exception("answering failed", channel=self._request.channel)


class Screenings:
    """Begins the screening of calls; none of them takes longer than `deadline_s` seconds."""

    def __init__(self, gate: Gate, link: Link, *, deadline_s: float) -> None:
        self._gate, self._link = gate, link
        self._expiries = Deadlines[Screening](deadline_s)

    def begin(self, request: Request, decided: Decided) -> None:
        """Screen a call; `decided` is called with the decision, perhaps before this returns."""
        screening = Screening(self._gate, self._link, request, decided)
        screening.begin()
        if not screening.over:
            self._expiries.watch(screening)
