"""Files of registries taken in as background work.

A worker that is killed leaves a version that is not whole; the next one begins anew, for the place where it was cut
short is of no use without what was gathered in memory. What it must never do is go back behind a later import.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Self

from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.importing import Progress
from admin_web.jobs.imports import SQLITE_PAUSE_S
from admin_web.jobs.kind import Kind
from admin_web.jobs.run import Run
from admin_web.permissions import Permission
from admin_web.registries.following import standing
from admin_web.registries.intake import Intake, Taken, Wanted
from admin_web.registries.leftovers import IMPORT_REGISTRY
from admin_web.registries.names import country_for
from admin_web.registries.reader import Reading, found_format
from admin_web.registries.source import Source
from admin_web.registries.versions import Overtaken
from admin_web.report import RejectedRows
from admin_web.sheet_store import KeptSheet, SheetStore
from compliance.models import RegistryVersion


@dataclass(frozen=True, slots=True)
class Asked:
    """What an import is to do: the sheet, and the rest as in `intake.Wanted` and `reader.Reading`.

    `obtained_on` is a day, which began at midnight UTC.
    """

    sheet: KeptSheet
    taken_as: str
    obtained_on: date
    over: int
    form: str | None = None
    column: str | None = None
    account: str | None = None
    allow_drop: bool = False

    @classmethod
    def read(cls, particulars: Mapping[str, Any]) -> Self:
        """Read back what `particulars` wrote."""
        sheet, day = KeptSheet(**particulars["sheet"]), date.fromisoformat(particulars["obtained_on"])
        return cls(**{**particulars, "sheet": sheet, "obtained_on": day})

    @property
    def particulars(self) -> dict[str, Any]:
        """What the job's row holds."""
        return {**asdict(self), "obtained_on": self.obtained_on.isoformat()}

    def wanted(self, pause_s: float) -> Wanted:
        """Give it as an intake wants it."""
        obtained_at = datetime.combine(self.obtained_on, time(), UTC)
        return Wanted(
            self.sheet.registry, self.taken_as, obtained_at, None, self.account, self.allow_drop, pause_s, self.over
        )


async def take_in(run: Run) -> str:
    """Take a file in as a registry's new version, and bring that into force."""
    asked, store = Asked.read(run.particulars), SheetStore.of_registries(run.tools.settings)
    taken = await _taken(run) or await _import(run, asked, store)

    def show(phase: str, done: int, total: int) -> None:
        run.show(phase, done, total, rows=taken.rows, rejected=taken.rejected)

    stands = await standing(run.tools.projection, show)
    store.discard(asked.sheet)
    return f"Version {taken.version} of {asked.sheet.registry}: {taken}; {stands}."


async def _taken(run: Run) -> Taken | None:
    """Give the version that an earlier worker made whole; None when it did not. Raises Overtaken."""
    async with run.tools.records.database.read() as session:
        version = await session.get(RegistryVersion, run.place.get("version", 0))
    if version is None:
        return None
    if version.whole_at is not None:
        rows = version.accepted + version.rejected
        return Taken(version.id, version.numbers, version.added, version.removed, rows, version.rejected)
    if version.beat_at is None:
        raise Overtaken
    return None


async def _import(run: Run, asked: Asked, store: SheetStore) -> Taken:
    records = run.tools.records
    source = Source([store.path(asked.sheet)], asked.sheet.name)
    reading = Reading(
        await country_for(records.database, asked.sheet.registry), found_format(source, asked.form), asked.column
    )

    def show(done: Progress) -> None:
        run.show("bytes read", source.bytes_read, source.size or 0, rows=done.rows, rejected=done.rejected)

    async def keep(session: AsyncSession, done: Progress) -> None:
        del done
        await run.note(session, version=intake.version)

    wanted = asked.wanted(SQLITE_PAUSE_S if records.database.on_sqlite else 0.0)
    with RejectedRows(store.report(asked.sheet.token)) as report:
        intake = Intake(records, run.actor, wanted, report, show, keep)
        return await intake.take_in(source, reading)


KINDS = (Kind(IMPORT_REGISTRY, "Import of a registry", Permission.IMPORT, take_in),)
