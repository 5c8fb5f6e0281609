"""Imports as background jobs: numbers for the company's own list, and leads."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.lists.import_jobs import SheetImport
from admin_web.lists.imports import Intake
from admin_web.lists.lead_import import import_leads
from admin_web.lists.lift_import import lift_numbers
from admin_web.lists.number_import import import_numbers
from admin_web.lists.progress import Progress
from admin_web.lists.report import RejectedRows
from admin_web.lists.sheet import Sheet
from admin_web.lists.sheet_store import SheetStore
from admin_web.worker.jobs.run import Run
from compliance import dates
from compliance.redis_schema import INTERNAL
from compliance.refusal import as_sentence
from compliance.wording import counted


@dataclass(frozen=True, slots=True)
class Words:
    """What a kind of import does to a row: it is `new`, or `old`, or its number is kept because the person asked."""

    new: str
    old: str
    keeps: bool = False

    def counted(self, done: Progress) -> str:
        """Return the counts for the result of the job."""
        said = f"{done.added:,} {self.new}, {done.already:,} {self.old}"
        if not self.keeps:
            return said
        such = f" (such as {', '.join(done.such_as)})" if done.such_as else ""
        return f"{said}, {done.kept:,} kept because the person asked not to be called{such}"

    def counts(self, done: Progress) -> dict[str, int]:
        """Return the counts by name, for the progress of the job."""
        kept = {"kept": done.kept} if self.keeps else {}
        return {"rows": done.rows, self.new: done.added, self.old: done.already, **kept, "rejected": done.rejected}


NUMBERS = Words("added to the list", "already listed")
LEADS = Words("added or changed", "unchanged")
LIFTS = Words("lifted", "not on the list", keeps=True)


async def numbers(run: Run) -> str:
    """Add the numbers in a sheet to a list, or record each as its owner's own request."""
    asked, region = SheetImport.read(run.particulars), run.tools.settings.region

    ends = asked.ends(run.tools.records.rules, run.tools.records.now())

    async def take(into: Intake, sheet: Sheet, report: RejectedRows) -> Progress:
        return await import_numbers(
            into,
            sheet,
            report,
            region=region,
            columns=asked.number_columns,
            note=asked.note,
            asked_on=asked.asked_on,
            list_name=asked.list_name,
            ends=ends,
        )

    words = NUMBERS if asked.list_name == INTERNAL else Words(f"added to {asked.list_name}", "already listed")
    said = await _import(run, asked, take, words)
    if asked.asked_on is None:
        return said
    return f"{said} Each number is recorded as its owner's own request of {dates.day(asked.asked_on)}."


async def leads(run: Run) -> str:
    """Add and change leads according to a sheet."""
    asked, region = SheetImport.read(run.particulars), run.tools.settings.region

    async def take(into: Intake, sheet: Sheet, report: RejectedRows) -> Progress:
        return await import_leads(into, sheet, report, region=region, columns=asked.lead_columns)

    return await _import(run, asked, take, LEADS)


async def lifts(run: Run) -> str:
    """Lift the numbers in a sheet from the company's own list. The note is the reason."""
    asked, region = SheetImport.read(run.particulars), run.tools.settings.region

    async def take(into: Intake, sheet: Sheet, report: RejectedRows) -> Progress:
        return await lift_numbers(into, sheet, report, region=region, reason=asked.note, columns=asked.number_columns)

    return await _import(run, asked, take, LIFTS)


async def _import(
    run: Run, asked: SheetImport, take: Callable[[Intake, Sheet, RejectedRows], Awaitable[Progress]], words: Words
) -> str:
    """Import a sheet, from the row where an earlier worker was interrupted. Return the sentence for the job's page."""
    store, begun = SheetStore.of(run.tools.settings), Progress(**run.place)

    async def keep(session: AsyncSession, done: Progress) -> None:
        place = asdict(done)
        del place["standing"], place["not_read"], place["unread"]
        await run.keep(session, **place)

    records = run.tools.records
    pause_s = records.database.pause_s
    with (
        store.open(asked.sheet) as sheet,
        RejectedRows(store.report(asked.sheet.token), begun.rejected, begun.report_bytes) as report,
    ):
        into = Intake(records, run.actor, partial(_show, run, asked, words), keep, begun, pause_s)
        done = await take(into, sheet, report)
    run.show("lines", asked.sheet.lines, asked.sheet.lines, **words.counts(done))
    counts = f"{counted(done.rows, 'row')}: {words.counted(done)}, {done.rejected:,} rejected"
    return f"{as_sentence(f'{counts}; {done.standing.shown}')} {done.not_read}".strip()


def _show(run: Run, asked: SheetImport, words: Words, done: Progress) -> None:
    run.show("lines", min(done.line, asked.sheet.lines), asked.sheet.lines, **words.counts(done))
