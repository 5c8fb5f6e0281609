"""Add to each decision who called: the agent and the telephone from the PBX's call-detail records.

A decision and the records of its call reach SQL in either order, by two loops of the worker. Whichever comes second
joins them. On PostgreSQL, two transactions that run at the same time would not see each other's rows, and neither would
join them. The lock prevents that: archives share it, and the reader of call-detail records holds it alone.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import CompoundSelect, and_, bindparam, func, literal_column, select, union, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from admin_web.record.dialect import each_of
from admin_web.record.models import CallDetail, DecisionRecord

LOCK = 0x646E635F63616C6C
"""The key of the lock: "dnc_call" in ASCII."""


class CallAgent(NamedTuple):
    """Who made a call, according to its records: a person, and an endpoint of the PBX. Either may be ""."""

    agent: str
    telephone: str


NOBODY = CallAgent("", "")


async def call_agents(session: AsyncSession, decisions: Sequence[str]) -> dict[str, CallAgent]:
    """Return the agent of each decision whose call has a record that names one.

    The first record with a value counts. If a telephone called through a Local channel, the record with the decision is
    that of the Local channel. Then the record of the call's first channel names the telephone.
    """
    first = aliased(CallDetail)
    asked = (
        select(CallDetail.decision_id, CallDetail.agent, CallDetail.telephone, first.agent, first.telephone)
        .outerjoin(
            first,
            and_(
                CallDetail.telephone == "",
                first.channel == CallDetail.linked_channel,
                first.channel != CallDetail.channel,
            ),
        )
        .where(CallDetail.decision_id.in_(select(each_of(session, decisions))))
        .order_by(CallDetail.started_at, CallDetail.id)
    )
    found: dict[str, CallAgent] = {}
    for decision, agent, telephone, first_agent, first_telephone in await session.execute(asked):
        known = found.get(decision, NOBODY)
        found[decision] = CallAgent(
            known.agent or agent or first_agent or "", known.telephone or telephone or first_telephone or ""
        )
    return {decision: agent for decision, agent in found.items() if agent != NOBODY}


async def name_agents(session: AsyncSession, channels: Iterable[str]) -> None:
    """Write the agents that new records name to their decisions. `channels` are the unique ids of their channels."""
    ids = sorted(set(channels))
    found = await call_agents(session, sorted(await session.scalars(decisions_on(session, ids))))
    if not found:
        return
    named = update(DecisionRecord).where(DecisionRecord.id == bindparam("named"))
    table = DecisionRecord.__table__.c
    values = {
        "agent": func.coalesce(func.nullif(table.agent, ""), bindparam("new_agent")),
        "telephone": bindparam("new_telephone"),
    }
    rows = [
        {"named": decision, "new_agent": agent.agent, "new_telephone": agent.telephone}
        for decision, agent in sorted(found.items())
    ]
    await (await session.connection()).execute(named.values(values), rows)


def decisions_on(session: AsyncSession, channels: Sequence[str]) -> CompoundSelect[tuple[str]]:
    """Return the query for the decisions of records on these channels, and of Local channels that these channels began.

    A blocked call has no channel to a trunk, so only the missing telephone shows that another channel began it. The
    index `ix_call_details_begun` has the literal conditions.
    """
    these = select(each_of(session, channels))
    decided = select(CallDetail.decision_id).where(CallDetail.decision_id != literal_column("''"))
    begun = decided.where(CallDetail.telephone == literal_column("''"), CallDetail.linked_channel.in_(these))
    return union(decided.where(CallDetail.channel.in_(these)), begun)
