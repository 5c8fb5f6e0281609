"""Import of an uploaded sheet as a job: the job's parameters, and the clean-up of sheets that no job needs."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import select

from admin_web.lists.lead_import import LeadColumns
from admin_web.lists.sheet_store import KeptSheet, SheetStore
from admin_web.record.database import Database
from admin_web.record.models import Job
from compliance.redis_schema import INTERNAL


@dataclass(frozen=True, slots=True)
class SheetImport:
    """Particulars of an import. `columns` are the positions, counted from 1, of `number`, `lead` and `name`.

    For a list of numbers, `number` may be several columns, as `--column` takes them. With `asked_on`, each number is
    its owner's own request of that day. `list_name` is the list to which they are added: the company's own, or a
    campaign list.
    """

    sheet: KeptSheet
    columns: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    asked_on: date | None = None
    list_name: str = INTERNAL

    @classmethod
    def read(cls, particulars: Mapping[str, Any]) -> "SheetImport":
        """Create from the JSON of `particulars`. Jobs of older versions have no `asked_on` and no `list`."""
        asked_on = particulars.get("asked_on")
        day = date.fromisoformat(asked_on) if asked_on else None
        sheet = KeptSheet(**particulars["sheet"])
        return cls(sheet, particulars["columns"], particulars["note"], day, particulars.get("list", INTERNAL))

    @property
    def particulars(self) -> dict[str, Any]:
        """The JSON for the job's row."""
        said = {"asked_on": self.asked_on.isoformat()} if self.asked_on is not None else {}
        columns = dict(self.columns)
        return {"sheet": asdict(self.sheet), "columns": columns, "note": self.note, "list": self.list_name, **said}

    @property
    def number_columns(self) -> tuple[str, ...]:
        """The columns of a sheet of numbers, as `number_columns` takes them."""
        return (self.columns["number"],) if self.columns.get("number") else ()

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
