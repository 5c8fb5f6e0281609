"""One call: from the dialled digits to a decision on record. Every path ends in a Decision, none in a guess."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from agi_gate.decision_id import DecisionIds
from agi_gate.decision_log import DecisionLog, RecordUnavailable
from agi_gate.protocol import Request
from agi_gate.store import Store
from agi_gate.wire import StoreUnavailable
from compliance import verdict
from compliance.numbers import E164, InvalidNumber, LeadId, emergency_number, lead_id, normalize
from compliance.policy import Facts, decide
from compliance.verdict import Decision, Ruling, Verdict, allow, block

SCRIPT = "screen"
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


class Gate:
    """Screens calls. `deadline_s` bounds the whole of a decision, in seconds; `clock` gives aware UTC."""

    def __init__(
        self,
        store: Store,
        log: DecisionLog,
        numbering: Numbering,
        *,
        name: str,
        deadline_s: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._store, self._log, self._numbering = store, log, numbering
        self._name, self._deadline_s, self._clock = name, deadline_s, clock
        self._ids = DecisionIds()

    async def screen(self, request: Request) -> Decision:
        """Judge the call that `request` asks about. An ALLOW is on record before it is returned."""
        dialed, lead_text = request.arguments if len(request.arguments) == 2 else ("", "")
        lead = lead_id(lead_text)
        if request.script != SCRIPT or len(request.arguments) != 2:
            return self._note(self._decision(request, "", lead, block(verdict.BAD_REQUEST)))
        if not request.channel:
            return self._note(self._decision(request, "", lead, block(verdict.BAD_CHANNEL)))
        if emergency := self._numbering.emergency(dialed):
            return self._note(self._decision(request, emergency, lead, allow(verdict.EMERGENCY)))
        number = self._numbering.read(dialed)
        late = self._decision(request, number, lead, block(verdict.DEADLINE))
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._judge(number, lead, late)
        except TimeoutError:
            return self._note(late)

    def failed(self, request: Request) -> Decision:
        """Block a call that `screen` could not judge because of a fault of its own."""
        return self._note(self._decision(request, "", None, block(verdict.INTERNAL_ERROR)))

    async def _judge(self, number: E164 | InvalidNumber, lead: LeadId | None, draft: Decision) -> Decision:
        facts = None if isinstance(number, InvalidNumber) else await self._facts(number, lead)
        ruling = decide(number, facts, draft.at)
        generation = facts.state.generation if facts and facts.state else 0
        decision = replace(draft, ruling=ruling, generation=generation)
        try:
            behind = await self._log.record(decision)
        except RecordUnavailable:
            blocked = ruling if ruling.verdict is Verdict.BLOCK else block(verdict.RECORD_UNAVAILABLE)
            return self._note(replace(decision, ruling=blocked))
        if facts is None or ruling.verdict is Verdict.BLOCK or behind == facts.state:
            return decision
        return await self._reconsider(decision, facts)

    async def _reconsider(self, decision: Decision, facts: Facts) -> Decision:
        """Ask again, because the projection moved between the facts and the record of an ALLOW.

        Without this a revocation could be acknowledged to the person who made it, and a call still pass on what
        was read just before. The record is corrected when the ALLOW no longer holds.
        """
        ruling = decide(facts.number, await self._facts(facts.number, facts.lead), self._clock())
        return decision if ruling.verdict is Verdict.ALLOW else self._note(replace(decision, ruling=ruling))

    async def _facts(self, number: E164, lead: LeadId | None) -> Facts | None:
        try:
            return await self._store.facts(number, lead)
        except StoreUnavailable:
            return None

    def _note(self, decision: Decision) -> Decision:
        self._log.note(decision)
        return decision

    def _decision(self, request: Request, number: str | InvalidNumber, lead: LeadId | None, ruling: Ruling) -> Decision:
        at = self._clock()
        return Decision(
            id=self._ids.next(at),
            at=at,
            ruling=ruling,
            dialed=printable(request.arguments[0] if request.arguments else ""),
            number="" if isinstance(number, InvalidNumber) else number,
            lead=lead or "",
            channel=request.channel,
            generation=0,
            gate=self._name,
        )


def printable(dialed: str) -> str:
    """Give the dialled digits for the record: bounded, and nothing but printable ASCII; `?` stands for the rest."""
    return "".join(c if " " <= c <= "~" else "?" for c in dialed[:LONGEST_DIALED])
