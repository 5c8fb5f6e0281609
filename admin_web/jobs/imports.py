"""Whole lists taken in as background work: numbers for the company's own list, and leads."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.database import Database
from admin_web.importing import Intake, Progress
from admin_web.jobs.kind import Kind
from admin_web.jobs.run import Run
from admin_web.lead_import import LeadColumns, import_leads
from admin_web.number_import import import_numbers
from admin_web.permissions import Permission
from admin_web.report import RejectedRows
from admin_web.sheet import Sheet
from admin_web.sheet_store import KeptSheet, SheetStore
from compliance.models import Job

NUMBERS, LEADS = "import-numbers", "import-leads"

SQLITE_PAUSE_S = 0.06
"""SQLite has one write lock, and whoever waits for it looks again every 25 to 100 ms: it must be free for a while."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an import is to do. `columns`: the places, counted from 1, of `number`, `lead` and `name`."""

    sheet: KeptSheet
    columns: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @classmethod
    def read(cls, particulars: Mapping[str, Any]) -> "Asked":
        """Read back what `particulars` wrote."""
        return cls(KeptSheet(**particulars["sheet"]), particulars["columns"], particulars["note"])

    @property
    def particulars(self) -> dict[str, Any]:
        """What the job's row holds."""
        return {"sheet": asdict(self.sheet), "columns": dict(self.columns), "note": self.note}

    @property
    def lead_columns(self) -> LeadColumns:
        """The columns of leads."""
        return LeadColumns(self.columns.get("lead"), self.columns.get("number"), self.columns.get("name"))


async def sweep_sheets(database: Database, store: SheetStore, at: datetime) -> int:
    """Take away old sheets that no open job names; give how many files. Raises DatabaseUnavailable, OSError."""
    open_jobs = select(Job.particulars).where(Job.outcome == "")
    async with database.read() as session:
        wanted = {asked["sheet"]["token"] for asked in await session.scalars(open_jobs) if "sheet" in asked}
    return await asyncio.to_thread(store.sweep, wanted, at)


async def numbers(run: Run) -> str:
    """Put the numbers of a sheet on the company's own list."""
    asked, region = Asked.read(run.particulars), run.tools.settings.region
    column = asked.columns.get("number")

    async def take(into: Intake, sheet: Sheet, report: RejectedRows) -> Progress:
        return await import_numbers(into, sheet, report, region=region, column=column, note=asked.note)

    return await _import(run, asked, take, "put on the list", "there already")


async def leads(run: Run) -> str:
    """Add and change the leads of a sheet."""
    asked, region = Asked.read(run.particulars), run.tools.settings.region

    async def take(into: Intake, sheet: Sheet, report: RejectedRows) -> Progress:
        return await import_leads(into, sheet, report, region=region, columns=asked.lead_columns)

    return await _import(run, asked, take, "added or changed", "so already")


async def _import(
    run: Run, asked: Asked, take: Callable[[Intake, Sheet, RejectedRows], Awaitable[Progress]], new: str, old: str
) -> str:
    """Take a sheet in, from the place where an earlier worker was cut short."""
    store, begun = SheetStore.of(run.tools.settings), Progress(**run.place)

    async def keep(session: AsyncSession, done: Progress) -> None:
        place = asdict(done)
        del place["standing"]
        await run.keep(session, **place)

    records = run.tools.records
    pause_s = SQLITE_PAUSE_S if records.database.on_sqlite else 0.0
    with (
        store.open(asked.sheet) as sheet,
        RejectedRows(store.report(asked.sheet.token), begun.rejected, begun.report_bytes) as report,
    ):
        into = Intake(records, run.actor, partial(_show, run, asked), keep, begun, pause_s)
        done = await take(into, sheet, report)
    run.show("lines", asked.sheet.lines, asked.sheet.lines, **_counts(done))
    counted = f"{done.rows:,} rows: {done.added:,} {new}, {done.already:,} {old}, {done.rejected:,} rejected"
    return f"{counted}; {done.standing}."


def _show(run: Run, asked: Asked, done: Progress) -> None:
    run.show("lines", min(done.line, asked.sheet.lines), asked.sheet.lines, **_counts(done))


def _counts(done: Progress) -> dict[str, int]:
    return {"rows": done.rows, "added": done.added, "already": done.already, "rejected": done.rejected}


KINDS = (
    Kind(NUMBERS, "Import to the Do-Not-Call list", Permission.IMPORT, numbers),
    Kind(LEADS, "Import of leads", Permission.IMPORT, leads),
)
