"""One call-detail record as a row of SQL, and whether the call left the PBX without a verdict."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import translate
from typing import Any, TypeAlias

from sqlalchemy import String

from admin_web.record.models import CallDetail
from compliance import channel_vars
from compliance.verdict import EMERGENCY, Verdict

FIELDS = (
    "start", "answer", "end", "duration", "billsec", "disposition", "clid", "src", "dst", "dcontext", "channel",
    "dstchannel", "lastapp", "uniqueid", "linkedid", "sequence", *channel_vars.CDR_FIELDS,
)  # fmt: skip
"""The fields that `dialplan/cdr_custom.conf` writes, in order."""

TEXTS = {
    "decision_id": channel_vars.CDR_DECISION,
    "source": "src",
    "destination": "dst",
    "verdict": channel_vars.CDR_VERDICT,
    "reason": channel_vars.CDR_REASON,
    "disposition": "disposition",
    "lead": channel_vars.CDR_LEAD,
    "agent": channel_vars.CDR_AGENT,
}
"""Columns that hold a field's text, cut to the column's length."""

LONGEST_EMERGENCY_NUMBER = 6
"""Maximum number of digits of a dialled number for which the reason `emergency` is accepted."""

DetailColumns: TypeAlias = dict[str, Any]
Record: TypeAlias = Mapping[str, str]

_LONGEST = {
    column.name: column.type.length or 0 for column in CallDetail.__table__.columns if isinstance(column.type, String)
}
_TELEPHONE = re.compile(r"((?!Local/)[A-Za-z0-9]{1,20}/.+)-[0-9a-f]{1,8}", re.ASCII)
_UNIQUE_ID = re.compile(r"[!-~]{1,150}", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,9}", re.ASCII)
_MOMENT = re.compile(r"[0-9]{1,10}\.[0-9]{6}", re.ASCII)


class UnreadableDetail(ValueError):
    """A line is not a call-detail record; the message says why."""


class Trunks:
    """Patterns for the names of trunk channels, through which calls leave the PBX."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._pattern = re.compile("|".join(translate(pattern) for pattern in patterns))

    def left_through(self, record: Record) -> str:
        """Return the name of the trunk channel through which the call left, or "" if it did not leave.

        The call's own channel is a trunk channel in two cases: the call came in, or it was originated directly to the
        trunk, past the dialplan. Only in the second case does the record have no caller.
        """
        if self._pattern.match(record["dstchannel"]):
            return record["dstchannel"]
        if not record["src"] and self._pattern.match(record["channel"]):
            return record["channel"]
        return ""

    def telephone_of(self, record: Record) -> str:
        """Return the endpoint of the call's own channel: `PJSIP/alice` for `PJSIP/alice-0000001f`.

        Asterisk appends a hyphen and a serial number in hexadecimal. A trunk is nobody's telephone, and a Local channel
        is only a link between channels: for both the result is "".
        """
        channel = record["channel"]
        found = _TELEPHONE.fullmatch(channel)
        return found[1] if found and not self._pattern.match(channel) else ""


def row_of(fields: Sequence[str], trunks: Trunks) -> DetailColumns:
    """Convert the fields of one record into a row. Raises UnreadableDetail."""
    if len(fields) != len(FIELDS):
        raise UnreadableDetail(f"{len(fields)} fields instead of {len(FIELDS)}")
    record = dict(zip(FIELDS, fields, strict=True))
    trunk = trunks.left_through(record)
    return {
        "channel": _unique_id(record["uniqueid"]),
        "linked_channel": _unique_id(record["linkedid"]),
        "sequence": _count(record["sequence"]),
        "trunk": _fitting("trunk", trunk),
        "telephone": _fitting("telephone", trunks.telephone_of(record)),
        "unscreened": bool(trunk) and not allowed(record),
        "started_at": _moment(record["start"]),
        "answered_at": _moment_if_any(record["answer"]),
        "ended_at": _moment_if_any(record["end"]),
        "seconds_billed": _count(record["billsec"]),
        **{column: _fitting(column, record[field]) for column, field in TEXTS.items()},
    }


def allowed(record: Record) -> bool:
    """Return whether the record has a valid ALLOW verdict: one with a decision, or one for an emergency number."""
    emergency = (
        record[channel_vars.CDR_REASON] == EMERGENCY
        and len(record[channel_vars.CDR_NUMBER]) <= LONGEST_EMERGENCY_NUMBER
    )
    return record[channel_vars.CDR_VERDICT] == Verdict.ALLOW and bool(record[channel_vars.CDR_DECISION] or emergency)


def _unique_id(text: str) -> str:
    if not _UNIQUE_ID.fullmatch(text):
        raise UnreadableDetail("the unique id is missing or malformed")
    return text


def _count(text: str) -> int:
    if not _COUNT.fullmatch(text):
        raise UnreadableDetail(f"{text[:20]!r} is not a count")
    return int(text)


def _moment(text: str) -> datetime:
    if not _MOMENT.fullmatch(text):
        raise UnreadableDetail(f"{text[:20]!r} is not a time")
    return datetime.fromtimestamp(float(text), UTC)


def _moment_if_any(text: str) -> datetime | None:
    """Parse a time; None for zero, which the PBX writes for an event that did not happen."""
    return _moment(text) if text.strip("0.") else None


def _fitting(column: str, text: str) -> str:
    """Cut a text to its column's length and replace unprintable characters: callers choose parts of the text."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text[: _LONGEST[column]])
