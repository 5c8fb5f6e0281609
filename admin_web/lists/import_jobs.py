"""Import of an uploaded sheet as a job: the job's parameters, and the clean-up of sheets that no job needs."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import select

from admin_web.lists.lead_import import LeadColumns
from admin_web.lists.row_ends import EndsAsked
from admin_web.lists.sheet_store import KeptSheet, SheetStore
from admin_web.record.database import Database
from admin_web.record.models import Job
from compliance.consent_rules import ConsentRules
from compliance.ends import end_in
from compliance.redis_schema import INTERNAL


@dataclass(frozen=True, slots=True)
class SheetImport:
    """Particulars of an import. `columns` are the positions, counted from 1, of `number`, `lead`, `name` and `ends`.

    For a list of numbers, `number` may be several columns, as `--column` takes them. With `asked_on`, each number is
    its owner's own request of that day. `list_name` is the list to which they are added: the company's own, or a
    campaign list. `until` is the last day of all entries, as `end_in` reads it; the column `ends` has the last day of
    each.
    """

    sheet: KeptSheet
    columns: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    asked_on: date | None = None
    list_name: str = INTERNAL
    until: str = ""

    @classmethod
    def read(cls, particulars: Mapping[str, Any]) -> "SheetImport":
        """Create from the JSON of `particulars`. Jobs of older versions have no `asked_on`, `list` and `until`."""
        asked_on, until = particulars.get("asked_on"), particulars.get("until", "")
        day = date.fromisoformat(asked_on) if asked_on else None
        sheet = KeptSheet(**particulars["sheet"])
        return cls(sheet, particulars["columns"], particulars["note"], day, particulars.get("list", INTERNAL), until)

    @property
    def particulars(self) -> dict[str, Any]:
        """The JSON for the job's row."""
        said = {"asked_on": self.asked_on.isoformat()} if self.asked_on is not None else {}
        said |= {"until": self.until} if self.until else {}
        columns = dict(self.columns)
        return {"sheet": asdict(self.sheet), "columns": columns, "note": self.note, "list": self.list_name, **said}

    @property
    def number_columns(self) -> tuple[str, ...]:
        """The columns of a sheet of numbers, as `number_columns` takes them."""
        return (self.columns["number"],) if self.columns.get("number") else ()

    def ends(self, rules: ConsentRules, at: datetime) -> EndsAsked:
        """Return when the entries end. Raises EndRefused."""
        until = end_in(self.until, rules, at) if self.until else None
        return EndsAsked(until, self.columns.get("ends"), rules, at)

    @property
    def lead_columns(self) -> LeadColumns:
        """The columns of a sheet of leads."""
        return LeadColumns(self.columns.get("lead"), self.columns.get("number"), self.columns.get("name"))


async def sweep_sheets(database: Database, store: SheetStore, at: datetime) -> int:
    """Delete old sheets that no open job needs. Return the number of files. Raises DatabaseUnavailable, OSError."""
    open_jobs = select(Job.particulars).where(Job.outcome == "")
    async with database.read() as session:
        wanted = {asked["sheet"]["token"] for asked in await session.scalars(open_jobs) if "sheet" in asked}
    return await asyncio.to_thread(store.sweep, wanted, at)
