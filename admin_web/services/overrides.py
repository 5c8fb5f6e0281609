"""Consent overrides, granted with a document."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from types import MappingProxyType

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.documents import Kept
from admin_web.judging.facts import read_record
from admin_web.record.changes import PENDING, Actor, Change, Records, Standing
from admin_web.record.dialect import hold
from admin_web.record.lead_numbers import numbers_of
from admin_web.record.models import Document, Override
from admin_web.services.leads import existing_lead, put_new
from admin_web.services.requests import REQUESTS, last_request_id, newest_request
from admin_web.services.revocation import end
from admin_web.webhooks.events import Event
from compliance import dates
from compliance.consent import ATTESTATION, Basis, ends_at, may_override
from compliance.consent_rules import ConsentRules, Origin, Tie
from compliance.facts import Facts
from compliance.numbers import E164, LeadId
from compliance.redis_schema import INTERNAL
from compliance.refusal import Refused, Unwritable, cleaned, require
from compliance.rule import objections, sentence_of
from compliance.today import is_to_come

LONGEST_NOTE = 2000
LONGEST_DETAIL = 200

_NOWHERE: Mapping[str, Sequence[str]] = MappingProxyType({})

RENEWABLE = timedelta(days=30)
"""An override can be renewed when at most this much time is left."""


class NoBasis(Refused):
    """The ground of the consent is missing."""


class NotAttested(Refused):
    """The statement was not ticked, or is not the statement in force."""


class NotDated(Refused):
    """The date of the consent is missing."""


class ConsentInFuture(Refused):
    """The consent is dated later than today."""


class ConsentTooOld(Refused):
    """The consent is older than its basis allows."""


class ConsentOutdated(Refused):
    """The person asked not to be called after the consent."""


class SameDayUnexplained(Refused):
    """The person asked not to be called on the day of the consent, and nobody said why the consent is the later one."""


class BasisNotEnough(Refused):
    """A consent on this basis does not open what blocks the number."""


class TieMissing(Refused):
    """Nobody said whether the relationship rests on a purchase or on an inquiry."""


class RelationshipEnded(Refused):
    """The existing relationship has ended."""


class ExpiryNotAllowed(Refused):
    """The requested end is in the past, or more than twelve months from now."""


class NotSuppressed(Refused):
    """The number is not blocked, so an override has no purpose."""


class NotOpenable(Refused):
    """The lead is blocked for a reason that no override can lift."""


class OverrideStands(Refused):
    """The lead already has a live override."""


class NothingToRenew(Refused):
    """The override to renew is no longer the lead's live override."""


class NotYetRenewable(Refused):
    """The override still lasts too long to be renewed now."""


class OtherNumber(Refused):
    """The lead is on record with another number."""


class NumberNotNamed(Refused):
    """The lead has several numbers, and the consent names none of them."""


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """The optional fields of a complete record of consent. Each has at most LONGEST_DETAIL characters.

    `seller` says who may call, `purpose` for what purpose, and `signature` how the person signed. `request_shown` is
    the request for consent as the person saw it (at most LONGEST_NOTE characters).
    """

    seller: str = ""
    purpose: str = ""
    request_shown: str = ""
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person who places an override submits.

    `attestation` is the text that the person ticked. For a lead that is not on record yet, or that has several numbers,
    `number` is required. If given, it must be one of the lead's numbers; the override opens no other. `expires_at`
    (aware UTC) may be earlier than twelve months from now, never later. `same_day_reason` is required if the person
    asked not to be called on the day of the consent: it says why the consent is the later one. `tie` is required if the
    policy asks for it.
    """

    lead: LeadId
    basis: Basis
    consented_on: date
    document: Kept
    attestation: str
    basis_note: str = ""
    number: E164 | None = None
    expires_at: datetime | None = None
    same_day_reason: str = ""
    tie: Tie | None = None
    record: ConsentRecord = ConsentRecord()

    @property
    def statement(self) -> "ConsentStatement":
        """The part of the consent that can be checked without its lead and its document."""
        return ConsentStatement(self.basis, self.basis_note, self.consented_on, self.attestation, self.tie)


@dataclass(frozen=True, slots=True)
class ConsentStatement:
    """What a person states about a consent, as the form or the API received it."""

    basis: Basis | None
    basis_note: str
    consented_on: date | None
    attestation: str
    tie: Tie | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """A new override, which allows calls to a lead on a number until `expires_at` (aware UTC).

    An override that is `held` allows them only once it has been reviewed.
    """

    override_id: int
    lead: LeadId
    number: E164
    expires_at: datetime
    held: bool
    standing: Standing


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of an override that is placed now: calls to the lead are allowed until `until` (aware UTC).

    The new override replaces the override with the id `replaces`, unless that is None.
    """

    until: datetime
    replaces: int | None = None


