"""Click-to-call: a person has the PBX ring their telephone and then dial a lead, through the gate like any call."""

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.pbx.ami import PbxTrouble
from admin_web.pbx.pbx import EXTENSION, Originate, Pbx
from admin_web.record.changes import Actor, Change, Records
from admin_web.record.database import DatabaseUnavailable
from admin_web.record.models import CallRequest, DecisionRecord, User
from admin_web.services.leads import existing_lead
from compliance import channel_vars
from compliance.consent import Role
from compliance.numbers import E164, LeadId
from compliance.refusal import Refused, require
from compliance.verdict import Verdict

LONGEST_CALL = timedelta(hours=24)
"""How far back the decisions of calls are looked for that may still be up."""

AT_ONCE_S = 2.0
"""How long a click waits for the telephone to be picked up, or to fail; then it says that it rings."""

TWICE_S = 3.0
"""Within which a second click of the same person on the same lead is a double click."""


WORKER = Actor("worker")


class NoPbxConfigured(Refused):
    """There is no PBX to ask."""


class NoTelephone(Refused):
    """Whoever clicked has no telephone that the PBX could ring."""


class AlreadyCalling(Refused):
    """The same person has asked for the same call a moment ago."""


class NotCalled(Refused):
    """The PBX did not place the call; what was asked for stays on record, with why it failed."""


@dataclass(frozen=True, slots=True)
class CallRequested:
    """A call that the PBX has begun. `channel` is what its decision and its call-detail record name it.

    `picked_up` is False while the person's telephone, `extension`, still rings.
    """

    request_id: int
    channel: str
    lead: LeadId
    number: E164
    extension: str
    picked_up: bool = False


async def call_lead(records: Records, pbx: Pbx, actor: Actor, lead: LeadId) -> CallRequested:
    """Have the PBX ring the actor's telephone and then dial the lead's number, through the gate.

    Raises NotPermitted, UnknownLead, NoPbxConfigured, NoTelephone, AlreadyCalling, NotCalled.
    """
    require(lambda role: role is not Role.AUDITOR, actor.role, "call leads")
    if not pbx.configured:
        raise NoPbxConfigured("No PBX is configured, so nobody can be called from here; dial the number by hand.")
    request = await _put_on_record(records, actor, lead)
    call = Originate(
        channel=request.channel,
        extension=request.extension,
        dialed=request.number,
        variables={channel_vars.CALL_LEAD: lead, channel_vars.CALL_AGENT: actor.name},
    )
    ringing = asyncio.create_task(pbx.originate(call))
    await asyncio.wait({ringing}, timeout=AT_ONCE_S)
    if not ringing.done():
        pbx.follow(_follow(records, request, ringing))
        return request
    if trouble := await _failure(records, request, ringing):
        raise NotCalled(str(trouble)) from trouble
    return replace(request, picked_up=True)


async def hang_up_under(records: Records, pbx: Pbx, override_id: int) -> int:
    """End the calls that are up under an override, and being set up, and put that on record; give how many channels.

    Raises PbxTrouble. Known are the calls whose decision has been archived: look again after a moment.
    """
    let_out = await _decisions_under(records, override_id)
    if not let_out:
        return 0
    live = [
        channel
        for channel in await pbx.live([channel_vars.DECISION])
        if channel.variables[channel_vars.DECISION] in let_out
    ]
    ended = [channel for channel in live if await pbx.hang_up(channel.name)]
    if ended:
        async with records.change(WORKER) as change:
            for decision in sorted({channel.variables[channel_vars.DECISION] for channel in ended}):
                change.audit("hang-up", "override", override_id, decision=decision)
    return len(ended)


async def _decisions_under(records: Records, override_id: int) -> set[str]:
    since = records.now() - LONGEST_CALL
    allowed = select(DecisionRecord.id).where(
        DecisionRecord.override == str(override_id), DecisionRecord.at > since, DecisionRecord.verdict == Verdict.ALLOW
    )
    async with records.database.read() as session:
        return set(await session.scalars(allowed))


async def _extension_of(session: AsyncSession, actor: Actor) -> str:
    """Give the telephone of whoever acts. Raises NoTelephone."""
    given = await session.scalar(select(User.extension).where(User.name == actor.name))
    extension = given or actor.name
    if given is None or not EXTENSION.fullmatch(extension):
        raise NoTelephone(f"{actor.name} has no telephone that the PBX could ring.")
    return extension


async def _put_on_record(records: Records, actor: Actor, lead: LeadId) -> CallRequested:
    """Write who calls whom, before anything rings. Raises UnknownLead, NoTelephone, AlreadyCalling."""
    async with records.change(actor) as change:
        extension = await _extension_of(change.session, actor)
        row = await existing_lead(change.session, lead)
        await _require_single_click(change, lead)
        request = CallRequest(
            channel=f"dnc-{secrets.token_hex(12)}",
            lead_id=lead,
            number=row.number,
            asked_at=change.at,
            asked_by=actor.name,
        )
        change.session.add(request)
        await change.session.flush()
        row.last_called_at = change.at
        change.audit("call-lead", "lead", lead, number=row.number, channel=request.channel)
    return CallRequested(request.id, request.channel, lead, E164(row.number), extension)


async def _require_single_click(change: Change, lead: LeadId) -> None:
    """Raise AlreadyCalling on a double click. The lead is held, so the second click sees the first."""
    a_moment_ago = change.at - timedelta(seconds=TWICE_S)
    same = select(CallRequest.id).where(
        CallRequest.lead_id == lead,
        CallRequest.asked_by == change.actor.name,
        CallRequest.asked_at > a_moment_ago,
        CallRequest.failure == "",
    )
    if await change.session.scalar(same.limit(1)) is not None:
        raise AlreadyCalling("You have asked for this call a moment ago; your telephone should ring.")


async def _follow(records: Records, request: CallRequested, ringing: asyncio.Task[None]) -> None:
    await asyncio.wait({ringing})
    with suppress(DatabaseUnavailable):  # The call-detail record tells how the call ended all the same.
        await _failure(records, request, ringing)


async def _failure(records: Records, request: CallRequested, ringing: asyncio.Task[None]) -> PbxTrouble | None:
    """Give why a call did not come about, once that is on record; None when it did."""
    try:
        await ringing
    except PbxTrouble as trouble:
        why = update(CallRequest).where(CallRequest.id == request.request_id).values(failure=str(trouble))
        async with records.database.write() as session:
            await session.execute(why)
        return trouble
    return None
