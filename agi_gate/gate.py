"""Judge one call: from the dialled digits to a decision on record. Every path ends in a Decision."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from agi_gate.decision_id import DecisionIds
from agi_gate.decision_log import DecisionLog, RecordUnavailable
from agi_gate.request import Request
from agi_gate.store.facts import FactStore
from agi_gate.store.questions import RedisSteps
from agi_gate.store.wire import StoreUnavailable
from compliance import verdict
from compliance.facts import Facts
from compliance.numbers import E164, InvalidNumber, LeadId, emergency_number, lead_id, normalize
from compliance.rule import decide, foreseeable
from compliance.terms import campaign_id
from compliance.verdict import Decision, Ruling, Verdict, allow, block

SCRIPT = "screen"
ARGUMENTS = (2, 3)
"""Allowed numbers of arguments of a request: the dialled digits, the lead, and the campaign if there is one."""

LONGEST_DIALED = 64
"""Maximum number of dialled characters that go on record. The rule reads all of them."""


@dataclass(frozen=True, slots=True)
class Numbering:
    """How this PBX writes numbers: the region of national numbers, and the prefix for an outside line."""

    region: str
    prefix: str = ""

    def read(self, dialed: str) -> E164 | InvalidNumber:
        """Return the number that `dialed` means, or an InvalidNumber that says why it is not a number."""
        try:
            return normalize(dialed, self.region, self.prefix)
        except InvalidNumber as error:
            return error

    def emergency(self, dialed: str) -> str | None:
        """Return the emergency number that was dialled; None if `dialed` is not exactly an emergency number."""
        return emergency_number(dialed, self.region, self.prefix)


class DeadlinePassed(Exception):
    """The time limit for a decision has passed."""


class Attempt(NamedTuple):
    """One call to judge, with the time (aware UTC) and the id of its decision."""

    request: Request
    lead: LeadId | None
    campaign: str
    at: datetime
    decision_id: str


class Gate:
    """Screens calls. `name` goes on record with each decision; `clock` returns aware UTC."""

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

    def screen(self, request: Request) -> RedisSteps[Decision]:
        """Judge the call of `request`. An ALLOW is on record before it is returned.

        The caller of this generator sends the yielded questions to Redis, and throws DeadlinePassed into the generator
        if it reaches no decision in time.
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
        """Return a BLOCK for a call whose `screen` raised an exception, and put it on record."""
        return self._note(self._decision(self._attempt(request, None, ""), "", block(verdict.INTERNAL_ERROR)))

    def _foresee(self, attempt: Attempt, number: E164 | InvalidNumber) -> RedisSteps[Decision | None]:
        """Allow a call on foreseen facts, in the same round trip that records it; return None if that is not possible.

        Most calls take this path, because most numbers are on no list. If the foreseen facts are in doubt or would
        block the call, the gate reads the facts from Redis and judges the call on them.
        """
        lead, campaign = attempt.lead, attempt.campaign
        facts = None if isinstance(number, InvalidNumber) else self._store.foreseen(number, lead, campaign)
        # Redis compares the foreseen facts with the real ones. If the rule contains a check on a fact that Redis does
        # not compare, no call may take this path.
        if facts is None or facts.state is None or not foreseeable():
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

    def _judge(self, attempt: Attempt, number: E164 | InvalidNumber) -> RedisSteps[Decision]:
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

    def _reconsider(self, decision: Decision, facts: Facts) -> RedisSteps[Decision]:
        """Judge again, because the projection changed after the facts were read and before the ALLOW was recorded.

        Otherwise the site could report a revocation as in force while a call still passes on facts read before it. If
        the new ruling is a BLOCK, a second record with the same id corrects the ALLOW.
        """
        again = yield from self._facts(facts.number, facts.lead, decision.campaign)
        ruling = decide(facts.number, again, self._clock())
        return decision if ruling.verdict is Verdict.ALLOW else self._note(decision._replace(ruling=ruling))

    def _facts(self, number: E164, lead: LeadId | None, campaign: str) -> RedisSteps[Facts | None]:
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
        # By position, because keywords take twice as long.
        return Decision(
            attempt.decision_id,
            attempt.at,
            ruling,
            printable(request.arguments[0] if request.arguments else ""),
            "" if isinstance(number, InvalidNumber) else number,
            attempt.lead or "",
            request.channel,
            generation,
            self._name,
            attempt.campaign,
            request.peer,
        )


def printable(dialed: str) -> str:
    """Return the dialled digits for the record: shortened, and with `?` for each character except printable ASCII."""
    shown = dialed[:LONGEST_DIALED]
    if shown.isascii() and shown.isprintable():
        return shown
    return "".join(c if " " <= c <= "~" else "?" for c in shown)
