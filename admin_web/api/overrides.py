"""Consent overrides over the API: place with a document, list, read, revoke."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import Field

from admin_web.api import words
from admin_web.api.operation import ApiCall, Arguments, Result, WriteResult, operation
from admin_web.api.problem import Problem
from admin_web.people.tokens import Scope
from admin_web.queries.leads import lead_of
from admin_web.queries.monitor import OverrideRow, OverrideState, WholeOverride, override_page, whole_override
from admin_web.queries.monitor_filter import MonitorFilter, Shown
from admin_web.services.consents import Consent, ConsentRecord
from admin_web.services.leads import UnknownLead
from admin_web.services.overrides import grant_override, renew_override
from admin_web.services.revocation import UnknownOverride, revoke_override
from compliance.consent import Basis
from compliance.consent_rules import Tie
from compliance.numbers import LeadId

Detail = Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=200)]


class ListOverrides(words.Paged):
    """A filter of overrides; omitted fields match all."""

    state: Shown = Shown.ALL
    number: words.Number | None = None
    lead: words.Lead | None = None
    basis: Basis | None = None
    placed_by: Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=64)] = ""
    since: words.Moment | None = None
    until: words.Moment | None = None


class GetOverride(Arguments):
    """The override to read."""

    override: words.OverrideId


class OverrideShown(Result):
    """An override and its state.

    `asked_on` is the day of the newest request not to be called on its number; `contested` means that this request is
    newer than the consent. `listed_at` is since when the number is on the company's own list.
    """

    override: int
    state: OverrideState
    lead: str
    number: str
    basis: str
    consented_on: date
    document: str
    placed_at: datetime
    placed_by: str
    expires_at: datetime
    reviewed_at: datetime | None
    reviewed_by: str | None
    revoked_at: datetime | None
    revoked_by: str | None
    revoke_reason: str | None
    contested: bool
    asked_on: date | None
    listed_at: datetime | None


class OverrideWhole(OverrideShown):
    """Everything about an override, except its document's content, which only the site gives out."""

    basis_note: str
    attestation: str
    placed_from: str
    same_day_reason: str
    tie: str
    seller: str
    purpose: str
    request_shown: str
    signature: str
    kept_at: datetime | None
    kept_by: str | None
    keep_reason: str | None
    document_sha256: str
    document_media_type: str
    document_size: int
    lists: list[str]


DETAILS = (
    "basis_note", "attestation", "placed_from", "same_day_reason", "tie", "seller", "purpose", "request_shown",
    "signature", "kept_at", "kept_by", "keep_reason",
)  # fmt: skip
"""The fields of OverrideWhole that stand in `WholeOverride.details` under the same name."""


class OverridePage(Result):
    """Overrides, latest first; with a `state` such as `ends-7`, in the order in which they end."""

    items: list[OverrideShown]
    next: str


class PlaceOverride(Arguments):
    """A consent. `attestation` is the statement from the consent terms, which the sender confirms word for word.

    The override opens the lead on one number: `number`, which is required if the lead has several.

    `renews` is the override that this one replaces, which must be in its last 30 days. `same_day_reason` is required if
    the person asked not to be called on the day of the consent. `tie` is required for an existing relationship if the
    consent terms list its months. The last four fields complete the record of the consent and are optional.
    """

    lead: words.Lead
    number: words.Number | None = None
    basis: Basis
    consented_on: words.Day
    attestation: Annotated[str, Field(min_length=1, max_length=2000)]
    basis_note: words.Note = ""
    expires_at: words.Moment | None = None
    same_day_reason: words.Note = ""
    tie: Tie | None = None
    seller: Detail = ""
    purpose: Detail = ""
    request_shown: words.Note = ""
    signature: Detail = ""
    renews: words.OverrideId | None = None


class OverridePlaced(WriteResult):
    """A new override. Until it ends, its lead may be called, and no other lead.

    An override that is `held` opens its lead only once an admin has reviewed it.
    """

    override: int
    lead: str
    number: str
    expires_at: datetime
    held: bool


class RevokeOverride(Arguments):
    """The override to end, and the reason."""

    override: words.OverrideId
    reason: words.Reason


class OverrideRevoked(WriteResult):
    """A revoked override; `already` is true when it had been revoked before."""

    override: int
    lead: str
    number: str
    already: bool


