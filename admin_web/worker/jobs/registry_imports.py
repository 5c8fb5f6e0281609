"""Imports of registry files as background jobs.

A killed worker leaves an incomplete version. The next worker starts again from the beginning, because the read position
is useless without the numbers that were collected in memory. That worker must never replace the version of a later
import.
"""

from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.lists.progress import Progress
from admin_web.lists.registries.following import standing
from admin_web.lists.registries.import_jobs import RegistryImport
from admin_web.lists.registries.intake import RegistryIntake
from admin_web.lists.registries.reader import Reading, found_format
from admin_web.lists.registries.source import Source
from admin_web.lists.registries.version_request import ImportedVersion
from admin_web.lists.report import RejectedRows
from admin_web.lists.sheet_store import SheetStore
from admin_web.projection.live import StoreUnfit
from admin_web.record.models import RegistryVersion
from admin_web.record.registry_versions import Overtaken
from admin_web.services.registry_names import country_for
from admin_web.worker.jobs.run import Run
from compliance.refusal import Refused, as_sentence


async def take_in(run: Run) -> str:
    """Import a file as a registry's new version, and bring it into force. Return the sentence for the job's page."""
    asked, store = RegistryImport.read(run.particulars), SheetStore.of_registries(run.tools.settings)
    taken = await _taken(run)
    if taken is None:
        await _require_fit(run)
        taken = await _import(run, asked, store)

    def show(phase: str, done: int, total: int) -> None:
        run.show(phase, done, total, rows=taken.rows, rejected=taken.rejected)

    stands = await standing(run.tools.projection, show)
    store.discard(asked.sheet)
    said = as_sentence(f"Version {taken.version} of {asked.sheet.registry}: {taken}; {stands.shown}")
    return f"{said} {taken.not_read}".strip()


async def _require_fit(run: Run) -> None:
    """Raise Refused if Redis could not hold a registry."""
    try:
        await run.tools.projection.require_fit_for_a_registry()
    except StoreUnfit as error:
        raise Refused(str(error)) from None


async def _taken(run: Run) -> ImportedVersion | None:
    """Return the version of this job if an earlier worker has completed it, otherwise None. Raises Overtaken."""
    async with run.tools.records.database.read() as session:
        version = await session.get(RegistryVersion, run.place.get("version", 0))
    if version is None:
        return None
    if version.whole_at is not None:
        rows = version.accepted + version.rejected
        return ImportedVersion(version.id, version.numbers, version.added, version.removed, rows, version.rejected)
    if version.beat_at is None:
        raise Overtaken
    return None


async def _import(run: Run, asked: RegistryImport, store: SheetStore) -> ImportedVersion:
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

    wanted = asked.wanted(records.database.pause_s)
    with RejectedRows(store.report(asked.sheet.token)) as report:
        intake = RegistryIntake(records, run.actor, wanted, report, show, keep)
        return await intake.take_in(source, reading)