def faults_of(statement: ConsentStatement, rules: ConsentRules, at: datetime) -> Iterator[Refused]:
    """Yield each fault of a consent at `at` (aware UTC) that does not depend on the lead."""
    basis, consented_on = statement.basis, statement.consented_on
    if basis is None:
        yield NoBasis("Choose what the consent rests on.")
    try:
        if not cleaned(statement.basis_note, LONGEST_NOTE, "What the consent rests on") and basis is Basis.OTHER:
            yield Unwritable("Say what the consent rests on.")
    except Unwritable as error:
        yield error
    if consented_on is None:
        yield NotDated("Give the date of the consent, as it stands in the document.")
    elif is_to_come(consented_on, at):
        yield ConsentInFuture(
            f"The consent is dated in the future: {dates.day(consented_on)}. Give the date that stands in the document."
        )
    elif basis is not None:
        yield from _age_faults(basis, consented_on, statement.tie, rules, at)
    if statement.attestation != ATTESTATION:
        yield NotAttested("Read the statement and confirm it, word for word. An override cannot be placed without it.")


def _age_faults(
    basis: Basis, consented_on: date, tie: Tie | None, rules: ConsentRules, at: datetime
) -> Iterator[Refused]:
    """Yield what is wrong with the age of a consent."""
    oldest = rules.policy.oldest(basis, rules.today(at))
    if consented_on < oldest:
        yield ConsentTooOld(
            f"The consent of {dates.day(consented_on)} is too old. On this basis it may be dated "
            f"{dates.day(oldest)} or later."
        )
    elif rules.policy.asks_for_tie(basis) and tie is None:
        yield TieMissing(
            "Say whether the relationship rests on a purchase or on an inquiry. It decides how long it lasts."
        )
    elif (end := rules.end_of(at, basis, tie, consented_on)) <= at:
        yield RelationshipEnded(f"The existing relationship ended on {dates.utc(end)}. Nothing was opened.")


def effect_of(facts: Facts, at: datetime, elsewhere: Mapping[str, Sequence[str]] = _NOWHERE) -> Effect:
    """Return the effect of an override for the lead in these facts, if it is placed at `at` (aware UTC).

    `elsewhere` is as in `require_openable`. Raises NotSuppressed, NotOpenable, OverrideStands.
    """
    require_openable(facts, at, elsewhere)
    live = facts.override
    if live is None:
        return Effect(ends_at(at))
    if not renewable(live.expires_at, at):
        raise _stands(facts.lead, live.id, live.expires_at)
    return Effect(ends_at(at), int(live.id))


def require_openable(facts: Facts, at: datetime, elsewhere: Mapping[str, Sequence[str]] = _NOWHERE) -> None:
    """Raise NotSuppressed if the gate allows calls to the lead, and NotOpenable if no override can lift the block.

    `elsewhere` has the campaign lists that the number is on, each with its campaigns.
    """
    blocks = objections(facts, at)
    if not blocks and elsewhere:
        campaigns = ", ".join(sorted({campaign for some in elsewhere.values() for campaign in some}))
        raise NotSuppressed(
            f"{facts.number} is blocked only in calls of {campaigns}, by {', '.join(sorted(elsewhere))}. "
            f"Lead {facts.lead} can be called in other calls without an override. "
            "To open those calls, take the number off that list."
        )
    if not blocks:
        raise NotSuppressed(
            f"{facts.number} is on no list that blocks it: lead {facts.lead} can be called without an override."
        )
    if not any(one.check.opens_by_override for one in blocks):
        why = sentence_of(blocks[0].ruling.reason)
        raise NotOpenable(
            f"Lead {facts.lead} is blocked: {why} No override can open this block, so none can be placed."
        )


def renewable(expires_at: datetime, at: datetime) -> bool:
    """Return whether a live override is so near its end at `at` that a new one can replace it."""
    return expires_at <= at + RENEWABLE


