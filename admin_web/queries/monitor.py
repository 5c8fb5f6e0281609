"""The Compliance Monitor: the table of overrides, counts by urgency, and the page of one override."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Select, case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.judging.facts import objections_to
from admin_web.judging.listing import lists_of
from admin_web.queries.monitor_filter import SOON, MonitorFilter, conditions, live, order
from admin_web.queries.neighbours import Neighbours, neighbours_of
from admin_web.queries.paging import PAGE_ROWS, Key, Page, page_of
from admin_web.queries.requests import RequestRow, last_request_on, listed_since, newest_request_of
from admin_web.record.database import Database
from admin_web.record.models import AuditEvent, Document, Lead, Override
from compliance.checks.patterns import INTERNAL_PATTERN
from compliance.numbers import E164, LeadId
from compliance.rule import Objection
from compliance.verdict import Ruling

MOST_PEOPLE = 200
MOST_TRAIL = 100
"""How many audit events an override's page shows, latest first. The audit page shows all of them."""


MOST_SAME_FILE = 20
"""Maximum number of other overrides with the same document that an override's page shows."""


class OverrideState(StrEnum):
    """State of an override at a moment."""

    ACTIVE = "active"
    HELD = "held"
    """Waits for its review or, after a recovery, for an admin to confirm it, and opens nothing before."""

    REVOKED = "revoked"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class OverrideRow:
    """One override of the table.

    `asked_on` is the day of the newest request not to be called on its number. `listed_at` (aware UTC) is the moment
    since which the number is on the company's own list. `contested` means that a request is newer than the consent.
    `recovery_id` is the recovery that has held the override, if one has.
    """

    id: int
    lead: str
    lead_name: str
    number: str
    basis: str
    consented_on: date
    document: str
    placed_at: datetime
    placed_by: str
    expires_at: datetime
    expiry_recorded_at: datetime | None
    reviewed_at: datetime | None
    reviewed_by: str | None
    revoked_at: datetime | None
    revoked_by: str | None
    revoke_reason: str | None
    held: bool
    recovery_id: int | None
    contested: bool
    asked_on: date | None
    listed_at: datetime | None

    def state(self, at: datetime) -> OverrideState:
        """Return the state at `at` (aware UTC)."""
        if self.revoked_at is not None:
            return OverrideState.REVOKED
        if self.expires_at <= at or self.expiry_recorded_at is not None:
            return OverrideState.EXPIRED
        return OverrideState.HELD if self.held else OverrideState.ACTIVE


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of active overrides: all, not reviewed, ending within 30, 7 and 1 days, and contested."""

    active: int
    unreviewed: int
    ends_30: int
    ends_7: int
    ends_1: int
    contested: int


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """Metadata of a document; `size` is in bytes."""

    sha256: str
    name: str
    media_type: str
    size: int
    stored_at: datetime
    stored_by: str


@dataclass(frozen=True, slots=True)
class Done:
    """An audit event: who did what, when, and from which address."""

    at: datetime
    by: str
    address: str
    action: str
    particulars: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OverrideDetails:
    """What was stated when an override was placed, and the decision of an admin to keep it, if there is one.

    `ended_by_request` is the id of the request not to be called that ended the override.
    """

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
    ended_by_request: int | None


@dataclass(frozen=True, slots=True)
class WholeOverride:
    """Everything about one override. `lists` are the lists that its number is on now.

    `objections` are the blocks that its lead would have now without an override. `last_request` is the request not to
    be called that was recorded last on its number. `same_file` are the other overrides with a document of the same
    content: (id, lead).
    """

    row: OverrideRow
    details: OverrideDetails
    document: DocumentRow
    neighbours: Neighbours
    lists: tuple[str, ...]
    objections: Sequence[Objection]
    trail: Sequence[Done]
    last_request: RequestRow | None
    same_file: Sequence[tuple[int, str]]

    @property
    def needed(self) -> bool:
        """Whether the override has an effect now, that is, opens some block of its lead."""
        return any(one.check.opens_by_override for one in self.objections)

    @property
    def pattern(self) -> str:
        """The pattern of the company's own list that blocks the number now; empty if there is none."""
        of_patterns = (one.ruling.detail for one in self.objections if one.ruling.reason == INTERNAL_PATTERN)
        return next(of_patterns, "")

    @property
    def can_be_kept(self) -> bool:
        """Whether an admin may keep the override: a request contests it, or has ended it."""
        return self.row.contested if self.row.revoked_at is None else self.details.ended_by_request is not None

    @property
    def final(self) -> Sequence[Ruling]:
        """The blocks of the lead that no override opens."""
        return [one.ruling for one in self.objections if not one.check.opens_by_override]


