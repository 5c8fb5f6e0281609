"""Click-to-call: the PBX rings a person's telephone and then dials a lead, through the gate like any other call."""

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.pbx.ami import PbxTrouble
from admin_web.pbx.pbx import EXTENSION, Originate, Pbx
from admin_web.record.changes import Actor, Change, Records, public_words
from admin_web.record.database import DatabaseUnavailable
from admin_web.record.lead_numbers import has_telephone
from admin_web.record.models import CallRequest, DecisionRecord, User
from admin_web.services.lead_numbers import NotANumberOfLead
from admin_web.services.leads import existing_lead
from compliance import channel_vars
from compliance.consent import Role
from compliance.numbers import E164, LeadId
from compliance.refusal import Refused, require
from compliance.verdict import Verdict

log = structlog.get_logger()

LONGEST_CALL = timedelta(hours=24)
"""Maximum age of the decisions that are searched for calls that may have to be hung up."""

AT_ONCE_S = 2.0
"""Seconds to wait after a click until the telephone is picked up or the call fails. After that the site reports that
the telephone rings.
"""

TWICE_S = 3.0
"""Seconds within which a second click of the same person on the same lead counts as a double click."""


WORKER = Actor("worker")


class NoPbxConfigured(Refused):
    """The settings name no PBX."""


class NoTelephone(Refused):
    """The PBX has no telephone to ring for the person who clicked."""


class AlreadyCalling(Refused):
    """The same person requested the same call a moment ago."""


class NotCalled(Refused):
    """The PBX did not place the call. The request stays on record, with the reason of its failure."""


@dataclass(frozen=True, slots=True)
class CallRequested:
    """A call that the PBX has started. Its decision and its call-detail record have the same `channel`.

    `picked_up` is False while the person's telephone, `extension`, still rings.
    """

    request_id: int
    channel: str
    lead: LeadId
    number: E164
    extension: str
    picked_up: bool = False


async def call_lead(
    records: Records, pbx: Pbx, actor: Actor, lead: LeadId, number: E164 | None = None
) -> CallRequested:
    """Call a lead: the PBX rings the actor's telephone and then dials a number of the lead, through the gate.

    `number` is the lead's first one by default. Raises NotPermitted, UnknownLead, NotANumberOfLead, NoPbxConfigured,
    NoTelephone, AlreadyCalling, NotCalled.
    """
    require(lambda role: role is not Role.AUDITOR, actor.role, "call leads")
    if not pbx.configured:
        raise NoPbxConfigured("No PBX is configured, so the site cannot place calls. Dial the number by hand.")
    request = await _record_request(records, actor, lead, number)
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
        raise NotCalled(public_words(trouble)) from trouble
    return replace(request, picked_up=True)


async def hang_up_under(records: Records, pbx: Pbx, override_id: int) -> int:
    """Hang up the calls that an override allowed, and record that. Returns how many channels were hung up.

    Only calls whose decision is archived are found, so call this function again after a moment. Raises PbxTrouble.
    """
    allowed = await _decisions_under(records, override_id)
    if not allowed:
        return 0
    live = [
        channel
        for channel in await pbx.live([channel_vars.DECISION])
        if channel.variables[channel_vars.DECISION] in allowed
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
    """Return the extension of the actor's telephone. Raises NoTelephone."""
    given = await session.scalar(select(User.extension).where(User.name == actor.name))
    extension = given or actor.name
    if given is None or not EXTENSION.fullmatch(extension):
        raise NoTelephone(
            f"{actor.name} has no telephone that the PBX could ring. An admin can set an extension for the user."
        )
    return extension


async def _record_request(records: Records, actor: Actor, lead: LeadId, number: E164 | None) -> CallRequested:
    """Record who calls which lead, before anything rings.

    Raises UnknownLead, NotANumberOfLead, NoTelephone, AlreadyCalling.
    """
    async with records.change(actor) as change:
        extension = await _extension_of(change.session, actor)
        row = await existing_lead(change.session, lead)
        await _require_single_click(change, lead)
        number = number or E164(row.number)
        if not await has_telephone(change.session, lead, number):
            raise NotANumberOfLead(f"Lead {lead} does not have the number {number} any more. Nobody was called.")
        request = CallRequest(
            channel=f"dnc-{secrets.token_hex(12)}",
            lead_id=lead,
            number=number,
            asked_at=change.at,
            asked_by=actor.name,
        )
        change.session.add(request)
        await change.session.flush()
        row.last_called_at = change.at
        change.audit("call-lead", "lead", lead, number=number, channel=request.channel)
    return CallRequested(request.id, request.channel, lead, number, extension)


async def _require_single_click(change: Change, lead: LeadId) -> None:
    """Raise AlreadyCalling on a double click. The lead's row is locked, so the second click sees the first."""
    a_moment_ago = change.at - timedelta(seconds=TWICE_S)
    same = select(CallRequest.id).where(
        CallRequest.lead_id == lead,
        CallRequest.asked_by == change.actor.name,
        CallRequest.asked_at > a_moment_ago,
        CallRequest.failure == "",
    )
    if await change.session.scalar(same.limit(1)) is not None:
        raise AlreadyCalling("You requested this call a moment ago. Your telephone should ring.")


async def _follow(records: Records, request: CallRequested, ringing: asyncio.Task[None]) -> None:
    await asyncio.wait({ringing})
    # The failure may stay unrecorded, because the call-detail record also says how the call ended.
    with suppress(DatabaseUnavailable):
        await _failure(records, request, ringing)


async def _failure(records: Records, request: CallRequested, ringing: asyncio.Task[None]) -> PbxTrouble | None:
    """Wait for the call, and record why it failed. Returns the cause; None if it did not fail."""
    try:
        await ringing
    except PbxTrouble as trouble:
        log.warning("call not made", request=request.request_id, trouble=str(trouble))
        said = public_words(trouble)
        why = update(CallRequest).where(CallRequest.id == request.request_id).values(failure=said)
        async with records.database.write() as session:
            await session.execute(why)
        return trouble
    return None
