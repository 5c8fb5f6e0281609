"""The gate's answer to a call: the verdict, the reason for it, and the decision that goes on record."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, NewType


class Verdict(StrEnum):
    """Whether the call may be placed. Everything except an explicit ALLOW is a BLOCK."""

    ALLOW = "ALLOW"
    BLOCK = "BLOCK"


Reason = NewType("Reason", str)
"""The reason of a verdict, as a slug. Auditors search for it years later, so a slug is never renamed, only retired."""

NOT_LISTED = Reason("not-listed")
OVERRIDE = Reason("override")
EMERGENCY = Reason("emergency")
INVALID_NUMBER = Reason("invalid-number")
STORE_UNAVAILABLE = Reason("store-unavailable")
RECORD_UNAVAILABLE = Reason("record-unavailable")
RECORDS_LOST = Reason("records-lost")
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
    RECORDS_LOST: "The gate lost the records of calls. This record stands for them; its detail says how many.",
    DEADLINE: "No decision was reached in time.",
    BAD_CHANNEL: "The PBX sent a channel id that cannot be trusted.",
    BAD_REQUEST: "The PBX sent a request that the gate does not know.",
    INTERNAL_ERROR: "The gate failed; its log says where.",
}
"""The gate's reasons that belong to no check, as sentences for people. Each check adds more: see `rule.sentences`."""

DIALPLAN_REASONS: dict[Reason, str] = {
    Reason("gate-unreachable"): "The gate could not be reached.",
    Reason("gate-silent"): "The gate gave no answer in time.",
    Reason("gate-broke-off"): "The gate ended the conversation without a verdict for this very channel.",
    Reason("hung-up"): "The caller hung up before there was a verdict.",
    Reason("bad-arguments"): "The dialplan was asked to screen something that is no pair of dialled digits and lead.",
}
"""The dialplan's reasons, as sentences for people. Only call-detail records have them, because no gate decided."""


_LISTED = "-dnc"


def listed_on(list_name: str) -> Reason:
    """Return the reason for a number that is on a list: `internal-dnc` for the list `internal`."""
    return Reason(f"{list_name}{_LISTED}")


def list_of(reason: Reason) -> str:
    """Return the list that a reason names: the inverse of `listed_on`. Empty if the reason names no list."""
    return reason.removesuffix(_LISTED) if reason.endswith(_LISTED) else ""


@dataclass(frozen=True, slots=True)
class Ruling:
    """The result of the rule: verdict, reason, a more precise slug for the log, and the override that was used."""

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
"""The ruling on most calls. It is a single object, so that code with a million rulings can compare them by identity."""


class Decision(NamedTuple):
    """A ruling on one call attempt, as it goes on record.

    `at` is aware UTC. `number` is E.164, or empty if `dialed` is not one telephone number. `generation` is the build of
    the projection that answered, or 0 if none did. `gate` names the process that decided, `peer` the address that asked
    it. `campaign` is empty if the PBX named none.
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
    peer: str = ""