async def override_page(
    database: Database, sought: MonitorFilter, at: datetime, behind: Key | None = None, rows: int = PAGE_ROWS
) -> Page[OverrideRow]:
    """Return a page of overrides in their state at `at` (aware UTC). Raises DatabaseUnavailable."""
    query = _rows().where(*conditions(sought, at, behind)).order_by(*order(sought)).limit(rows + 1)
    async with database.read() as session:
        found = [OverrideRow(*row) for row in await session.execute(query)]
    return page_of(found, lambda row: (row.expires_at, row.id) if sought.by_end else (row.id,), rows)


async def every_override(database: Database, sought: MonitorFilter, at: datetime) -> AsyncIterator[OverrideRow]:
    """Yield all matching overrides, read in batches with one transaction each."""
    behind: Key | None = None
    while True:
        page = await override_page(database, sought, at, behind, 500)
        for row in page.rows:
            yield row
        if not page.next_key:
            return
        last = page.rows[-1]
        behind = (last.expires_at, last.id) if sought.by_end else (last.id,)


async def counts(database: Database, at: datetime) -> Counts:
    """Count the active overrides at `at` (aware UTC), and those that need attention."""
    ends = [func.count(case((Override.expires_at <= at + SOON[part], 1))) for part in SOON]
    unreviewed = func.count(case((Override.reviewed_at.is_(None), 1)))
    contested = func.count(case((Override.contested(), 1)))
    async with database.read() as session:
        found = await session.execute(select(func.count(), unreviewed, *ends, contested).where(*live(at)))
        return Counts(*(int(number) for number in found.one()))


async def people(database: Database) -> Sequence[str]:
    """Return the names of everybody who has placed overrides."""
    async with database.read() as session:
        names = select(Override.placed_by).distinct().order_by(Override.placed_by).limit(MOST_PEOPLE)
        return (await session.scalars(names)).all()


async def whole_override(database: Database, override_id: int, at: datetime) -> WholeOverride | None:
    """Return everything about one override at `at` (aware UTC); None when it does not exist."""
    query = _rows().add_columns(*_DETAILS, *_DOCUMENT).where(Override.id == override_id)
    async with database.read() as session:
        found = (await session.execute(query)).one_or_none()
        if found is None:
            return None
        row, document = OverrideRow(*found[: len(_ROW)]), DocumentRow(*found[-len(_DOCUMENT) :])
        number = E164(row.number)
        return WholeOverride(
            row,
            OverrideDetails(*found[len(_ROW) : -len(_DOCUMENT)]),
            document,
            await neighbours_of(session, LeadId(row.lead), number, at),
            await lists_of(session, number),
            await objections_to(session, number, LeadId(row.lead), at),
            await _trail(session, override_id),
            await last_request_on(session, number),
            await _same_file(session, override_id, document.sha256),
        )


_ROW = (
    Override.id, Override.lead_id, Lead.name, Override.number, Override.basis, Override.consented_on, Document.name,
    Override.placed_at, Override.placed_by, Override.expires_at, Override.expiry_recorded_at,
    Override.reviewed_at, Override.reviewed_by,
    Override.revoked_at, Override.revoked_by, Override.revoke_reason, Override.held, Override.recovery_id,
    Override.contested(),
    newest_request_of(Override.number), listed_since(Override.number),
)  # fmt: skip

_DETAILS = (
    Override.basis_note, Override.attestation, Override.placed_from, Override.same_day_reason, Override.tie,
    Override.seller, Override.purpose, Override.request_shown, Override.signature, Override.kept_at, Override.kept_by,
    Override.keep_reason, Override.ended_by_request,
)  # fmt: skip

_DOCUMENT = (
    Document.sha256, Document.name, Document.media_type, Document.size, Document.stored_at, Document.stored_by,
)  # fmt: skip


def _rows() -> Select[*tuple[Any, ...]]:
    joined = select(*_ROW).join(Lead, Lead.id == Override.lead_id)
    return joined.join(Document, Document.id == Override.document_id)


async def _trail(session: AsyncSession, override_id: int) -> list[Done]:
    events = (
        select(AuditEvent.done_at, AuditEvent.done_by, AuditEvent.done_from, AuditEvent.action, AuditEvent.particulars)
        .where(AuditEvent.subject_kind == "override", AuditEvent.subject_id == str(override_id))
        .order_by(AuditEvent.id.desc())
        .limit(MOST_TRAIL)
    )
    return [Done(*row) for row in await session.execute(events)]


async def _same_file(session: AsyncSession, override_id: int, sha256: str) -> list[tuple[int, str]]:
    others = (
        select(Override.id, Override.lead_id)
        .join(Document, Document.id == Override.document_id)
        .where(Document.sha256 == sha256, Override.id != override_id)
        .order_by(Override.id.desc())
        .limit(MOST_SAME_FILE)
    )
    return [(other, lead) for other, lead in await session.execute(others)]
