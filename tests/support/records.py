"""The system of record for tests: with a clock that stands still, and a projection that can be made to fail."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from sqlalchemy import select

from admin_web.documents import Kept
from admin_web.record.changes import Actor, NotInForce, Records
from admin_web.record.models import Base
from admin_web.services.consents import Consent
from compliance.consent import ATTESTATION, Basis, Role
from compliance.numbers import E164, LeadId

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
NUMBER, OTHER = E164("+14155550100"), E164("+14155550101")
LEAD, SECOND = LeadId("L-1"), LeadId("L-2")
SUPERVISOR, ADMIN = Actor("supervisor", "192.0.2.7", Role.SUPERVISOR), Actor("admin", "192.0.2.8", Role.ADMIN)
DOCUMENT = Kept("ab" * 32, "consent.pdf", "application/pdf", 1234)
CONSENT = Consent(LEAD, Basis.SIGNED_CONSENT, date(2026, 2, 27), DOCUMENT, ATTESTATION)

Row = TypeVar("Row", bound=Base)


class Clock:
    """A clock that moves only by `move`."""

    def __init__(self) -> None:
        self.at = AT

    def __call__(self) -> datetime:
        return self.at

    def move(self, **delta: float) -> None:
        self.at += timedelta(**delta)


class FakeProjector:
    """Counts its drains, and keeps the numbers of the last one. With `broken` set, each of them fails."""

    def __init__(self) -> None:
        self.drains = 0
        self.numbers: Collection[E164] | None = None
        self.broken = ""

    async def drain(self, numbers: Collection[E164] | None = None) -> None:
        self.numbers = numbers
        self.drains += 1
        if self.broken:
            raise NotInForce(self.broken)


async def rows(records: Records, table: type[Row]) -> list[Row]:
    """Return all rows of a table, ordered by id."""
    async with records.database.read() as session:
        return list(await session.scalars(select(table).order_by("id")))
