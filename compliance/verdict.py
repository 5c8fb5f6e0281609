"""What the gate says of a call: the verdict, the reason for it, and the decision that goes on record."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, NewType


class Verdict(StrEnum):
    """May the call be placed? Anything that is not an explicit ALLOW is a BLOCK."""

    ALLOW = "ALLOW"
    BLOCK = "BLOCK"


Reason = NewType("Reason", str)
"""Why, as a stable slug. Auditors search for these years later: a slug is never renamed, only retired."""

NOT_LISTED = Reason("not-listed")
OVERRIDE = Reason("override")
EMERGENCY = Reason("emergency")
INVALID_NUMBER = Reason("invalid-number")
REGISTRY_STALE = Reason("registry-stale")
REGISTRY_UNCOVERED = Reason("registry-uncovered")
STATE_UNVERIFIED = Reason("state-unverified")
STORE_UNAVAILABLE = Reason("store-unavailable")
RECORD_UNAVAILABLE = Reason("record-unavailable")
DEADLINE = Reason("deadline")
BAD_CHANNEL = Reason("bad-channel")
BAD_REQUEST = Reason("bad-request")
INTERNAL_ERROR = Reason("internal-error")

SENTENCES: dict[Reason, str] = {
    NOT_LISTED: "The number is on no list that applies.",
    OVERRIDE: "The number is listed, or could not be checked, and this lead holds a live consent override.",
    EMERGENCY: "An emergency number: never stopped.",
    Reason("internal-dnc"): "The number is on the company's own Do-Not-Call list.",
    REGISTRY_STALE: "The copy of a registry that should cover the number is too old.",
    REGISTRY_UNCOVERED: "A registry should cover the number, and its area code was never imported.",
    INVALID_NUMBER: "The dialled digits are not one telephone number.",
    STATE_UNVERIFIED: "Redis answered, but it is not known to hold the whole, current list.",
    STORE_UNAVAILABLE: "Redis could not be asked.",
    RECORD_UNAVAILABLE: "The decision could not be put on record.",
    DEADLINE: "No decision was reached in time.",
    BAD_CHANNEL: "The PBX sent a channel id that cannot be trusted.",
    BAD_REQUEST: "The PBX sent a request that the gate does not know.",
    INTERNAL_ERROR: "The gate failed; its log says where.",
}
"""Each reason of the gate as a sentence for people. Registries add theirs by name: see `listed_on`."""


DIALPLAN_REASONS: dict[Reason, str] = {
    Reason("gate-unreachable"): "The gate could not be reached.",
    Reason("gate-silent"): "The gate gave no answer in time.",
    Reason("gate-broke-off"): "The gate ended the conversation without a verdict for this very channel.",
    Reason("hung-up"): "The caller hung up before there was a verdict.",
    Reason("bad-arguments"): "The dialplan was asked to screen something that is no pair of dialled digits and lead.",
}
"""The reasons that only a call-detail record carries, because no gate decided, as sentences for people."""


def listed_on(list_name: str) -> Reason:
    """Name the reason of a number that stands on `list_name`: `internal` gives `internal-dnc`."""
    return Reason(f"{list_name}-dnc")


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the rule says: verdict, reason, a finer slug for the log, and the override that opened the call."""

    verdict: Verdict
    reason: Reason
    detail: str = ""
    override: str = ""


def allow(reason: Reason, detail: str = "", *, override: str = "") -> Ruling:
    """Rule that the call may be placed."""
    return Ruling(Verdict.ALLOW, reason, detail, override)


def block(reason: Reason, detail: str = "") -> Ruling:
    """Rule that the call may not be placed."""
    return Ruling(Verdict.BLOCK, reason, detail)


class Decision(NamedTuple):
    """A ruling on one call attempt, as it goes on record.

    `number` is E.164, or empty when `dialed` is not one telephone number; `generation` is the build of the
    projection that was asked, 0 when none was; `at` is aware UTC; `gate` names the process that decided; `campaign` is
    what the PBX said of it, empty when that was none.
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
