"""Import of a registry's files as a new version, which comes into force complete or not at all.

A thread reads and collects the numbers. They are written to SQL in transactions of a few thousand exchanges, so that
other writers wait only briefly. Memory: 1,250 bytes for each exchange that still receives rows.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.lists.progress import Progress, keep_nothing
from admin_web.lists.registries import leftovers
from admin_web.lists.registries.collected import Collected
from admin_web.lists.registries.gathered import SIX_DIGITS, Ints
from admin_web.lists.registries.reader import Reading
from admin_web.lists.registries.rows import Piece
from admin_web.lists.registries.source import Source
from admin_web.lists.registries.version_request import (
    CHANGES,
    FULL,
    PART,
    ImportedVersion,
    VersionRequest,
    require_deeds,
)
from admin_web.lists.report import RejectedRows
from admin_web.lists.sheet import NotASheet
from admin_web.lists.threads import in_thread
from admin_web.projection.rebuild_outcome import FEW_NUMBERS, SMALL_SHARE
from admin_web.record import registry_versions as versions
from admin_web.record.changes import Actor, Change, Records
from admin_web.record.database import DatabaseUnavailable
from admin_web.record.lines import Bytes, bitmap_of, pack
from admin_web.record.models import Registry, RegistryVersion
from admin_web.services.registries import VersionMoved, registry_for
from compliance.refusal import Refused
from compliance.wording import counted

FEW_EXCHANGES = 16_000
"""From this many exchanges in memory (20 MB) on, those without further rows are written to SQL."""


class RegistryIntake:
    """One import. `keep` saves a checkpoint in each transaction, and may abort the import by raising."""

    def __init__(
        self,
        records: Records,
        actor: Actor,
        wanted: VersionRequest,
        report: RejectedRows,
        on_progress: Callable[[Progress], None],
        keep: Callable[[AsyncSession, Progress], Awaitable[None]] = keep_nothing,
    ) -> None:
        self._records, self._actor, self._wanted = records, actor, wanted
        self._on_progress, self._keep = on_progress, keep
        self._found = Collected(wanted.kind, report)
        self._written: set[int] = set()
        self._areas: set[str] = set()
        self.version = 0
        self._base: int | None = None

    async def take_in(self, source: Source, reading: Reading) -> ImportedVersion:
        """Import the files. Raises NotASheet, Refused, DatabaseUnavailable, OSError; the old version stays in force."""
        try:
            return await self._take_in(source, reading)
        except (NotASheet, Refused, OSError):
            with suppress(DatabaseUnavailable):  # If this fails, the worker's clean-up discards the version later.
                await leftovers.discard(self._records.database, self.version)
            raise

    async def _take_in(self, source: Source, reading: Reading) -> ImportedVersion:
        require_deeds(self._wanted.kind, says_deeds=await in_thread(reading.says_deeds, source))
        await self._begin(source, reading)
        hashing = asyncio.ensure_future(in_thread(source.sha256))
        try:
            await self._gather(reading.pieces(source))
            await self._write_rest()
            sha256 = await hashing
        finally:
            await asyncio.wait({hashing})
        source.require_unchanged()
        return await self._end(sha256)

    async def _begin(self, source: Source, reading: Reading) -> None:
        wanted = self._wanted
        async with self._change() as change:
            registry = await registry_for(change, wanted.name, wanted.country, wanted.account)
            self._base = registry.version_in_force_id
            if wanted.over not in {None, self._base or 0}:
                raise VersionMoved(wanted.name)
            await versions.abandon_unfinished(change.session, wanted.name)
            if self._base is None and wanted.kind == CHANGES:
                raise Refused(f"There is no version of {wanted.name} yet to apply changes to. Import all of it first.")
            version = RegistryVersion(
                registry_name=wanted.name, kind=wanted.kind, base_id=self._base,
                obtained_at=min(wanted.obtained_at, change.at), format=reading.form.name, file_name=source.name[:255],
                file_sha256="", file_bytes=source.file_bytes,
                may_shrink=wanted.allow_drop, imported_at=change.at, imported_by=change.actor.name, beat_at=change.at,
            )  # fmt: skip
            change.session.add(version)
            await change.session.flush()
            self.version = version.id

    async def _gather(self, pieces: Iterator[Piece]) -> None:
        """Collect the numbers of all pieces. Meanwhile write exchanges without further rows to SQL."""
        while await in_thread(self._found.take_next, pieces):
            self._on_progress(self._found.done)
            self._found.require_mostly_numbers()
            if self._wanted.kind != CHANGES and self._found.listed.size > FEW_EXCHANGES < 2 * self._found.listed.silent:
                await self._write(self._found.listed.pop(silent_only=True))
        self._found.require_sane()

    async def _write(self, batches: Iterator[tuple[Ints, Bytes]]) -> None:
        for exchanges, bitmaps in batches:
            again = self._written.intersection(exchanges.tolist())
            async with self._ours() as change:
                await versions.add(change.session, self.version, exchanges, bitmaps, again)
            self._note(exchanges)
            await asyncio.sleep(self._wanted.pause_s)

    def _note(self, exchanges: Ints) -> None:
        self._written.update(exchanges.tolist())
        if self._wanted.kind == PART and (exchanges // SIX_DIGITS != 1).any():
            raise NotASheet("A file of some area codes must contain only numbers of +1, but this one has others.")
        self._areas.update(str(area) for area in np.unique(exchanges // 1000 - 1000).tolist() if 200 <= area <= 999)

    async def _write_rest(self) -> None:
        """Write the remaining exchanges, and copy the unchanged ones from the previous version."""
        if self._wanted.kind == CHANGES:
            await self._copy(leaving=())
            await self._change_copied()
            return
        await self._write(self._found.listed.pop(silent_only=False))
        if self._wanted.kind == PART:
            await self._copy(leaving=sorted(self._areas))

    async def _copy(self, leaving: Sequence[str]) -> None:
        after, base = "", self._base
        while base is not None:
            async with self._ours() as change:
                after = await versions.copy(change.session, base, self.version, after, leaving)
            await asyncio.sleep(self._wanted.pause_s)
            if not after:
                return

    async def _change_copied(self) -> None:
        for exchanges, bitmaps in self._found.listed.pop(silent_only=False):
            await self._apply(exchanges, lambda old, new: old | new, bitmaps)
        for exchanges, bitmaps in self._found.deleted.pop(silent_only=False):
            await self._apply(exchanges, lambda old, new: old & ~new, bitmaps)

    async def _apply(self, exchanges: Ints, change_of: Callable[[Bytes, Bytes], Bytes], bitmaps: Bytes) -> None:
        names = [str(exchange) for exchange in exchanges.tolist()]
        async with self._ours() as change:
            kept = await versions.lines_of(change.session, self.version, names)
            changed = [
                {"version_id": self.version, "exchange": name, "lines": pack(change_of(_bitmap(kept, name), new))}
                for name, new in zip(names, bitmaps, strict=True)
            ]
            await versions.write_rows(change.session, changed, again=True)
        self._note(exchanges)

    async def _end(self, sha256: str) -> ImportedVersion:
        """Complete the version and put it in force, in one transaction."""
        async with self._records.database.read() as session:
            sizes = await versions.sizes(session, self.version, self._base)
        async with self._ours() as change:
            registry = await change.session.get_one(Registry, self._wanted.name, with_for_update=True)
            before = await change.session.get(RegistryVersion, registry.version_in_force_id or 0)
            version = await change.session.get_one(RegistryVersion, self.version)
            if registry.version_in_force_id != self._base:
                raise versions.Overtaken
            was = before.numbers if before else 0
            self._require_credible(was, sizes.numbers)
            version.numbers, version.exchanges = sizes.numbers, sizes.exchanges
            version.added, version.removed = sizes.numbers - sizes.common, was - sizes.common
            version.accepted, version.rejected = self._found.done.added, self._found.done.rejected
            kept_areas = before.area_codes if before and self._wanted.kind != FULL else []
            version.area_codes = sorted({*self._areas, *kept_areas})
            if before and self._wanted.kind == PART:
                version.obtained = self._obtained(before, kept_areas)
            version.file_sha256, version.whole_at = sha256, change.at
            registry.version_in_force_id = version.id
            self._audit(change, version)
        done, not_read = self._found.done, " ".join(dict.fromkeys(self._found.not_read))
        return ImportedVersion(
            self.version, sizes.numbers, version.added, version.removed, done.rows, done.rejected, not_read
        )

    def _obtained(self, before: RegistryVersion, kept: Sequence[str]) -> dict[str, str]:
        """Return when each area code that is missing in these files was obtained.

        This import does not contain these area codes, so their dates do not change.
        """
        then = before.obtained_at.isoformat()
        return {area: before.obtained.get(area, then) for area in kept if area not in self._areas}

    def _require_credible(self, was: int, numbers: int) -> None:
        lost = was - numbers
        if not self._wanted.allow_drop and lost > FEW_NUMBERS and lost > was * SMALL_SHARE:
            raise Refused(
                f"{self._wanted.name} would shrink from {was:,} to {counted(numbers, 'number')}, so nothing was "
                "changed. If the file has only some area codes, import it as a part; if the list really shrank, allow "
                "the drop."
            )

    def _audit(self, change: Change, version: RegistryVersion) -> None:
        change.audit(
            "import-registry", "registry", self._wanted.name, version=version.id, taken_as=version.kind,
            file=version.file_name, sha256=version.file_sha256, numbers=version.numbers, added=version.added,
            removed=version.removed, rejected=version.rejected,
        )  # fmt: skip

    @asynccontextmanager
    async def _change(self) -> AsyncIterator[Change]:
        async with self._records.change(self._actor) as change:
            yield change
            await self._keep(change.session, self._found.done)

    @asynccontextmanager
    async def _ours(self) -> AsyncIterator[Change]:
        """Open a transaction that keeps the version from being abandoned. Raises Overtaken if it already is."""
        async with self._change() as change:
            await versions.require_ours(change, self.version)
            yield change


def _bitmap(kept: Mapping[str, bytes], exchange: str) -> Bytes:
    return bitmap_of(kept.get(exchange, b""))
