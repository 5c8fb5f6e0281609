"""The lead of a consent form, with only the reads that the form and its POST need."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import literal, select

from admin_web.queries.lead_state import Stand, stands_of
from admin_web.queries.neighbours import Neighbours, neighbours_of
from admin_web.queries.requests import listed_since, newest_request_of
from admin_web.record.database import Database
from admin_web.record.lead_numbers import LabelledNumber, numbers_of
from admin_web.record.models import Lead
from admin_web.services.leads import UnknownLead
from compliance.numbers import E164, LeadId


@dataclass(frozen=True, slots=True)
class ConsentSubject:
    """The lead that a consent is for, and the dates that its consent is compared with; see `OverrideRow`.

    `number` is the one of its `numbers` that the consent is for.
    """

    id: LeadId
    name: str
    number: E164
    numbers: Sequence[LabelledNumber]
    stand: Stand
    asked_on: date | None
    listed_at: datetime | None

    @property
    def shown(self) -> str:
        """What people call the lead: its name, else its id."""
        return self.name or self.id


async def consent_subject(database: Database, lead: LeadId, at: datetime, wanted: str = "") -> ConsentSubject:
    """Read a lead and its stand on one number at `at` (aware UTC).

    The number is `wanted` if the lead has it, or else the first one that an override can open, or else the first.
    Raises UnknownLead, DatabaseUnavailable.
    """
    async with database.read() as session:
        name = await session.scalar(select(Lead.name).where(Lead.id == lead))
        if name is None:
            raise UnknownLead(f"There is no lead {lead}.")
        numbers = await numbers_of(session, lead)
        stands = dict(zip(numbers, await stands_of(session, [(one.number, lead) for one in numbers], at), strict=True))
        asked = next((one for one in numbers if one.number == wanted), None)
        chosen = asked or next((one for one in numbers if stands[one].openable), numbers[0])
        dates = select(newest_request_of(literal(chosen.number)), listed_since(literal(chosen.number)))
        asked_on, listed_at = (await session.execute(dates)).one()
        return ConsentSubject(lead, name, chosen.number, numbers, stands[chosen], asked_on, listed_at)


async def neighbours(database: Database, subject: ConsentSubject, at: datetime) -> Neighbours:
    """Count the other leads on the number of a consent's lead at `at` (aware UTC). Raises DatabaseUnavailable."""
    async with database.read() as session:
        return await neighbours_of(session, subject.id, subject.number, at)
