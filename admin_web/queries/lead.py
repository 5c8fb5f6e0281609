"""The page of one lead: its state and the reason, other leads on its number, its timeline."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.queries.lead_state import NumberStand, Stand, best_of, numbers_stands, stands_of
from admin_web.queries.neighbours import neighbours_of
from admin_web.queries.timeline import TimelineEntry, timeline_of
from admin_web.record.database import Database
from admin_web.record.lead_numbers import LabelledNumber, has_number
from admin_web.record.models import Lead, Override, Registry, RegistryVersion, SuppressionEntry
from admin_web.record.models.suppression import NEVER
from admin_web.services.leads import UnknownLead
from compliance.numbers import E164, LeadId
from compliance.openable import renewable
from compliance.redis_schema import INTERNAL
from compliance.verdict import Verdict

MOST_OTHERS = 20
"""Other leads on the number that the page shows; the list of leads has all of them."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A list that a number is on, with the time, the person and the source of its entry.

    For a registry these fields say when its file was obtained, who imported it and what the file is called. `spared`
    are the campaigns to which the registry does not apply. `only` are the campaigns of a campaign list, which applies
    to no other calls. `ends_at` is when an entry of an own list ends by itself.
    """

    list_name: str
    since: datetime
    by: str
    source: str
    note: str
    registry: bool
    spared: Sequence[str] = ()
    only: Sequence[str] = ()
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OtherLead:
    """Another lead on the same number."""

    id: LeadId
    name: str
    stand: Stand


@dataclass(frozen=True, slots=True)
class LiveConsent:
    """The live override of the lead, without basis and document, which not every role may see."""

    id: int
    placed_at: datetime
    placed_by: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class LeadPage:
    """The content of a lead's page.

    `numbers` are all numbers of the lead, the first one first. The page is about `number`: the one that was asked for,
    or else one on which the lead may be called, or else the first. `stand`, `listings` and `consent` are about it.

    `on_number` counts the leads on its number, including this one, up to MOST_COUNTED. `others_open` counts the other
    leads with a live override. `consent` is the lead's own override, which has no effect while the number is not
    blocked. `held` is the id of an override of the lead that waits for its review, and opens nothing before. While a
    dialer has claimed the lead, `claimed_by` names it, and the claim ends at `claimed_until`.
    """

    id: LeadId
    name: str
    number: E164
    numbers: Sequence[NumberStand]
    queued: bool
    last_called_at: datetime | None
    created_at: datetime
    created_by: str
    changed_at: datetime | None
    changed_by: str | None
    claimed_by: str
    claimed_until: datetime | None
    stand: Stand
    listings: Sequence[Listing]
    consent: LiveConsent | None
    held: int | None
    on_number: int
    others_open: int
    others: Sequence[OtherLead]
    timeline: Sequence[TimelineEntry]

    @property
    def shown(self) -> str:
        """The lead's name, or its id if it has none."""
        return self.name or self.id

    @property
    def best(self) -> Stand:
        """The stand of the lead on the number on which it may be called; if there is none, on its first number."""
        return best_of(self.numbers).stand

    @property
    def others_blocked(self) -> int:
        """Number of other leads that stay blocked, because they have no override of their own."""
        return max(0, self.on_number - 1 - self.others_open)

    def renewable(self, at: datetime) -> bool:
        """Return whether the lead's override is in its last days at `at`, when it can be renewed."""
        return self.consent is not None and renewable(self.consent.expires_at, at)

    @property
    def call_to_wrap_up(self) -> TimelineEntry | None:
        """The last allowed call, unless it is wrapped up already."""
        wrapped_up = {entry.decision for entry in self.timeline if entry.kind == "wrap-up"}
        calls = (entry for entry in self.timeline if entry.kind == "call" and entry.what == Verdict.ALLOW)
        last = next(calls, None)
        return None if last is None or last.decision in wrapped_up else last

    @property
    def listed_here(self) -> bool:
        """Whether the number is on the company's own list: only such an entry can be lifted."""
        return any(listing.list_name == INTERNAL for listing in self.listings)


