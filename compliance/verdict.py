"""What the gate answers: the verdict on a call, the reason for it, and the decision that goes on record."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, NewType


class Verdict(StrEnum):
    """Whether the call may be placed. Whatever is not an explicit ALLOW is a BLOCK."""

    ALLOW = "ALLOW"
    BLOCK = "BLOCK"


Reason = NewType("Reason", str)
"""Why, as a stable slug. Auditors search for it years later, so a slug is never renamed, only retired."""

NOT_LISTED = Reason("not-listed")
OVERRIDE = Reason("override")
EMERGENCY = Reason("emergency")
INVALID_NUMBER = Reason("invalid-number")
STORE_UNAVAILABLE = Reason("store-unavailable")
RECORD_UNAVAILABLE = Reason("record-unavailable")
DEADLINE = Reason("deadline")
BAD_CHANNEL = Reason("bad-channel")
BAD_REQUEST = Reason("bad-request")
INTERNAL_ERROR = Reason("internal-error")

GATE_REASONS: dict[Reason, str] = {
    NOT_LISTED: "The number is on no list that applies.",
    OVERRIDE: "The number is listed, or could not be checked, and this lead holds a live consent override.",
    EMERGENCY: "An emergency number: never stopped.",
    INVALID_NUMBER: "The dialled digits are not one telephone number.",
    STORE_UNAVAILABLE: "Redis could not be asked.",
    RECORD_UNAVAILABLE: "The decision could not be put on record.",
    DEADLINE: "No decision was reached in time.",
    BAD_CHANNEL: "The PBX sent a channel id that cannot be trusted.",
    BAD_REQUEST: "The PBX sent a request that the gate does not know.",
    INTERNAL_ERROR: "The gate failed; its log says where.",
}
"""The reasons that no check gives, as sentences for people. Each check adds its own: see `rule.sentences`."""

DIALPLAN_REASONS: dict[Reason, str] = {
    Reason("gate-unreachable"): "The gate could not be reached.",
    Reason("gate-silent"): "The gate gave no answer in time.",
    Reason("gate-broke-off"): "The gate ended the conversation without a verdict for this very channel.",
    Reason("hung-up"): "The caller hung up before there was a verdict.",
    Reason("bad-arguments"): "The dialplan was asked to screen something that is no pair of dialled digits and lead.",
}
"""The reasons that only a call-detail record has, because no gate decided, as sentences for people."""


_LISTED = "-dnc"


def listed_on(list_name: str) -> Reason:
    """Return the reason for a number that is on a list: `internal-dnc` for the list `internal`."""
    return Reason(f"{list_name}{_LISTED}")


def list_of(reason: Reason) -> str:
    """Return the list that a reason names, as `listed_on` writes it; empty when it names none."""
    return reason.removesuffix(_LISTED) if reason.endswith(_LISTED) else ""


@dataclass(frozen=True, slots=True)
class Ruling:
    """The result of the rule: verdict, reason, a finer slug for the log, and the override that opened the call."""

    verdict: Verdict
    reason: Reason
    detail: str = ""
    override: str = ""


def allow(reason: Reason, detail: str = "", *, override: str = "") -> Ruling:
    """Return the ruling that the call may be placed."""
    return Ruling(Verdict.ALLOW, reason, detail, override)


def block(reason: Reason, detail: str = "") -> Ruling:
    """Return the ruling that the call may not be placed."""
    return Ruling(Verdict.BLOCK, reason, detail)


FREE = allow(NOT_LISTED)
"""The ruling on most calls. One object: whoever holds a million rulings compares and counts them by identity."""


class Decision(NamedTuple):
    """A ruling on one call attempt, as it goes on record.

    `at` is aware UTC. `number` is E.164, or empty when `dialed` is not one telephone number. `generation` is the build
    of the projection that answered, 0 when none did. `gate` names the process that decided. `campaign` is empty when
    the PBX named none.
    """

    id: str
    at: datetime
    ruling: Ruling
    dialed: str
    number: str
    lead: str
    channel: str
    generation: int
    gate: str
    campaign: str = ""
