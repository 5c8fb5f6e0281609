"""Decisions as rows of SQL, one for each, whichever of its records comes first.

A decision may stand on the stream more than once. The gate records an ALLOW before it answers; when it then cannot
keep its word (the deadline, a change meanwhile) it records a BLOCK under the same id, and answers that. After a BLOCK
it never answers ALLOW. So a BLOCK outranks an ALLOW, and the BLOCK of the deadline, which is the gate's last word,
outranks any other, in whatever order they come. The order of the stream would not do: a command that was given up for
lost may be appended after the one that corrects it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, String, and_, or_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from admin_web.services.dialect import insert_into
from compliance import verdict
from compliance.models import DecisionRecord
from compliance.redis_schema import read_decision
from compliance.verdict import Verdict

Row: TypeAlias = dict[str, Any]

_COLUMNS = DecisionRecord.__table__.columns
_LONGEST = {column.name: column.type.length for column in _COLUMNS if isinstance(column.type, String)}
_LARGEST = 2**63 - 1


class Unreadable(ValueError):
    """An entry of the stream is no decision that SQL could hold; the message says why."""


def row_of(fields: Mapping[bytes, bytes], archived_at: datetime) -> Row:
    """Read an entry of the stream as a row. Raises Unreadable."""
    try:
        decision = read_decision(fields)
    except (KeyError, ValueError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from None
    ruling = decision.ruling
    texts = {
        "id": decision.id,
        "verdict": ruling.verdict.value,
        "reason": ruling.reason,
        "detail": ruling.detail,
        "override": ruling.override,
        "number": decision.number,
        "dialed": decision.dialed,
        "lead": decision.lead,
        "channel": decision.channel,
        "gate": decision.gate,
    }
    for name, text in texts.items():
        if len(text) > (_LONGEST[name] or 0):
            raise Unreadable(f"{name} is longer than {_LONGEST[name]} characters")
    if not decision.id or not 0 <= decision.generation <= _LARGEST:
        raise Unreadable("id or generation is out of range")
    # PostgreSQL stores no NUL in text.
    kept = {name: text.replace("\0", "\ufffd") for name, text in texts.items()}
    return {**kept, "at": decision.at, "generation": decision.generation, "archived_at": archived_at}


def last_words(rows: Iterable[Row]) -> list[Row]:
    """Give one row for each decision, by id, so that two writers never wait for each other in a circle."""
    last: dict[str, Row] = {}
    for row in rows:
        if row["id"] not in last or _rank(row) > _rank(last[row["id"]]):
            last[row["id"]] = row
    return [last[decision] for decision in sorted(last)]


async def put(session: AsyncSession, rows: Sequence[Row]) -> None:
    """Write rows, each decision once; what is there already changes only for a record that outranks it."""
    insert = insert_into(session, DecisionRecord)
    new = insert.excluded
    insert = insert.on_conflict_do_update(
        index_elements=["id"],
        set_={name: new[name] for name in _COLUMNS.keys() if name != "id"},  # noqa: SIM118
        where=_outranks(new),
    )
    await (await session.connection()).execute(insert, list(rows))


def _rank(row: Row) -> int:
    if row["verdict"] != Verdict.BLOCK:
        return 0
    return 2 if row["reason"] == verdict.DEADLINE else 1


def _outranks(new: ReadOnlyColumnCollection[str, Any]) -> ColumnElement[bool]:
    """Say in SQL that `new` outranks the row that is there; the same order as `_rank`."""
    last_word = and_(new["reason"] == verdict.DEADLINE, DecisionRecord.reason != verdict.DEADLINE)
    return and_(new["verdict"] == Verdict.BLOCK, or_(DecisionRecord.verdict == Verdict.ALLOW, last_word))
