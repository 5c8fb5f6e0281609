"""What gate processes write to Redis: decision records, as entries of a stream, and heartbeats."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from compliance.redis_schema import epoch_ms, from_epoch_ms
from compliance.verdict import Decision, Reason, Ruling, Verdict

DECISION_FIELDS = (
    *("id", "at", "verdict", "reason", "detail", "override"),
    *("number", "dialed", "lead", "channel", "generation", "gate", "peer"),
)
"""The fields of each entry of the decision stream, in order. `campaign` follows if the call has one."""


def decision_values(decision: Decision) -> tuple[str, ...]:
    """Encode a decision as the values of `DECISION_FIELDS`, in their order."""
    ruling = decision.ruling
    return (
        decision.id,
        str(epoch_ms(decision.at)),
        ruling.verdict,
        ruling.reason,
        ruling.detail,
        ruling.override,
        decision.number,
        decision.dialed,
        decision.lead,
        decision.channel,
        str(decision.generation),
        decision.gate,
        decision.peer,
    )


def decision_fields(decision: Decision) -> dict[str, str]:
    """Encode a decision as the fields of one entry of the decision stream."""
    fields = dict(zip(DECISION_FIELDS, decision_values(decision), strict=True))
    # Redis stores no field names for an entry that has the same fields as the first entry of its stream node
    # (t_stream.c, STREAM_ITEM_FLAG_SAMEFIELDS). So a call without a campaign gets no campaign field.
    return fields | {"campaign": decision.campaign} if decision.campaign else fields


def read_decision(fields: Mapping[bytes, bytes]) -> Decision:
    """Parse an entry that `decision_fields` encoded. Raises KeyError or ValueError for any other."""
    text = {name.decode(): value.decode() for name, value in fields.items()}
    ruling = Ruling(Verdict(text["verdict"]), Reason(text["reason"]), text["detail"], text["override"])
    return Decision(
        id=text["id"],
        at=from_epoch_ms(int(text["at"])),
        ruling=ruling,
        dialed=text["dialed"],
        number=text["number"],
        lead=text["lead"],
        channel=text["channel"],
        generation=int(text["generation"]),
        gate=text["gate"],
        campaign=text.get("campaign", ""),
        peer=text.get("peer", ""),  # A gate of an earlier version does not name it.
    )


@dataclass(frozen=True, slots=True)
class GateHeartbeat:
    """The state of a gate process: its AGI address, when it started (aware UTC), and its counts since then.

    `doubt` says why the process cannot allow calls now; it is empty if the process can. `unrecorded` counts the
    decisions in the backlog, and `dropped` the decisions that were lost.
    """

    listens: str
    started_at: datetime
    generation: int
    doubt: str
    calls: int
    unrecorded: int
    dropped: int


def heartbeat_value(heartbeat: GateHeartbeat) -> str:
    """Encode a heartbeat."""
    numbers = (epoch_ms(heartbeat.started_at), heartbeat.generation)
    counts = (heartbeat.calls, heartbeat.unrecorded, heartbeat.dropped)
    # The doubt comes last because it may contain the separator.
    return "|".join([*map(str, (*numbers, *counts)), heartbeat.listens, heartbeat.doubt])


def read_heartbeat(value: bytes) -> GateHeartbeat:
    """Parse a value that `heartbeat_value` encoded. Raises ValueError for any other."""
    *numbers, listens, doubt = value.decode().split("|", 6)
    started_ms, generation, calls, unrecorded, dropped = map(int, numbers)
    return GateHeartbeat(listens, from_epoch_ms(started_ms), generation, doubt, calls, unrecorded, dropped)
