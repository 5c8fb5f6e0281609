"""Import of a registry's files as a new version, which comes into force complete or not at all.

A thread reads and collects the numbers. They are written to SQL in transactions of a few thousand exchanges, so that
other writers wait only briefly. Memory: 1,250 bytes for each exchange that still receives rows.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.lists.imports import Progress, in_thread
from admin_web.lists.registries import leftovers
from admin_web.lists.registries.gathered import SIX_DIGITS, Gathered, Ints, TooManyExchanges, split
from admin_web.lists.registries.reader import Reading
from admin_web.lists.registries.rows import Piece
from admin_web.lists.registries.source import Source
from admin_web.lists.report import RejectedRows
from admin_web.lists.sheet import NotASheet
from admin_web.projection.rebuild_outcome import FEW_NUMBERS, SMALL_SHARE
from admin_web.record import registry_versions as versions
from admin_web.record.changes import Actor, Change, Records
from admin_web.record.database import DatabaseUnavailable
from admin_web.record.lines import Bytes, bitmap_of, pack
from admin_web.record.models import Registry, RegistryVersion
from admin_web.services.registries import VersionMoved, registry_for
from compliance.refusal import Refused

FULL, PART, CHANGES = "full", "part", "changes"
"""What a file contains: the whole registry, all numbers of some area codes, or a list of added and deleted numbers."""

NO_DEEDS = (
    "The file does not say which numbers were added and which deleted: a file of changes has A or D beside each number."
)
ARE_CHANGES = (
    "The file lists added and deleted numbers: import it as changes. As a whole registry, or as some area codes, it "
    "would take the unchanged numbers off the list."
)

FEW_EXCHANGES = 16_000
"""From this many exchanges in memory (20 MB) on, those without further rows are written to SQL."""

MOST_REPORTED = 100_000
"""Rejected rows in the report; further ones are only counted."""


@dataclass(frozen=True, slots=True)
class VersionRequest:
    """The version to import: of the registry `name`, obtained at `obtained_at` (aware UTC).

    A moment that is still to come, such as the start of a day that has begun only in the east, counts as now.

    `country` and `account` are as in `registry_for`. With `allow_drop` the list may become much smaller. `pause_s` is
    the pause, in seconds, after each transaction, for other writers. `over` is the version in force that the person has
    seen and wants to replace, 0 for none; None replaces whichever is in force.
    """

    name: str
    kind: str
    obtained_at: datetime
    country: str | None = None
    account: str | None = None
    allow_drop: bool = False
    pause_s: float = 0.0
    over: int | None = None


@dataclass(frozen=True, slots=True)
class ImportedVersion:
    """A complete version, which is in force in SQL. `not_read` says in sentences what was not read of the files."""

    version: int
    numbers: int
    added: int
    removed: int
    rows: int
    rejected: int
    not_read: str = ""

    def __str__(self) -> str:
        changed = f"{self.added:,} added and {self.removed:,} removed since the previous version"
        numbers = "1 number" if self.numbers == 1 else f"{self.numbers:,} numbers"
        rows = "1 row" if self.rows == 1 else f"{self.rows:,} rows"
        return f"{numbers}, {changed}; {rows}, {self.rejected:,} rejected"


def require_deeds(kind: str, *, says_deeds: bool) -> None:
    """Raise NotASheet unless the files say what was added and deleted if, and only if, they are imported as changes."""
    if kind == CHANGES and not says_deeds:
        raise NotASheet(NO_DEEDS)
    if kind != CHANGES and says_deeds:
        raise NotASheet(ARE_CHANGES)


async def nothing_to_keep(session: AsyncSession, done: Progress) -> None:
    """Save no checkpoint."""
    del session, done


class RegistryIntake:
    """One import. `keep` saves a checkpoint in each transaction, and may abort the import by raising."""

    def __init__(
        self,
        records: Records,
        actor: Actor,
        wanted: VersionRequest,
        report: RejectedRows,
        on_progress: Callable[[Progress], None],
        keep: Callable[[AsyncSession, Progress], Awaitable[None]] = nothing_to_keep,
    ) -> None:
        self._records, self._actor, self._wanted, self._report = records, actor, wanted, report
        self._on_progress, self._keep = on_progress, keep
        self._done = Progress()
        self._listed, self._deleted = Gathered(), Gathered()
        self._written: set[int] = set()
        self._areas: set[str] = set()
        self._not_read: list[str] = []
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
        while await in_thread(self._gather_one, pieces):
            self._on_progress(self._done)
            if self._done.rejected > max(MOST_REPORTED, self._done.added):
                self._require_sane()
            if self._wanted.kind != CHANGES and self._listed.size > FEW_EXCHANGES < 2 * self._listed.silent:
                await self._write(self._listed.pop(silent_only=True))
        self._require_sane()

    def _gather_one(self, pieces: Iterator[Piece]) -> bool:
        """Collect the next piece. Return whether there was one. Raises NotASheet."""
        piece = next(pieces, None)
        if piece is None:
            self._report.flush()
            return False
        if piece.deleted and self._wanted.kind != CHANGES:
            raise NotASheet(ARE_CHANGES)
        try:
            self._put(piece)
        except TooManyExchanges:
            raise NotASheet("The numbers are spread over more exchanges than exist; this is not a registry.") from None
        self._reject(piece)
        if piece.not_read:
            self._not_read.append(piece.not_read)
        return True

    def _put(self, piece: Piece) -> None:
        """Collect the numbers of a piece. If a number is both listed and deleted, its last row counts."""
        self._listed.listen()
        for exchanges, lines in (*piece.arrays, split(piece.listed)):
            self._listed.put(exchanges, lines)
            if self._wanted.kind == CHANGES:
                self._deleted.take_out(exchanges, lines)
        if piece.deleted:
            exchanges, lines = split(piece.deleted)
            self._deleted.put(exchanges, lines)
            self._listed.take_out(exchanges, lines)

    def _reject(self, piece: Piece) -> None:
        for row in piece.rejected[: max(0, MOST_REPORTED - self._report.count)]:
            self._report.add(row.line, row.reason, row.explanation, row.text)
        rejected = len(piece.rejected)
        self._done = replace(
            self._done, rows=self._done.rows + piece.rows, added=self._done.added + piece.rows - rejected,
            rejected=self._done.rejected + rejected, line=piece.line,
        )  # fmt: skip

    def _require_sane(self) -> None:
        done = self._done
        if not done.added and not done.rejected:
            raise NotASheet("The file contains no rows; the previous version stays in force.")
        if done.rejected > done.added:
            raise NotASheet(
                f"{done.rejected:,} of the first {done.rows:,} rows are not numbers; the old version stays in force."
            )

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
        await self._write(self._listed.pop(silent_only=False))
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
        for exchanges, bitmaps in self._listed.pop(silent_only=False):
            await self._apply(exchanges, lambda old, new: old | new, bitmaps)
        for exchanges, bitmaps in self._deleted.pop(silent_only=False):
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
            version.accepted, version.rejected = self._done.added, self._done.rejected
            kept_areas = before.area_codes if before and self._wanted.kind != FULL else []
            version.area_codes = sorted({*self._areas, *kept_areas})
            if before and self._wanted.kind == PART:
                version.obtained = self._obtained(before, kept_areas)
            version.file_sha256, version.whole_at = sha256, change.at
            registry.version_in_force_id = version.id
            self._tell(change, version)
        return ImportedVersion(
            self.version, sizes.numbers, version.added, version.removed, self._done.rows, self._done.rejected,
            " ".join(dict.fromkeys(self._not_read)),
        )  # fmt: skip

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
                f"{self._wanted.name} would shrink from {was:,} to {numbers:,} numbers, so nothing was changed. If the "
                "file has only some area codes, import it as a part; if the list really shrank, allow the drop."
            )

    def _tell(self, change: Change, version: RegistryVersion) -> None:
        change.audit(
            "import-registry", "registry", self._wanted.name, version=version.id, taken_as=version.kind,
            file=version.file_name, sha256=version.file_sha256, numbers=version.numbers, added=version.added,
            removed=version.removed, rejected=version.rejected,
        )  # fmt: skip

    @asynccontextmanager
    async def _change(self) -> AsyncIterator[Change]:
        async with self._records.change(self._actor) as change:
            yield change
            await self._keep(change.session, self._done)

    @asynccontextmanager
    async def _ours(self) -> AsyncIterator[Change]:
        """Open a transaction that keeps the version from being abandoned. Raises Overtaken if it already is."""
        async with self._change() as change:
            await versions.require_ours(change, self.version)
            yield change


def _bitmap(kept: Mapping[str, bytes], exchange: str) -> Bytes:
    return bitmap_of(kept.get(exchange, b""))
