"""One call: from the dialled digits to a decision on record. Every path ends in a Decision, none in a guess."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from agi_gate.decision_id import DecisionIds
from agi_gate.decision_log import DecisionLog, RecordUnavailable
from agi_gate.request import Request
from agi_gate.store.asking import Asking
from agi_gate.store.facts import FactStore
from agi_gate.store.wire import StoreUnavailable
from compliance import verdict
from compliance.numbers import E164, InvalidNumber, LeadId, emergency_number, lead_id, normalize
from compliance.policy import Facts, decide
from compliance.terms import campaign_id
from compliance.verdict import Decision, Ruling, Verdict, allow, block

SCRIPT = "screen"
ARGUMENTS = (2, 3)
"""What is asked about: what was dialled, the lead, and, where there is one, the campaign."""

LONGEST_DIALED = 64
"""Characters of the dialled digits that go on record; the rule sees all of them."""


@dataclass(frozen=True, slots=True)
class Numbering:
    """How this PBX writes numbers: the region of national ones, and its prefix for outside lines."""

    region: str
    prefix: str = ""

    def read(self, dialed: str) -> E164 | InvalidNumber:
        """Give the one number that `dialed` means, or why there is none."""
        try:
            return normalize(dialed, self.region, self.prefix)
        except InvalidNumber as error:
            return error

    def emergency(self, dialed: str) -> str | None:
        """Give the emergency number that `dialed` is, exactly."""
        return emergency_number(dialed, self.region, self.prefix)


class DeadlinePassed(Exception):
    """A decision was not reached in time."""


class Attempt(NamedTuple):
    """One call as it is asked about, with the moment (aware UTC) and the id of its decision."""

    request: Request
    lead: LeadId | None
    campaign: str
    at: datetime
    decision_id: str


class Gate:
    """Screens calls; `name` goes on record with each, `clock` gives aware UTC."""

    def __init__(
        self,
        store: FactStore,
        log: DecisionLog,
        numbering: Numbering,
        *,
        name: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._store, self._log, self._numbering = store, log, numbering
        self._name, self._clock = name, clock
        self._ids = DecisionIds()

    def screen(self, request: Request) -> Asking[Decision]:
        """Judge the call that `request` asks about. An ALLOW is on record before it is given.

        Whoever carries the questions to Redis throws DeadlinePassed when the time for a decision is over.
        """
        dialed, lead_text, campaign_text, *_ = (*request.arguments, "", "", "")
        campaign = campaign_id(campaign_text) if campaign_text else None
        attempt = self._attempt(request, lead_id(lead_text), campaign or "")
        if request.script != SCRIPT or len(request.arguments) not in ARGUMENTS:
            return self._note(self._decision(attempt, "", block(verdict.BAD_REQUEST)))
        if not request.channel:
            return self._note(self._decision(attempt, "", block(verdict.BAD_CHANNEL)))
        if emergency := self._numbering.emergency(dialed):
            return self._note(self._decision(attempt, emergency, allow(verdict.EMERGENCY)))
        number = self._numbering.read(dialed)
        try:
            foreseen = yield from self._foresee(attempt, number)
            return foreseen or (yield from self._judge(attempt, number))
        except DeadlinePassed:
            return self._note(self._decision(attempt, number, block(verdict.DEADLINE)))

    def failed(self, request: Request) -> Decision:
        """Block a call that `screen` could not judge because of a fault of its own."""
        return self._note(self._decision(self._attempt(request, None, ""), "", block(verdict.INTERNAL_ERROR)))

    def _foresee(self, attempt: Attempt, number: E164 | InvalidNumber) -> Asking[Decision | None]:
        """Allow a call whose number is on no list, as most are: asked and recorded at once. None for any other."""
        lead, campaign = attempt.lead, attempt.campaign
        facts = None if isinstance(number, InvalidNumber) else self._store.foreseen(number, lead, campaign)
        if facts is None or facts.state is None:
            return None
        ruling = decide(number, facts, attempt.at)
        if ruling.verdict is Verdict.BLOCK:
            return None
        decision = self._decision(attempt, number, ruling, facts.state.generation)
        try:
            return decision if (yield from self._log.record_foreseen(decision, facts)) else None
        except StoreUnavailable:
            return self._note(decision._replace(ruling=block(verdict.STORE_UNAVAILABLE)))
        except RecordUnavailable:
            return self._note(decision._replace(ruling=block(verdict.RECORD_UNAVAILABLE)))

    def _judge(self, attempt: Attempt, number: E164 | InvalidNumber) -> Asking[Decision]:
        lead, campaign = attempt.lead, attempt.campaign
        facts = None if isinstance(number, InvalidNumber) else (yield from self._facts(number, lead, campaign))
        ruling = decide(number, facts, attempt.at)
        generation = facts.state.generation if facts and facts.state else 0
        decision = self._decision(attempt, number, ruling, generation)
        try:
            behind = yield from self._log.record(decision)
        except RecordUnavailable:
            blocked = ruling if ruling.verdict is Verdict.BLOCK else block(verdict.RECORD_UNAVAILABLE)
            return self._note(decision._replace(ruling=blocked))
        if facts is None or ruling.verdict is Verdict.BLOCK or behind == facts.state:
            return decision
        return (yield from self._reconsider(decision, facts))

    def _reconsider(self, decision: Decision, facts: Facts) -> Asking[Decision]:
        """Ask again, because the projection moved between the facts and the record of an ALLOW.

        Without this a revocation could be acknowledged to the person who made it, and a call still pass on what
        was read just before. The record is corrected when the ALLOW no longer holds.
        """
        again = yield from self._facts(facts.number, facts.lead, decision.campaign)
        ruling = decide(facts.number, again, self._clock())
        return decision if ruling.verdict is Verdict.ALLOW else self._note(decision._replace(ruling=ruling))

    def _facts(self, number: E164, lead: LeadId | None, campaign: str) -> Asking[Facts | None]:
        try:
            return (yield from self._store.facts(number, lead, campaign))
        except StoreUnavailable:
            return None

    def _note(self, decision: Decision) -> Decision:
        self._log.note(decision)
        return decision

    def _attempt(self, request: Request, lead: LeadId | None, campaign: str) -> Attempt:
        at = self._clock()
        return Attempt(request, lead, campaign, at, self._ids.next(at))

    def _decision(self, attempt: Attempt, number: str | InvalidNumber, ruling: Ruling, generation: int = 0) -> Decision:
        request = attempt.request
        return Decision(
            id=attempt.decision_id,
            at=attempt.at,
            ruling=ruling,
            dialed=printable(request.arguments[0] if request.arguments else ""),
            number="" if isinstance(number, InvalidNumber) else number,
            lead=attempt.lead or "",
            channel=request.channel,
            generation=generation,
            gate=self._name,
            campaign=attempt.campaign,
        )


def printable(dialed: str) -> str:
    """Give the dialled digits for the record: bounded, and nothing but printable ASCII; `?` stands for the rest."""
    shown = dialed[:LONGEST_DIALED]
    if shown.isascii() and shown.isprintable():
        return shown
    return "".join(c if " " <= c <= "~" else "?" for c in shown)
