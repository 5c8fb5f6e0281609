"""Registry files as authorities publish them, and their import for tests."""

import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from admin_web.lists.progress import Progress
from admin_web.lists.registries.intake import RegistryIntake
from admin_web.lists.registries.reader import Reading, found_format
from admin_web.lists.registries.source import Source
from admin_web.lists.registries.version_request import FULL, ImportedVersion, VersionRequest
from admin_web.lists.report import RejectedRows
from admin_web.record.changes import Actor, Records
from admin_web.record.lines import unpack
from admin_web.record.models import Registry, RegistryExchange
from admin_web.services.registry_names import country_for
from compliance.redis_schema import number_of

OBTAINED = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
"""A date for which a version is not stale, whenever the tests run."""
SHELL = Actor("shell:test")


async def take(
    records: Records, name: str, *files: Path, kind: str = FULL, form: str | None = None, column: str | None = None,
    allow_drop: bool = False, seen: list[Progress] | None = None,
) -> ImportedVersion:  # fmt: skip
    """Import files as a version of a registry, and return the version."""
    source = Source(files)
    read = found_format(Source(files), form)
    wanted = VersionRequest(name, kind, OBTAINED, allow_drop=allow_drop)
    with RejectedRows(files[0].with_suffix(".rejected.csv")) as report:
        intake = RegistryIntake(records, SHELL, wanted, report, (seen if seen is not None else []).append)
        return await intake.take_in(source, Reading(await country_for(records.database, name), read, column))


def file(directory: Path, content: str | bytes, name: str = "list.txt") -> Path:
    path = directory / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def zipped(path: Path, *members: tuple[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def flat(numbers: Sequence[str], end: str = "\n") -> str:
    """Return numbers of +1 in the FTC's format."""
    return "".join(f"{number[2:5]},{number[5:]}{end}" for number in numbers)


async def in_force(records: Records, name: str) -> list[str]:
    """Return all numbers of a registry's version in force, sorted."""
    held = select(RegistryExchange.exchange, RegistryExchange.lines).join(
        Registry, Registry.version_in_force_id == RegistryExchange.version_id
    )
    async with records.database.read() as session:
        rows = (await session.execute(held.where(Registry.name == name))).all()
    return sorted(number_of(exchange, line) for exchange, lines in rows for line in unpack(lines).tolist())
