"""The record that services write to, and the moment at which a change is in force."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.database import Database, DatabaseUnavailable
from admin_web.record.events import Told, tell
from admin_web.record.models import AuditEvent, OutboxRow
from admin_web.webhooks.events import Event
from compliance.consent import Role
from compliance.numbers import E164, LeadId


class NotInForce(Exception):
    """What is recorded has not reached Redis; the message says why. The worker keeps trying."""


class Projector(Protocol):
    """What brings recorded changes to Redis."""

    async def drain(self) -> object:
        """Apply every committed change. Raises NotInForce unless Redis has acknowledged them all."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, by user name or `shell:NAME`, and from which address. The operator's shell has no role."""

    name: str
    address: str = ""
    role: Role | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a recorded change is in force; `why_not` when Redis has not acknowledged it yet."""

    in_force: bool
    why_not: str = ""

    def __str__(self) -> str:
        return "in force" if self.in_force else f"recorded, not yet in force: {self.why_not}"


IN_FORCE = Standing(in_force=True)
PENDING = Standing(in_force=False, why_not="The change is not committed yet.")


@dataclass(frozen=True, slots=True)
class Change:
    """One transaction of one actor at one moment (aware UTC)."""

    session: AsyncSession
    actor: Actor
    at: datetime
    told: list[Told] = field(default_factory=list)

    def audit(self, action: str, kind: str, subject: object, **particulars: str | int) -> None:
        """Put on record what the actor did, and to which subject."""
        event = AuditEvent(
            done_at=self.at,
            done_by=self.actor.name,
            done_from=self.actor.address[:64],
            action=action,
            subject_kind=kind,
            subject_id=str(subject),
            particulars=particulars,
        )
        self.session.add(event)

    def tell(self, event: Event, **data: str | int | list[str]) -> None:
        """Have the webhooks told, once this is committed, what was done and by whom."""
        self.told.append(Told(event, {**data, "by": self.actor.name}))

    def project_list(self, list_name: str, numbers: Iterable[E164]) -> None:
        """Have the projection look again at whether these numbers stand on a list."""
        self.session.add(OutboxRow(list_name=list_name, numbers=list(numbers), committed_at=self.at))

    def project_terms(self, registry: str) -> None:
        """Have the projection look again at the terms of the registries, of which one has changed."""
        self.session.add(OutboxRow(list_name=registry, numbers=[], committed_at=self.at))

    def project_override(self, number: E164, lead: LeadId) -> None:
        """Have the projection look again at whether a lead is open on a number."""
        self.session.add(OutboxRow(numbers=[number], lead_id=lead, committed_at=self.at))


def utc_now() -> datetime:
    """Give this moment."""
    return datetime.now(UTC)


@asynccontextmanager
async def changing(database: Database, actor: Actor, now: Callable[[], datetime] = utc_now) -> AsyncIterator[Change]:
    """Open a change: it is recorded whole at the end of the block, or not at all if the block raises."""
    async with database.write() as session, change_within(session, actor, now()) as change:
        yield change


@asynccontextmanager
async def change_within(session: AsyncSession, actor: Actor, at: datetime) -> AsyncIterator[Change]:
    """Make a change part of a transaction that is open already, and commits or not as a whole."""
    change = Change(session, actor, at)
    yield change
    await tell(session, change.told, at)


@dataclass(frozen=True, slots=True)
class Records:
    """The system of record with its projection and its clock."""

    database: Database
    projector: Projector
    now: Callable[[], datetime] = utc_now

    @asynccontextmanager
    async def change(self, actor: Actor) -> AsyncIterator[Change]:
        """Open a change; see `changing`."""
        async with changing(self.database, actor, self.now) as change:
            yield change

    async def standing(self) -> Standing:
        """Bring what is recorded into force, and say whether it is. What was recorded stays so either way."""
        try:
            await self.projector.drain()
        except (NotInForce, DatabaseUnavailable) as error:
            return Standing(in_force=False, why_not=str(error))
        return IN_FORCE
