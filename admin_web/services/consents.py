"""A consent as a person submits it, checked against its lead on record."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select

from admin_web.documents import Kept
from admin_web.judging.facts import read_record
from admin_web.record.changes import Change
from admin_web.record.dialect import hold
from admin_web.record.lead_numbers import numbers_of
from admin_web.record.models import Override
from admin_web.services.leads import existing_lead, put_new
from admin_web.services.requests import REQUESTS, newest_request
from compliance import dates
from compliance.consent import Basis
from compliance.consent_rules import ConsentRules, Tie
from compliance.consent_statement import ConsentStatement, faults_of
from compliance.numbers import E164, LeadId
from compliance.openable import require_basis, require_newer, require_openable
from compliance.refusal import Refused


class ExpiryNotAllowed(Refused):
    """The requested end is in the past, or more than twelve months from now."""


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
    def statement(self) -> ConsentStatement:
        """The part of the consent that can be checked without its lead and its document."""
        return ConsentStatement(self.basis, self.basis_note, self.consented_on, self.attestation, self.tie)


async def checked(change: Change, consent: Consent, rules: ConsentRules) -> tuple[E164, Override | None]:
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
    require_newer(consent.consented_on, number, asked_on, consent.same_day_reason)
    require_basis(consent.basis, facts, asked_on, rules.policy)
    return number, await _live_override(change, consent.lead, number)


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


async def _live_override(change: Change, lead: LeadId, number: E164) -> Override | None:
    """Return the live override of a locked lead on a number.

    If two people place overrides at once, the lock lets the second see the first.
    """
    live = select(Override).where(Override.lead_id == lead, Override.number == number, *Override.live(change.at))
    return await change.session.scalar(live.order_by(Override.expires_at.desc()).limit(1).with_for_update())
