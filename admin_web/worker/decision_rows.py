"""Decisions as rows of SQL: one row per decision, even if its records arrive out of order.

A decision may be on the stream more than once. The gate records an ALLOW before it answers. If it then cannot answer
ALLOW (because of the deadline, or a change meanwhile), it records a BLOCK under the same id and answers BLOCK. After a
BLOCK it never answers ALLOW. So a BLOCK outranks an ALLOW, and a BLOCK for the deadline, which is always the gate's
final answer, outranks any other. The order on the stream is not reliable: a command that timed out may be appended
after its correction.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import String, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.dialect import each_of, each_row, hold, insert_into
from admin_web.record.models import CallRequest, DecisionRecord, DecisionTotal, Lead
from admin_web.worker.call_agents import LOCK, NOBODY, CallAgent, call_agents
from compliance import verdict
from compliance.redis_records import read_decision
from compliance.verdict import Verdict
from compliance.zones import quarter_of

DecisionColumns: TypeAlias = dict[str, Any]

_COLUMNS = DecisionRecord.__table__.columns
_LONGEST = {column.name: column.type.length for column in _COLUMNS if isinstance(column.type, String)}
_LARGEST = 2**63 - 1


class UnreadableDecision(ValueError):
    """SQL cannot store an entry of the stream as a decision. The message says why."""


def row_of(fields: Mapping[bytes, bytes], archived_at: datetime) -> DecisionColumns:
    """Convert an entry of the stream into a row. Raises UnreadableDecision."""
    try:
        decision = read_decision(fields)
    except (KeyError, ValueError) as error:
        raise UnreadableDecision(f"{type(error).__name__}: {error}") from None
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
        "campaign": decision.campaign,
        "peer": decision.peer,
    }
    for name, text in texts.items():
        if len(text) > (_LONGEST[name] or 0):
            raise UnreadableDecision(f"{name} is longer than {_LONGEST[name]} characters")
    if not decision.id or not 0 <= decision.generation <= _LARGEST:
        raise UnreadableDecision("id or generation is out of range")
    # PostgreSQL cannot store NUL in text.
    kept = {name: text.replace("\0", "\ufffd") for name, text in texts.items()}
    return {**kept, "at": decision.at, "generation": decision.generation, "archived_at": archived_at}


def last_words(rows: Iterable[DecisionColumns]) -> list[DecisionColumns]:
    """Return one row per decision, the highest-ranking one, ordered by id so that two writers cannot deadlock."""
    last: dict[str, DecisionColumns] = {}
    for row in rows:
        if row["id"] not in last or _rank(row) > _rank(last[row["id"]]):
            last[row["id"]] = row
    return [last[decision] for decision in sorted(last)]


async def put(session: AsyncSession, rows: Sequence[DecisionColumns]) -> None:
    """Write rows, one per decision. An existing row changes only for a record that outranks it.

    `decision_totals` and the leads' `last_called_at` are updated in the same transaction. Rows are locked in the order
    of their ids and totals in the order of their keys, so that two writers cannot deadlock.
    """
    rows = await _with_agents(session, rows)
    written = await _insert(session, rows)
    news = [row for row in rows if row["id"] in written]
    corrected, replaced = await _correct(session, [row for row in rows if row["id"] not in written])
    await _count(session, [*news, *corrected], replaced)
    await _move_leads(session, [*news, *corrected])


def _rank(row: DecisionColumns) -> int:
    if row["verdict"] != Verdict.BLOCK:
        return 0
    return 2 if row["reason"] == verdict.DEADLINE else 1


async def _with_agents(session: AsyncSession, rows: Sequence[DecisionColumns]) -> list[DecisionColumns]:
    """Add who called: the agent who clicked Call, or else the agent and telephone that the PBX's records name.

    The call request is always in SQL by now, because it is recorded before the PBX starts the call. The records may
    come later; their reader then adds the agent.
    """
    await hold(session, LOCK, shared=True)
    channels = select(each_of(session, [row["channel"] for row in rows]))
    asked = select(CallRequest.channel, CallRequest.asked_by).where(CallRequest.channel.in_(channels))
    agents = {row.channel: row.asked_by for row in await session.execute(asked)}
    recorded = await call_agents(session, [row["id"] for row in rows])
    return [_with_agent(row, agents.get(row["channel"], ""), recorded.get(row["id"], NOBODY)) for row in rows]


def _with_agent(row: DecisionColumns, clicked_by: str, recorded: CallAgent) -> DecisionColumns:
    return {**row, "agent": clicked_by or recorded.agent, "telephone": recorded.telephone}


async def _insert(session: AsyncSession, rows: Sequence[DecisionColumns]) -> set[str]:
    """Insert the rows of new decisions and return their ids.

    The statement waits for other writers of the same decisions.
    """
    insert = insert_into(session, DecisionRecord).from_select(list(rows[0]), each_row(session, DecisionRecord, rows))
    return set(await session.scalars(insert.on_conflict_do_nothing().returning(DecisionRecord.id)))


async def _correct(
    session: AsyncSession, rows: Sequence[DecisionColumns]
) -> tuple[list[DecisionColumns], list[DecisionColumns]]:
    """Replace each existing row that a new row outranks. Return the new rows, and the rows that they replaced."""
    there = await _held(session, [row["id"] for row in rows])
    corrected = [row for row in rows if _rank(row) > _rank(there[row["id"]])]
    for row in corrected:
        await session.execute(update(DecisionRecord).where(DecisionRecord.id == row["id"]).values(row))
    return corrected, [there[row["id"]] for row in corrected]


async def _held(session: AsyncSession, ids: Sequence[str]) -> dict[str, DecisionColumns]:
    if not ids:
        return {}
    columns = (DecisionRecord.id, DecisionRecord.at, DecisionRecord.verdict, DecisionRecord.reason)
    known = select(*columns).where(DecisionRecord.id.in_(select(each_of(session, ids))))
    asked = known.order_by(DecisionRecord.id).with_for_update()
    return {row["id"]: dict(row) for row in (await session.execute(asked)).mappings()}


async def _count(session: AsyncSession, added: Iterable[DecisionColumns], taken: Iterable[DecisionColumns]) -> None:
    """Add rows to the totals of their quarters of an hour, and subtract the replaced ones."""
    changes: Counter[tuple[datetime, str, str]] = Counter(_total_of(row) for row in added)
    changes.subtract(_total_of(row) for row in taken)
    insert = insert_into(session, DecisionTotal)
    insert = insert.on_conflict_do_update(
        index_elements=["began_at", "verdict", "reason"],
        set_={"decisions": DecisionTotal.decisions + insert.excluded.decisions},
    )
    for key, change in sorted(changes.items()):
        values = dict(zip(("began_at", "verdict", "reason"), key, strict=True))
        await session.execute(insert.values(**values, decisions=change))


async def _move_leads(session: AsyncSession, rows: Iterable[DecisionColumns]) -> None:
    """Move each lead that was called to its new place in the dial queue. Every allowed call counts, whoever placed it.

    If the ALLOW is corrected to a BLOCK later, the lead keeps its new place.
    """
    called: dict[str, datetime] = {}
    for row in rows:
        if row["lead"] and row["verdict"] == Verdict.ALLOW:
            called[row["lead"]] = max(row["at"], called.get(row["lead"], row["at"]))
    if not called:
        return
    locked = select(Lead.id).where(Lead.id.in_(select(each_of(session, sorted(called))))).order_by(Lead.id)
    leads = (await session.scalars(locked.with_for_update(key_share=True))).all()
    if leads:
        earlier = update(Lead).where(Lead.id == bindparam("called"), Lead.last_called_at < bindparam("moment"))
        moved = earlier.values(last_called_at=bindparam("moment"))
        moments = [{"called": lead, "moment": called[lead]} for lead in leads]
        await (await session.connection()).execute(moved, moments)


def _total_of(row: DecisionColumns) -> tuple[datetime, str, str]:
    return quarter_of(row["at"]), str(row["verdict"]), row["reason"]
