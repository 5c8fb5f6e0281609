"""Judge what the gate did with a call, by the rule of docs/design.md and by what Redis really held."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agi_gate.screening import Screening
from bench.fuzz.answers import Connection, Violation
from bench.fuzz.environments import Dialogue
from bench.fuzz.hearing import Heard, heard
from bench.fuzz.spellings import EMERGENCY, MEANINGS
from bench.fuzz.worlds import World
from compliance.verdict import Decision

_LEAD = re.compile(rb"[A-Za-z0-9_.-]{1,64}")
REQUEST_ARGUMENTS = {2, 3}


@dataclass(slots=True)
class Call:
    """One generated call, and what became of it."""

    dialogue: Dialogue
    connection: Connection
    screening: Screening | None = None
    decision: Decision | None = None
    decisions: int = 0


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry of the stream: the verdict, and the position of the world in which it was appended."""

    verdict: bytes
    moment: int


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What held while some calls were judged.

    `moments` are the worlds, one after the other. `noted` has the ids that wait for their record. `clean` says that
    Redis answered everything soundly. `clock` says whether the gate's clock could be trusted.
    """

    moments: Sequence[World]
    recorded: Mapping[bytes, list[Recorded]]
    noted: frozenset[str]
    replicas: int
    clean: bool
    clock: bool

    def permits(self, asked: Heard, world: World, number: str) -> bool:
        """Return whether the rule allows a call to `number` in a world."""
        if world.acknowledged < self.replicas:
            return False
        lead = asked.arguments[1].decode() if _LEAD.fullmatch(asked.arguments[1]) else ""
        campaign = asked.arguments[2].decode("utf-8", "replace") if len(asked.arguments) > 2 else ""
        return world.permits(number, lead, campaign, clock=self.clock)


def judge(call: Call, then: Circumstances) -> str:
    """Return what became of a call, as words to count. Raises Violation."""
    answer = call.connection.answer()
    if call.screening is None:
        _require(answer is None, "an answer without a call", call)
        _require(not call.dialogue.whole, "an environment of Asterisk was refused", call)
        return "refused"
    decision = call.decision
    if decision is None or call.decisions != 1:
        raise Violation(f"{call.decisions} decisions: {call.dialogue}")
    reason = decision.ruling.reason
    _require(reason != "internal-error", "the gate failed", call)
    kept = decision.id.encode() in then.recorded or decision.id in then.noted
    _require(kept, "a decision without its record", call)
    if answer and answer["channel"]:
        require_allowed(call, answer, then)
    elif answer and then.clean and call.dialogue.whole:
        _require(not is_free(heard(call.dialogue.environment), then), "a call was blocked without a reason", call)
    return f"{decision.ruling.verdict} {reason}"


def require_allowed(call: Call, answer: re.Match[bytes], then: Circumstances) -> None:
    """Raise Violation unless the rule gives the ALLOW in `answer`, and Redis has its record."""
    asked = heard(b"".join(call.dialogue[:3]))
    if asked is None or asked.script != b"screen" or len(asked.arguments) not in REQUEST_ARGUMENTS:
        raise Violation(f"an ALLOW for what is no request: {call.dialogue}")
    _require(answer["channel"] == asked.channel, "an ALLOW for another channel", call)
    _require(answer["verdict"] == b"ALLOW", "two verdicts in one answer", call)
    number, dialed = answer["number"].decode(), asked.arguments[0].decode("utf-8", "replace")
    known = MEANINGS.get(dialed)
    _require(number == known if known is not None else _resembles(dialed, number), "another number was dialled", call)
    if number == EMERGENCY:
        return
    entries = then.recorded.get(answer["decision"], [])
    _require({one.verdict for one in entries} == {b"ALLOW"}, "an ALLOW without its record", call)
    # A change that comes after the record may already count. One that came before it must.
    since = then.moments[entries[-1].moment :]
    permitted = any(then.permits(asked, world, number) for world in since)
    _require(permitted, "an ALLOW that the rule does not give", call)


def is_free(asked: Heard | None, then: Circumstances) -> bool:
    """Return whether the gate must allow a call. The dialled text must be one whose meaning is known."""
    if asked is None or asked.script != b"screen" or len(asked.arguments) not in REQUEST_ARGUMENTS or not asked.channel:
        return False
    meant = MEANINGS[asked.arguments[0].decode()]
    return meant == EMERGENCY or (meant != "" and then.permits(asked, then.moments[0], meant))


def _resembles(dialed: str, number: str) -> bool:
    """Return whether a number could be what was dialled: the same seven digits are in it."""
    digits = "".join(str(int(char)) for char in dialed if char.isdecimal())
    return number[-7:] in digits or number == digits == EMERGENCY


def _require(holds: bool, what: str, call: Call) -> None:
    if not holds:
        raise Violation(f"{what}: {call.dialogue} {call.connection.lines} {call.decision}")
