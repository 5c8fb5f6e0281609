"""Security events: what was refused, and what somebody took away. They go to the audit events and to the log.

A flood of refusals must fill neither the disk nor the database. In each minute, some events of each kind are recorded
one by one for each network, and some more for all networks together. The rest is counted, and the count is recorded.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from admin_web.record.changes import Actor, changing, log_security
from admin_web.record.database import Database, DatabaseUnavailable
from compliance.addresses import network_of

log = structlog.get_logger()

WINDOW = timedelta(minutes=1)
MOST_OF_NETWORK = 10
MOST_OF_ACTION = 60


async def record_export(database: Database, actor: Actor, what: str, rows: int, asked: str) -> None:
    """Record that an operator exported records at the shell; `asked` is the filter."""
    async with changing(database, actor) as change:
        change.audit("export", "export", what, filter=asked, rows=rows, complete="yes")


@dataclass
class Thinning:
    """The events of the current window: how many were recorded of each kind, and how many were only counted."""

    since: datetime
    recorded: Counter[tuple[str, str]] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)

    def let_through(self, action: str, network: str) -> bool:
        """Return whether to record an event. Otherwise count it."""
        whole, part = (action, ""), (action, f"{network} ")
        if self.recorded[whole] >= MOST_OF_ACTION or self.recorded[part] >= MOST_OF_NETWORK:
            self.missed[action] += 1
            return False
        self.recorded.update((whole, part))
        return True


class SecurityEvents:
    """Records security events that are not part of another change."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database, self._now = database, now
        self._thinning = Thinning(now())

    async def audit(self, action: str, kind: str, subject: str, actor: Actor, **particulars: str | int) -> None:
        """Record that the actor did `action`, or tried to, unless there were many such events in this minute."""
        if not self._since() < WINDOW:
            await self.flush()
        if self._thinning.let_through(action, network_of(actor.address)):
            await self._record(action, kind, subject, actor, particulars)

    async def audit_always(self, action: str, kind: str, subject: str, actor: Actor, **particulars: str | int) -> None:
        """Record an event that is no refusal, so it cannot come as a flood from strangers."""
        await self._record(action, kind, subject, actor, particulars)

    async def flush(self) -> None:
        """Begin a new window, and record how many events of the last one were only counted."""
        ended, self._thinning = self._thinning, Thinning(self._now())
        for action, more in sorted(ended.missed.items()):
            await self._record(action, "site", "", Actor(""), {"more": more})

    def _since(self) -> timedelta:
        return abs(self._now() - self._thinning.since)

    async def _record(
        self, action: str, kind: str, subject: str, actor: Actor, particulars: dict[str, str | int]
    ) -> None:
        log_security(action, kind, subject, actor, particulars)
        try:
            async with changing(self._database, actor, self._now) as change:
                change.audit(action, kind, subject, **particulars)
        except DatabaseUnavailable:  # The log has the event. The answer to the request must not depend on this.
            return
        except SQLAlchemyError:  # The table of events is damaged. The same holds.
            log.exception("security event not recorded", action=action)