@operation("list-overrides", "GET", "/overrides", Scope.READ, refuses=("unknown-page", "invalid-number"))
async def list_overrides(call: ApiCall, asked: ListOverrides) -> OverridePage:
    """Find consent overrides, a page at a time."""
    sought = MonitorFilter(
        shown=asked.state,
        person=asked.placed_by,
        basis=asked.basis,
        since=asked.since,
        until=asked.until,
        number=call.number(asked.number) if asked.number is not None else None,
        lead=LeadId(asked.lead) if asked.lead else None,
    )
    at = call.records.now()
    key = asked.key(datetime, int) if sought.by_end else asked.key(int)
    found = await override_page(call.database, sought, at, key, asked.limit)
    return OverridePage(items=[_shown(row, at) for row in found.rows], next=found.next_key)


@operation("get-override", "GET", "/overrides/{override}", Scope.READ, refuses=("unknown-override",))
async def get_override(call: ApiCall, asked: GetOverride) -> OverrideWhole:
    """Read one override."""
    at = call.records.now()
    found = await whole_override(call.database, asked.override, at)
    if found is None:
        raise UnknownOverride(f"There is no override {asked.override}.")
    return _whole(found, at)


@operation(
    "place-override",
    "POST",
    "/overrides",
    Scope.OVERRIDE,
    status=201,
    file="document",
    refuses=(
        "unknown-lead",
        "not-suppressed",
        "consent-outdated",
        "same-day-unexplained",
        "basis-not-enough",
        "not-openable",
        "override-stands",
        "nothing-to-renew",
        "not-yet-renewable",
        "document-not-kept",
        "documents-unavailable",
    ),
)
async def post_override(call: ApiCall, asked: PlaceOverride) -> OverridePlaced:
    """Open a lead whose number is listed, on a consent document."""
    if call.document is None:
        raise Problem("bad-request", "There is no document: send one file as the field document. Nothing was changed.")
    number = call.number(asked.number) if asked.number is not None else None
    if number is not None and await lead_of(call.database, LeadId(asked.lead), call.records.now()) is None:
        raise UnknownLead(f"There is no lead {asked.lead}. Add it first.")  # A consent with a number would add it.
    consent = Consent(
        lead=LeadId(asked.lead),
        number=number,
        basis=asked.basis,
        consented_on=asked.consented_on,
        document=call.document,
        attestation=asked.attestation,
        basis_note=asked.basis_note,
        expires_at=asked.expires_at,
        same_day_reason=asked.same_day_reason,
        tie=asked.tie,
        record=ConsentRecord(asked.seller, asked.purpose, asked.request_shown, asked.signature),
    )
    if asked.renews is None:
        done = await grant_override(call.records, call.actor, consent)
    else:
        done = await renew_override(call.records, call.actor, consent, asked.renews)
    return OverridePlaced(
        override=done.override_id, lead=done.lead, number=done.number, expires_at=done.expires_at, held=done.held
    )


@operation(
    "revoke-override",
    "POST",
    "/overrides/{override}/revoke",
    Scope.REVOKE,
    refuses=("unknown-override", "override-expired"),
)
async def post_revoke(call: ApiCall, asked: RevokeOverride) -> OverrideRevoked:
    """End an override at once."""
    done = await revoke_override(call.records, call.actor, asked.override, reason=asked.reason)
    return OverrideRevoked(override=done.override_id, lead=done.lead, number=done.number, already=done.already)


def _shown(row: OverrideRow, at: datetime) -> OverrideShown:
    return OverrideShown(**_of_row(row, at))


def _whole(found: WholeOverride, at: datetime) -> OverrideWhole:
    return OverrideWhole(
        **_of_row(found.row, at),
        **{name: getattr(found.details, name) for name in DETAILS},
        document_sha256=found.document.sha256,
        document_media_type=found.document.media_type,
        document_size=found.document.size,
        lists=list(found.lists),
    )


def _of_row(row: OverrideRow, at: datetime) -> dict[str, Any]:
    shared = {name: getattr(row, name) for name in OverrideShown.model_fields if hasattr(row, name)}
    return {**shared, "override": row.id, "state": row.state(at)}