async def grant_override(records: Records, actor: Actor, consent: Consent) -> Granted:
    """Record an override with its document and attestation, and bring it into force.

    Raises one of the subclasses of Refused in this module, NotPermitted, UnknownLead or Unwritable.
    """
    require(may_override, actor.role, "place an override")
    async with records.change(actor) as change:
        number, live = await _checked(change, consent, records.rules)
        if live is not None:
            raise _stands(consent.lead, live.id, live.expires_at)
        granted = await _open(change, number, consent, records.rules)
    return replace(granted, standing=await records.standing())


async def renew_override(records: Records, actor: Actor, consent: Consent, override_id: int) -> Granted:
    """Record an override that replaces the lead's live one. The old override ends when the new one begins.

    Raises NothingToRenew, NotYetRenewable, and everything that `grant_override` raises except OverrideStands.
    """
    require(may_override, actor.role, "place an override")
    async with records.change(actor) as change:
        number, old = await _checked(change, consent, records.rules)
        if old is None or old.id != override_id:
            raise NothingToRenew(
                f"Override {override_id} is not the live override of lead {consent.lead} on {number} any more."
            )
        if not renewable(old.expires_at, change.at):
            raise NotYetRenewable(
                f"Override {override_id} lasts until {dates.utc(old.expires_at)}; "
                f"it can be renewed in its last {RENEWABLE.days} days."
            )
        granted = await _open(change, number, consent, records.rules)
        end(change, old, f"Renewed: override {granted.override_id} took its place.")
    return replace(granted, standing=await records.standing())


async def live_overrides(session: AsyncSession, at: datetime) -> list[Override]:
    """Return the overrides that are live at `at` (aware UTC), in the order in which they were placed."""
    return list(await session.scalars(select(Override).where(*Override.live(at)).order_by(Override.id)))


async def _checked(change: Change, consent: Consent, rules: ConsentRules) -> tuple[E164, Override | None]:
    """Lock the lead, and return the number that the consent is for and the lead's live override on it.

    Raises the first Refused that forbids this consent.
    """
    for fault in faults_of(consent.statement, rules, change.at):
        raise fault
    latest = rules.end_of(change.at, consent.basis, consent.tie, consent.consented_on)
    if not change.at < (consent.expires_at or latest) <= latest:
        raise ExpiryNotAllowed(f"An override ends after now and not later than {dates.utc(latest)}.")
    number = await _number(change, consent)
    record = await read_record(change.session, [(number, consent.lead)], change.at)
    (facts,) = record.facts
    require_openable(facts, change.at, record.elsewhere[number])
    await hold(change.session, REQUESTS)
    asked_on = await newest_request(change.session, number)
    require_newer(consent, facts, asked_on, rules)
    return number, await _live_override(change, consent.lead, number)


def require_newer(consent: Consent, facts: Facts, asked_on: date | None, rules: ConsentRules) -> None:
    """Raise the Refused that forbids this consent because of what blocks the number in these facts.

    `asked_on` is the day of the newest request not to be called; None without one. No policy turns the comparison off.
    """
    if asked_on is not None and consent.consented_on < asked_on:
        raise ConsentOutdated(
            f"The owner of {facts.number} asked on {dates.day(asked_on)} not to be called. "
            f"The consent of {dates.day(consent.consented_on)} is older, so it opens nothing. Only a consent that is "
            "dated after the request does. If the request was recorded wrongly, an admin can withdraw it on the page "
            "of the number."
        )
    if asked_on is not None and asked_on == consent.consented_on and not consent.same_day_reason.strip():
        raise SameDayUnexplained(
            f"The owner of {facts.number} asked on {dates.day(asked_on)}, the day of this consent, not to be called. "
            "Say how you know that the consent is the later one. The reviewer reads this reason."
        )
    closed = rules.policy.closed_to(consent.basis, origins_of(facts, asked_on))
    if closed:
        raise BasisNotEnough(
            f"A consent on this basis does not open {' or '.join(_ORIGINS[one] for one in closed)}. "
            f"The policy of this installation ({rules.policy.name}): {rules.policy.summary}"
        )


_ORIGINS = {
    Origin.REQUEST: "a number whose owner asked not to be called",
    Origin.OWN_LIST: "the company's own list",
    Origin.REGISTRY: "a registry",
}


