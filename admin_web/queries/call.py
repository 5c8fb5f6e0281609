"""One call, with everything that is recorded about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.queries.callers import Owners, owners_of
from admin_web.record.database import Database
from admin_web.record.models import CallDetail, CallRequest, DecisionRecord, Disposition, Lead, Override
from compliance.refusal import Refused
from compliance.verdict import Verdict

SHOWN = 10
"""Rows of each kind on the page of a call."""


class UnknownCall(Refused):
    """The call log has no such call."""


@dataclass(frozen=True, slots=True)
class CallFile:
    """Everything recorded about one call. `decision` is None for a PBX record without a decision.

    `others` are other decisions on the same channel, `later` are later decisions about the same number. `owners` says
    whose telephones the calls came from.
    """

    decision: DecisionRecord | None
    records: Sequence[CallDetail]
    request: CallRequest | None
    lead: Lead | None
    override: Override | None
    wrap_ups: Sequence[Disposition]
    others: Sequence[DecisionRecord]
    later: Sequence[DecisionRecord]
    owners: Owners

    @property
    def caller(self) -> str:
        """The person who called; "" if nobody is on record."""
        if self.request:
            return self.request.asked_by
        return self.caller_of(self.decision or self.records[0])

    @property
    def telephone(self) -> str:
        """The endpoint of the PBX that called; "" if it is unknown."""
        return (self.decision or self.records[0]).telephone

    def caller_of(self, call: DecisionRecord | CallDetail) -> str:
        """Return the person who made one of these calls; "" if nobody is on record."""
        at = call.at if isinstance(call, DecisionRecord) else call.started_at
        return self.owners.caller(call.agent, call.telephone, at)

    @property
    def disagreeing(self) -> list[CallDetail]:
        """PBX records with a verdict that differs from the decision."""
        if self.decision is None:
            return []
        return [record for record in self.records if record.verdict not in {"", self.decision.verdict}]

    @property
    def placed_against_it(self) -> bool:
        """Whether the PBX recorded a call as allowed that the gate had blocked."""
        return any(record.verdict == Verdict.ALLOW for record in self.disagreeing)


async def decided_call(database: Database, decision_id: str) -> CallFile:
    """Return a decision with everything that belongs to it. Raises UnknownCall."""
    async with database.read() as session:
        decision = await session.get(DecisionRecord, decision_id)
        if decision is None:
            raise UnknownCall(f"There is no decision {decision_id} in the call log. It may not have been archived yet.")
        belongs = [CallDetail.decision_id == decision.id]
        if decision.channel:
            belongs.append(CallDetail.channel == decision.channel)
        records = await _records(session, *belongs)
        others, later = await _others(session, decision), await _later(session, decision)
        return CallFile(
            decision,
            records,
            await _request(session, decision.channel),
            await session.get(Lead, decision.lead),
            await _override(session, decision.override),
            await _wrap_ups(session, decision),
            others,
            later,
            await _owners(session, [decision, *records, *others, *later]),
        )


async def lone_record(database: Database, record_id: int) -> CallFile:
    """Return a PBX record that has no decision, with everything that belongs to it. Raises UnknownCall."""
    async with database.read() as session:
        record = await session.get(CallDetail, record_id)
        if record is None or (record.decision_id and not record.unscreened):
            raise UnknownCall(f"There is no call without a decision under record {record_id}.")
        same = select(DecisionRecord).where(
            or_(DecisionRecord.channel == record.channel, DecisionRecord.id == record.decision_id)
        )
        others = (await session.scalars(same.order_by(DecisionRecord.at).limit(SHOWN))).all()
        lead = await session.get(Lead, record.lead)
        request, owners = await _request(session, record.channel), await _owners(session, [record, *others])
        return CallFile(None, [record], request, lead, None, [], others, [], owners)


async def _owners(session: AsyncSession, calls: Sequence[DecisionRecord | CallDetail]) -> Owners:
    return await owners_of(session, [call.telephone for call in calls])


async def _records(session: AsyncSession, *belongs: object) -> Sequence[CallDetail]:
    asked = select(CallDetail).where(or_(*belongs)).order_by(CallDetail.started_at, CallDetail.id)  # type: ignore[arg-type]
    return (await session.scalars(asked.limit(SHOWN))).all()


async def _request(session: AsyncSession, channel: str) -> CallRequest | None:
    if not channel:
        return None
    return await session.scalar(select(CallRequest).where(CallRequest.channel == channel))


async def _override(session: AsyncSession, override: str) -> Override | None:
    """Return the override that a decision names. The recorded text comes from Redis and may not be a valid id."""
    return await session.get(Override, int(override)) if override.isdecimal() and len(override) < 19 else None


async def _wrap_ups(session: AsyncSession, decision: DecisionRecord) -> Sequence[Disposition]:
    asked = select(Disposition).where(Disposition.lead_id == decision.lead, Disposition.decision_id == decision.id)
    return (await session.scalars(asked.order_by(Disposition.id).limit(SHOWN))).all()


async def _others(session: AsyncSession, decision: DecisionRecord) -> Sequence[DecisionRecord]:
    if not decision.channel:
        return []
    asked = select(DecisionRecord).where(DecisionRecord.channel == decision.channel, DecisionRecord.id != decision.id)
    return (await session.scalars(asked.order_by(DecisionRecord.at).limit(SHOWN))).all()


async def _later(session: AsyncSession, decision: DecisionRecord) -> Sequence[DecisionRecord]:
    if not decision.number:
        return []
    asked = select(DecisionRecord).where(DecisionRecord.number == decision.number, DecisionRecord.at > decision.at)
    return (await session.scalars(asked.order_by(DecisionRecord.at).limit(SHOWN))).all()
