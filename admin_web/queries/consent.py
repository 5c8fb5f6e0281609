"""The lead of a consent form, with only the reads that the form and its POST need."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select

from admin_web.queries.lead_state import Stand, stands_of
from admin_web.queries.neighbours import Neighbours, neighbours_of
from admin_web.queries.requests import listed_since, newest_request_of
from admin_web.record.database import Database
from admin_web.record.models import Lead
from admin_web.services.leads import UnknownLead
from compliance.numbers import E164, LeadId


@dataclass(frozen=True, slots=True)
class ConsentSubject:
    """The lead that a consent is for, and the dates that its consent is compared with; see `OverrideRow`."""

    id: LeadId
    name: str
    number: E164
    stand: Stand
    asked_on: date | None
    listed_at: datetime | None

    @property
    def shown(self) -> str:
        """What people call the lead: its name, else its id."""
        return self.name or self.id


async def consent_subject(database: Database, lead: LeadId, at: datetime) -> ConsentSubject:
    """Read a lead and its stand at `at` (aware UTC). Raises UnknownLead, DatabaseUnavailable."""
    async with database.read() as session:
        found = select(Lead.name, Lead.number, newest_request_of(Lead.number), listed_since(Lead.number))
        row = (await session.execute(found.where(Lead.id == lead))).one_or_none()
        if row is None:
            raise UnknownLead(f"There is no lead {lead}.")
        name, number, asked_on, listed_at = row[0], E164(row[1]), row[2], row[3]
        (stand,) = await stands_of(session, [(number, lead)], at)
        return ConsentSubject(lead, name, number, stand, asked_on, listed_at)


async def neighbours(database: Database, subject: ConsentSubject, at: datetime) -> Neighbours:
    """Count the other leads on the number of a consent's lead at `at` (aware UTC). Raises DatabaseUnavailable."""
    async with database.read() as session:
        return await neighbours_of(session, subject.id, subject.number, at)