def origins_of(facts: Facts, asked_on: date | None) -> set[Origin]:
    """Return what blocks the number in these facts. A list that could not be checked counts as a registry."""
    found = {Origin.REQUEST} if asked_on is not None else set()
    covered = facts.applying is not None and facts.applying.pattern != ""
    if covered or (INTERNAL in facts.listed and asked_on is None):
        found.add(Origin.OWN_LIST)
    others = any(name != INTERNAL for name in facts.listed)
    return found | ({Origin.REGISTRY} if others or not (facts.listed or covered) else set())


async def _number(change: Change, consent: Consent) -> E164:
    """Lock the lead, and return the number that the consent is for. A new lead with a number is added first.

    Raises UnknownLead, OtherNumber, NumberNotNamed.
    """
    if consent.number is not None:
        await put_new(change, consent.lead, consent.number)
    await existing_lead(change.session, consent.lead)
    numbers = [one.number for one in await numbers_of(change.session, consent.lead)]
    known = " and ".join(numbers)
    if consent.number is None and len(numbers) > 1:
        raise NumberNotNamed(f"Lead {consent.lead} has the numbers {known}. Name the one that the consent is for.")
    if consent.number not in {None, *numbers}:
        raise OtherNumber(
            f"Lead {consent.lead} is on record with {known}, not {consent.number}; "
            "if the number changed, change the lead first."
        )
    return consent.number or numbers[0]


def _stands(lead: LeadId | None, override_id: int | str, expires_at: datetime) -> OverrideStands:
    return OverrideStands(
        f"Lead {lead} holds override {override_id} until {dates.utc(expires_at)}. Renew it in its last "
        f"{RENEWABLE.days} days, or revoke it before placing another."
    )


async def _live_override(change: Change, lead: LeadId, number: E164) -> Override | None:
    """Return the live override of a locked lead on a number.

    If two people place overrides at once, the lock lets the second see the first.
    """
    live = select(Override).where(Override.lead_id == lead, Override.number == number, *Override.live(change.at))
    return await change.session.scalar(live.order_by(Override.expires_at.desc()).limit(1).with_for_update())


async def _open(change: Change, number: E164, consent: Consent, rules: ConsentRules) -> Granted:
    """Write the override, its document and the event within a change, and queue it for the projection."""
    latest = rules.end_of(change.at, consent.basis, consent.tie, consent.consented_on)
    expires_at, record = consent.expires_at or latest, consent.record
    override = Override(
        lead_id=consent.lead,
        number=number,
        basis=consent.basis,
        basis_note=cleaned(consent.basis_note, LONGEST_NOTE, "What the consent rests on"),
        consented_on=consent.consented_on,
        counts_from=min(consent.consented_on, rules.today(change.at)),
        seen_request=await last_request_id(change.session, number),
        same_day_reason=cleaned(consent.same_day_reason, LONGEST_NOTE, "The reason"),
        tie=consent.tie or "",
        seller=cleaned(record.seller, LONGEST_DETAIL, "The seller"),
        purpose=cleaned(record.purpose, LONGEST_DETAIL, "The purpose"),
        request_shown=cleaned(record.request_shown, LONGEST_NOTE, "The request as it was shown"),
        signature=cleaned(record.signature, LONGEST_DETAIL, "How it was signed"),
        document_id=await _document(change, consent.document),
        attestation=consent.attestation,
        placed_at=change.at,
        placed_by=change.actor.name,
        placed_from=change.actor.address[:64],
        expires_at=expires_at,
        held=rules.reviewed_first,
    )
    change.session.add(override)
    await change.session.flush()
    particulars = {"lead": consent.lead, "document": consent.document.sha256}
    change.audit("grant-override", "override", override.id, **particulars, number=number, basis=consent.basis)
    change.notify(
        Event.OVERRIDE,
        override=override.id,
        lead=consent.lead,
        number=number,
        basis=consent.basis.value,
        expires_at=f"{expires_at:%Y-%m-%dT%H:%M:%SZ}",
    )
    change.project_override(number, consent.lead)
    return Granted(override.id, consent.lead, number, expires_at, override.held, PENDING)


async def _document(change: Change, kept: Kept) -> int:
    """Record a document and return its id.

    Raises DocumentNotKept if a sweep deleted its file before the row existed.
    """
    row = Document(
        sha256=kept.sha256,
        name=kept.name,
        media_type=kept.media_type,
        size=kept.size,
        stored_at=change.at,
        stored_by=change.actor.name,
    )
    change.session.add(row)
    await change.session.flush()
    await kept.require_there()
    return row.id
