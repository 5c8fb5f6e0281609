"""Telephones: whose telephone an endpoint of the PBX is, so that the call log can name who called."""

import re
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.people.permissions import Permission, allowed
from admin_web.record.changes import Actor, Change, Records
from admin_web.record.models import Telephone
from admin_web.record.models.suppression import NEVER
from compliance.refusal import Refused, Unwritable, cleaned, require

LONGEST_CHANNEL, LONGEST_PERSON = 80, 64

_CHANNEL = re.compile(r"(?!Local/)[A-Za-z0-9]{1,20}/[^\x00-\x20\x7f]+( [^\x00-\x20\x7f]+)*", re.ASCII)
_SERIAL = re.compile(r"-[0-9a-f]{8}")
"""The serial number that Asterisk appends to the name of each channel."""


class UnknownTelephone(Refused):
    """The endpoint is nobody's telephone at this moment."""


async def assign_telephone(
    records: Records, actor: Actor, channel: str, person: str, *, earlier: bool = False
) -> datetime:
    """Record that an endpoint is a person's telephone from now on. Returns the start of the period.

    With `earlier`, the period starts at the end of the endpoint's last period, or covers all earlier calls if there was
    none. If the endpoint was another person's telephone until now, that period ends. Raises Unwritable, NotPermitted.
    """
    _require_admin(actor)
    channel = _channel(channel)
    person = cleaned(person, LONGEST_PERSON, "The person", required=True).replace("\n", " ")
    async with records.change(actor) as change:
        last = await _last(change.session, channel)
        if last is not None and last.until is None:
            if last.person == person:
                return last.since
            _end(change, last)
            await change.session.flush()
        since = change.at
        if earlier:
            since = NEVER if last is None else last.until or change.at
        change.session.add(
            Telephone(channel=channel, person=person, since=since, assigned_at=change.at, assigned_by=actor.name)
        )
        change.audit("assign-telephone", "telephone", channel[:64], person=person, since=since.isoformat())
    return since


async def end_telephone(records: Records, actor: Actor, channel: str) -> None:
    """Record that an endpoint is nobody's telephone from now on. Raises UnknownTelephone, NotPermitted."""
    _require_admin(actor)
    async with records.change(actor) as change:
        last = await _last(change.session, channel)
        if last is None or last.until is not None:
            raise UnknownTelephone(f"{channel} is nobody's telephone at this moment.")
        _end(change, last)


async def _last(session: AsyncSession, channel: str) -> Telephone | None:
    """Return the latest period of an endpoint, with its row locked."""
    asked = select(Telephone).where(Telephone.channel == channel).order_by(Telephone.id.desc()).limit(1)
    return await session.scalar(asked.with_for_update())


def _end(change: Change, period: Telephone) -> None:
    period.until, period.ended_by = change.at, change.actor.name
    change.audit("end-telephone", "telephone", period.channel[:64], person=period.person)


def _channel(text: str) -> str:
    """Return the name of an endpoint as call-detail records have it. Raises Unwritable."""
    channel = cleaned(text, LONGEST_CHANNEL, "The telephone", required=True)
    if not _CHANNEL.fullmatch(channel):
        raise Unwritable("Write the telephone as the PBX names its channels, such as PJSIP/alice.")
    if _SERIAL.search(channel[-9:]):
        raise Unwritable(f"Leave out the number that the PBX appends for each call: {channel[:-9]}.")
    return channel


def _require_admin(actor: Actor) -> None:
    require(lambda role: allowed(role, Permission.MANAGE), actor.role, "assign telephones")
