"""The timeline of a lead, latest first: calls, wrap-ups, list changes, overrides, changes of the lead itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.queries.callers import owners_of
from admin_web.queries.outcomes import CallOutcome, outcomes_of
from admin_web.record.models import AuditEvent, CallRequest, DecisionRecord, Disposition, Override, SuppressionEntry
from compliance.numbers import E164, LeadId
from compliance.redis_schema import INTERNAL

MOST = 50
"""Maximum number of entries of a timeline.

Older ones are in the call log, on the list's page and among the audit events.
"""

EntryKind = Literal["call", "not-called", "wrap-up", "listed", "lifted", "override", "revoked", "expired", "lead"]


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One event. `what` is a slug (a verdict, an outcome, a source), `text` is what a person wrote.

    `decision` and `override` are the ids of the related records. `telephone` is the endpoint from which a call came,
    and `outcome` is what the PBX recorded about the call. `list_name` is the list of an entry.
    """

    at: datetime
    kind: EntryKind
    what: str
    by: str = ""
    text: str = ""
    reason: str = ""
    decision: str = ""
    override: str = ""
    telephone: str = ""
    outcome: CallOutcome | None = None
    list_name: str = INTERNAL


async def timeline_of(
    session: AsyncSession, lead: LeadId, numbers: Sequence[E164], at: datetime
) -> list[TimelineEntry]:
    """Return the last MOST events of a lead and its numbers, as of `at` (aware UTC)."""
    kinds: Sequence[Iterable[TimelineEntry]] = (
        await _calls(session, lead),
        await _failed_clicks(session, lead),
        await _wrap_ups(session, lead),
        await _list_changes(session, numbers),
        await _overrides(session, lead, at),
        await _changes(session, lead),
    )
    entries = [entry for kind in kinds for entry in kind]
    return sorted(entries, key=lambda entry: entry.at, reverse=True)[:MOST]


async def _calls(session: AsyncSession, lead: LeadId) -> list[TimelineEntry]:
    """Return the gate's decisions, each with the person who called and the outcome of the call."""
    columns = (
        DecisionRecord.at,
        DecisionRecord.verdict,
        DecisionRecord.agent,
        DecisionRecord.telephone,
        DecisionRecord.reason,
        DecisionRecord.id,
        DecisionRecord.override,
    )
    latest = select(*columns).where(DecisionRecord.lead == lead).order_by(DecisionRecord.at.desc()).limit(MOST)
    rows = (await session.execute(latest)).all()
    outcomes = await outcomes_of(session, [row.id for row in rows])
    owners = await owners_of(session, [row.telephone for row in rows])
    return [
        TimelineEntry(
            at,
            "call",
            verdict,
            owners.caller(agent, telephone, at),
            telephone=telephone,
            reason=reason,
            decision=id_,
            override=override,
            outcome=outcomes.get(id_),
        )
        for at, verdict, agent, telephone, reason, id_, override in rows
    ]


async def _failed_clicks(session: AsyncSession, lead: LeadId) -> list[TimelineEntry]:
    """Return call requests that failed. A request that succeeded has a decision."""
    failed = select(CallRequest.asked_at, CallRequest.asked_by, CallRequest.failure).where(
        CallRequest.lead_id == lead, CallRequest.failure != ""
    )
    rows = await session.execute(failed.order_by(CallRequest.id.desc()).limit(MOST))
    return [TimelineEntry(at, "not-called", "failed", by, failure) for at, by, failure in rows]


async def _wrap_ups(session: AsyncSession, lead: LeadId) -> list[TimelineEntry]:
    columns = (
        Disposition.wrapped_up_at,
        Disposition.outcome,
        Disposition.wrapped_up_by,
        Disposition.note,
        Disposition.decision_id,
    )
    latest = select(*columns).where(Disposition.lead_id == lead).order_by(Disposition.id.desc()).limit(MOST)
    rows = await session.execute(latest)
    return [
        TimelineEntry(at, "wrap-up", outcome, by, note, decision=decision) for at, outcome, by, note, decision in rows
    ]


async def _list_changes(session: AsyncSession, numbers: Sequence[E164]) -> Iterable[TimelineEntry]:
    entry = SuppressionEntry
    columns = (
        entry.added_at, entry.source, entry.added_by, entry.full_note(), entry.list_name,
        entry.lifted_at, entry.lifted_by, entry.lift_reason,
    )  # fmt: skip
    latest = select(*columns).where(entry.of_number(*numbers)).order_by(entry.id.desc()).limit(MOST)
    entries = []
    for at, source, by, note, name, lifted_at, lifted_by, why in await session.execute(latest):
        entries.append(TimelineEntry(at, "listed", source, by, note, list_name=name))
        if lifted_at is not None:
            entries.append(TimelineEntry(lifted_at, "lifted", name, lifted_by or "", why or "", list_name=name))
    return entries


async def _overrides(session: AsyncSession, lead: LeadId, at: datetime) -> Iterable[TimelineEntry]:
    """Return the start and end of overrides, without basis and document, because agents read this too."""
    columns = (
        Override.id,
        Override.placed_at,
        Override.placed_by,
        Override.expires_at,
        Override.revoked_at,
        Override.revoked_by,
        Override.revoke_reason,
    )
    latest = select(*columns).where(Override.lead_id == lead).order_by(Override.id.desc()).limit(MOST)
    entries = []
    for id_, placed_at, placed_by, expires_at, revoked_at, revoked_by, why in await session.execute(latest):
        name = str(id_)
        entries.append(TimelineEntry(placed_at, "override", "placed", placed_by, override=name))
        if revoked_at is not None:
            entries.append(TimelineEntry(revoked_at, "revoked", "revoked", revoked_by or "", why or "", override=name))
        elif expires_at <= at:
            entries.append(TimelineEntry(expires_at, "expired", "expired", override=name))
    return entries


async def _changes(session: AsyncSession, lead: LeadId) -> list[TimelineEntry]:
    told = select(AuditEvent.done_at, AuditEvent.action, AuditEvent.done_by, AuditEvent.particulars).where(
        AuditEvent.subject_kind == "lead",
        AuditEvent.subject_id == lead,
        AuditEvent.action.in_(("add-lead", "change-lead")),
    )
    rows = await session.execute(told.order_by(AuditEvent.id.desc()).limit(MOST))
    return [TimelineEntry(at, "lead", action, by, _moved(particulars)) for at, action, by, particulars in rows]


def _moved(particulars: dict[str, str]) -> str:
    """Return the old and the new number of a lead, if the number changed."""
    was, number = particulars.get("was", ""), particulars.get("number", "")
    return f"Number changed from {was} to {number}" if was and was != number else ""
