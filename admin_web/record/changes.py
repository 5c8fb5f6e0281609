"""The record that services write to, and whether a recorded change is in force in Redis."""

import re
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Protocol

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.database import Database, DatabaseUnavailable
from admin_web.record.events import Datum, WebhookEvent, is_wanted, write_deliveries
from admin_web.record.models import AuditEvent, OutboxRow
from admin_web.record.tally import note_change
from admin_web.webhooks.events import Event
from compliance.consent import Role
from compliance.consent_rules import ConsentRules
from compliance.numbers import E164, LeadId
from compliance.numbers.masking import mask

log = structlog.get_logger()

SECURITY = frozenset(
    {
        "sign-in", "sign-out", "end-session", "end-sessions", "change-password", "set-password", "turn-on-totp",
        "turn-off-totp", "reset-totp", "renew-recovery-codes", "unlock-user", "add-user", "change-user",
        "disable-user", "enable-user", "make-token", "change-token", "revoke-token",
    }
)  # fmt: skip
"""Changes that the log of the site reports too, for those who collect security events."""

SHELL = "shell:"
"""How the name of an operator at the shell begins. A command has no log beside its results."""

LONG_DIGITS = re.compile(r"(?P<moment>\d{4}-\d\d-\d\dT[\d:.+-]+)|\+?\d[\d ().-]{5,}\d")
"""What may be a telephone number, in any spelling; or a moment, which is none."""


class NotInForce(Exception):
    """A recorded change has not reached Redis; the message says why. The worker keeps trying.

    `public` says the same without addresses, paths and settings, for people and programs elsewhere.
    """

    public = "the copy of the lists in Redis could not be changed"


class ChangeLost(NotInForce):
    """The database went back to a moment before the change, so nothing brings it into force any more."""

    def __init__(self) -> None:
        super().__init__(
            "the database has lost this change since, as when a standby that lagged behind is promoted; "
            "look whether it is recorded, and make it once more"
        )
        self.public = str(self)


AFTERWARDS = "the database could not be used any more after the change was recorded"


class Projector(Protocol):
    """Applies recorded changes to Redis."""

    async def drain(self, numbers: Collection[E164] | None = None) -> object:
        """Apply every committed change. Raises NotInForce unless Redis has acknowledged them all.

        With `numbers`, only the shards of a cluster that have these numbers must have acknowledged the changes.
        """


@dataclass(frozen=True, slots=True)
class Actor:
    """The person or program that acts: a user name or `shell:NAME`, and an IP address. The shell has no role."""

    name: str
    address: str = ""
    role: Role | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a recorded change is in force. `why_not` is set while Redis has not acknowledged it.

    `why_not` is for the operator. `public` says the same without addresses, paths and settings.
    """

    in_force: bool
    why_not: str = ""
    public: str = ""

    def __str__(self) -> str:
        return "in force" if self.in_force else f"recorded, not yet in force: {self.why_not}"

    @property
    def shown(self) -> str:
        """The same for people who need not know the machines: on pages, and in results of jobs."""
        return "in force" if self.in_force else f"recorded, not yet in force: {self.public}"


IN_FORCE = Standing(in_force=True)
PENDING = Standing(
    in_force=False, why_not="The change is not committed yet.", public="The change is not committed yet."
)


def not_in_force(error: Exception) -> Standing:
    """Return the standing of a change that is recorded, and could not be applied because of `error`."""
    log.info("recorded, not yet in force", why=str(error))
    if isinstance(error, DatabaseUnavailable):  # The advice of its message is for a change that is not recorded.
        return Standing(in_force=False, why_not=f"{AFTERWARDS} ({error.fact})", public=AFTERWARDS)
    return Standing(in_force=False, why_not=str(error), public=public_words(error))


def public_words(error: Exception) -> str:
    """Return what people and programs elsewhere may read of an error."""
    if isinstance(error, OSError):
        return error.strerror or "a file could not be read or written"
    return getattr(error, "public", "") or str(error)


@dataclass(frozen=True, slots=True)
class Change:
    """One transaction by one actor at one moment (aware UTC). `events` go to the webhooks when it commits.

    `numbers` must reach Redis, and of `lists` terms or ranges of entries. `queued` are the outbox rows that say so.
    """

    session: AsyncSession
    actor: Actor
    at: datetime
    events: list[WebhookEvent] = field(default_factory=list)
    audited: list[AuditEvent] = field(default_factory=list)
    numbers: set[E164] = field(default_factory=set)
    lists: set[str] = field(default_factory=set)
    queued: list[OutboxRow] = field(default_factory=list)

    def audit(self, action: str, kind: str, subject: object, **particulars: str | int) -> None:
        """Add an audit event: the actor did `action` to this subject."""
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
        self.audited.append(event)

    def notify(self, event: Event, **data: Datum) -> None:
        """Send an event to the webhooks once this change is committed. The actor is added to `data` as `by`."""
        self.events.append(WebhookEvent(event, {**data, "by": self.actor.name}))

    def project_list(self, list_name: str, numbers: Iterable[E164]) -> None:
        """Queue numbers of a list whose state in SQL has changed and must reach Redis."""
        some = list(numbers)
        self.numbers.update(some)
        self._queue(OutboxRow(list_name=list_name, numbers=some, committed_at=self.at))

    def project_terms(self, list_name: str) -> None:
        """Queue all terms, because those of one list have changed and must reach Redis."""
        self.lists.add(list_name)
        self._queue(OutboxRow(list_name=list_name, numbers=[], committed_at=self.at))

    def project_entries(self, list_name: str, first: int, last: int) -> None:
        """Queue the numbers of a list's entries whose ids are between `first` and `last`."""
        self.lists.add(list_name)
        self._queue(
            OutboxRow(list_name=list_name, numbers=[], first_entry=first, last_entry=last, committed_at=self.at)
        )

    async def wants(self, event: Event) -> bool:
        """Return whether any webhook subscribes to an event. Otherwise its data need not be collected."""
        return await is_wanted(self.session, event)

    def project_override(self, number: E164, lead: LeadId) -> None:
        """Queue the override of a lead on a number, whose state in SQL has changed and must reach Redis."""
        self.numbers.add(number)
        self._queue(OutboxRow(numbers=[number], lead_id=lead, committed_at=self.at))

    def _queue(self, row: OutboxRow) -> None:
        self.session.add(row)
        self.queued.append(row)