async def lead_page(database: Database, lead: LeadId, at: datetime, wanted: str = "") -> LeadPage:
    """Return the page of a lead at `at` (aware UTC), about the number `wanted` if the lead has it.

    Raises UnknownLead, DatabaseUnavailable.
    """
    async with database.read() as session:
        row = (await session.execute(select(*_COLUMNS).where(Lead.id == lead))).one_or_none()
        if row is None:
            raise UnknownLead(f"There is no lead {lead}.")
        first = LabelledNumber(E164(row.number), row.number_label)
        name, queued, called, created_at, created_by, changed_at, changed_by, claimed_until, claimed_by = row[2:]
        claimed = claimed_until is not None and claimed_until > at
        (numbers,) = await numbers_stands(session, [(lead, first)], at)
        about = next((one for one in numbers if one.number == wanted), best_of(numbers))
        number, stand = about.number, about.stand
        others = await _others(session, number, lead)
        stands = await stands_of(session, [(number, other) for other, _ in others], at)
        near = await neighbours_of(session, lead, number, at)
        return LeadPage(
            id=lead,
            name=name,
            number=number,
            numbers=numbers,
            queued=queued,
            last_called_at=None if called == NEVER else called,
            created_at=created_at,
            created_by=created_by,
            changed_at=changed_at,
            changed_by=changed_by,
            claimed_by=claimed_by if claimed else "",
            claimed_until=claimed_until if claimed else None,
            stand=stand,
            listings=await _listings(session, number, stand),
            consent=await _consent(session, lead, number, at),
            held=await _held(session, lead, number, at),
            on_number=1 + near.leads,
            others_open=near.open,
            others=[OtherLead(other, called, its) for (other, called), its in zip(others, stands, strict=True)],
            timeline=await timeline_of(session, lead, [one.number for one in numbers], at),
        )


_COLUMNS = (
    Lead.number, Lead.number_label, Lead.name, Lead.queued, Lead.last_called_at, Lead.created_at, Lead.created_by,
    Lead.changed_at, Lead.changed_by, Lead.claimed_until, Lead.claimed_by,
)  # fmt: skip


async def _others(session: AsyncSession, number: E164, lead: LeadId) -> list[tuple[LeadId, str]]:
    others = select(Lead.id, Lead.name).where(has_number(number), Lead.id != lead).order_by(Lead.id)
    return [(LeadId(other), name) for other, name in await session.execute(others.limit(MOST_OTHERS))]


async def _listings(session: AsyncSession, number: E164, stand: Stand) -> list[Listing]:
    """Return a listing for each list that the number is on."""
    own = select(
        SuppressionEntry.list_name,
        SuppressionEntry.added_at,
        SuppressionEntry.added_by,
        SuppressionEntry.source,
        SuppressionEntry.full_note(),
        SuppressionEntry.ends_at,
    ).where(SuppressionEntry.number == number, SuppressionEntry.lifted_at.is_(None))
    published = (
        select(
            Registry.name,
            RegistryVersion.obtained_at,
            RegistryVersion.imported_by,
            RegistryVersion.file_name,
            Registry.spared,
        )
        .join(RegistryVersion, RegistryVersion.id == Registry.version_in_force_id)
        .where(Registry.name.in_(stand.lists))
    )
    listings = [
        Listing(name, since, by, source, note, False, (), stand.elsewhere.get(name, ()), ends_at)
        for name, since, by, source, note, ends_at in await session.execute(own.order_by(SuppressionEntry.id))
    ]
    return listings + [
        Listing(name, since, by, source, note="", registry=True, spared=spared)
        for name, since, by, source, spared in await session.execute(published)
    ]


async def _consent(session: AsyncSession, lead: LeadId, number: E164, at: datetime) -> LiveConsent | None:
    live = select(Override.id, Override.placed_at, Override.placed_by, Override.expires_at).where(
        Override.lead_id == lead, Override.number == number, *Override.opening(at)
    )
    found = (await session.execute(live.order_by(Override.expires_at.desc()).limit(1))).one_or_none()
    return LiveConsent(*found) if found else None


async def _held(session: AsyncSession, lead: LeadId, number: E164, at: datetime) -> int | None:
    """Return the id of the override of a lead on a number that waits for an admin; None if there is none."""
    held = select(Override.id).where(
        Override.lead_id == lead, Override.number == number, *Override.live(at), Override.held
    )
    return await session.scalar(held.order_by(Override.id.desc()).limit(1))