def concerned(changes: Iterable[Change]) -> Collection[E164] | None:
    """Return the numbers that `changes` concern; None if they may concern any number.

    A change without numbers may answer about an earlier change that has not reached Redis, so it concerns any number.
    """
    each = list(changes)
    if not each or any(change.lists or not change.numbers for change in each):
        return None
    return set[E164]().union(*(change.numbers for change in each))


def utc_now() -> datetime:
    """Return the current time as aware UTC."""
    return datetime.now(UTC)


@asynccontextmanager
async def changing(database: Database, actor: Actor, now: Callable[[], datetime] = utc_now) -> AsyncIterator[Change]:
    """Open a transaction for one change. It commits at the end of the block; if the block raises, it rolls back."""
    async with database.write() as session, change_within(session, actor, now()) as change:
        yield change
    if change.audited:
        note_change()
    for event in change.audited:
        if event.action in SECURITY and not actor.name.startswith(SHELL):
            log_security(event.action, event.subject_kind, event.subject_id, actor, event.particulars)


def log_security(action: str, kind: str, subject: str, actor: Actor, particulars: Mapping[str, str | int]) -> None:
    """Write a security event to the log, as one line. Telephone numbers in it are masked."""
    more = {name: _masked(value) for name, value in particulars.items()}
    who = {"by": actor.name, "address": actor.address, "kind": kind, "subject": subject}
    log.info("security", action=action, **who, particulars=more)


def _masked(value: str | int) -> str | int:
    return LONG_DIGITS.sub(lambda found: found["moment"] or mask(found[0]), value) if isinstance(value, str) else value


@asynccontextmanager
async def change_within(session: AsyncSession, actor: Actor, at: datetime) -> AsyncIterator[Change]:
    """Open a change inside a transaction that is already open. Both commit together or not at all."""
    change = Change(session, actor, at)
    yield change
    await write_deliveries(session, change.events, at)


@dataclass(frozen=True, slots=True)
class Records:
    """The system of record, the projector that applies its changes to Redis, the clock, and the rules of consent."""

    database: Database
    projector: Projector
    now: Callable[[], datetime] = utc_now
    rules: ConsentRules = field(default_factory=ConsentRules)

    def today(self) -> date:
        """Return the present day in the installation's time zone."""
        return self.rules.today(self.now())

    @asynccontextmanager
    async def change(self, actor: Actor) -> AsyncIterator[Change]:
        """Open a change; see `changing`."""
        async with changing(self.database, actor, self.now) as change:
            yield change

    async def standing(self, *changes: Change) -> Standing:
        """Apply every recorded change to Redis and return whether that worked.

        If not, the changes stay recorded in SQL. With `changes`, the answer is about their numbers alone: it does not
        depend on the shards of a cluster that have none of these numbers. And it is about the very changes: a database
        that has lost them since would have nothing to apply.
        """
        try:
            await self.projector.drain(concerned(changes))
            await self._require_kept(changes)
        except (NotInForce, DatabaseUnavailable) as error:
            return not_in_force(error)
        return IN_FORCE

    async def _require_kept(self, changes: Iterable[Change]) -> None:
        """Raise ChangeLost unless SQL has these changes. What a transaction wrote, it has as a whole or not at all."""
        last = {(change.queued[-1].id, change.queued[-1].committed_at) for change in changes if change.queued}
        if not last:
            return
        async with self.database.read() as session:
            same_ids = select(OutboxRow.id, OutboxRow.committed_at).where(OutboxRow.id.in_({one for one, _ in last}))
            kept = {(row[0], row[1]) for row in await session.execute(same_ids)}
        if kept != last:  # Another change may have got the id since.
            raise ChangeLost
