"""Measure a large import to the company's own list, through the site and by command, and its export.

`python -m bench.imports [--rows 1000000]` runs on SQLite and on PostgreSQL, with every commit on disk, and prints one
table. The file is a CSV of random numbers in sixteen area codes. Through the site, an admin uploads it and a worker
imports it. Meanwhile a browser requests pages and blocks single numbers. By command, `dnc-admin` imports the same file
to another, empty database, and exports the list.
"""

import asyncio
import os
import random
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import text

from admin_web.people.accounts import add_user
from admin_web.people.own_account import change_password
from admin_web.people.passwords import random_password
from admin_web.projection.projection import Projection
from admin_web.record.changes import Actor, utc_now
from admin_web.record.database import Database
from admin_web.record.schema import migrate
from admin_web.settings import AdminSettings
from bench.imports_programs import PROGRAM, peak_mb
from bench.imports_site import Figures, import_through_the_site
from compliance.consent import Role
from lab.postgres import PostgresServer
from lab.redis import RedisServer

AREAS = (201, 202, 206, 214, 303, 305, 312, 404, 415, 512, 602, 617, 702, 713, 818, 916)
KINDS = ("sqlite", "postgresql")

MUST: Mapping[str, str] = {
    "through the site, rows a second": "at least 20,000",
    "blocking a number meanwhile, p95, ms": "under 200",
    "slowest page meanwhile, p95, ms": "under 100",
    "by command, rows a second": "at least 60,000",
    "export, s": "at most 5",
    "bytes a row on disk": "at most 200",
    "peak memory of worker, site and command, MB": "under 200",
    "CPU for the import by command, s": "",
}
BEFORE: Mapping[str, str] = {
    "through the site, rows a second": "5,750 and 16,100",
    "blocking a number meanwhile, p95, ms": "181 and 81",
    "slowest page meanwhile, p95, ms": "36 and 35",
    "by command, rows a second": "50,000",
    "export, s": "19.6",
    "bytes a row on disk": "289",
    "peak memory of worker, site and command, MB": "137",
}
"""Figures of version 0.2.0 on SQLite, or on SQLite and PostgreSQL, on a machine that was otherwise idle."""


def main(
    rows: Annotated[int, typer.Option(help="Numbers in the file.")] = 1_000_000,
    only: Annotated[str, typer.Option(help="`sqlite` or `postgresql`; default both.")] = "",
) -> None:
    """Measure on each kind of database, and print the table."""
    found = {kind: _measure(kind, rows) for kind in KINDS if kind.startswith(only)}
    print(f"\n| {rows:,} rows | must | before | {' | '.join(found)} |")
    print("|---|---|---|" + "---|" * len(found))
    for what, must in MUST.items():
        cells = [f"{figures[what]:,.{1 if what.endswith(', s') else 0}f}" for figures in found.values()]
        print(f"| {what} | {must} | {BEFORE.get(what, '')} | {' | '.join(cells)} |")


def _measure(kind: str, rows: int) -> Figures:
    """Return the figures of one kind of database, by the words of the table."""
    with _installed(kind) as site:
        file = site.directory / "list.csv"
        _write_list(file, rows)
        figures = asyncio.run(
            import_through_the_site(site.environment, site.directory, site.password, file.read_bytes(), rows)
        )
    with _installed(kind) as shell:
        file = shell.directory / "list.csv"
        _write_list(file, rows)
        before = asyncio.run(_bytes_on_disk(shell.url))
        took, cpu, import_mb = _run(shell, "import", "internal", str(file))
        figures["bytes a row on disk"] = (asyncio.run(_bytes_on_disk(shell.url)) - before) / rows
        exported, _, export_mb = _run(shell, "export", "internal", str(shell.directory / "export.csv"))
        lines = (shell.directory / "export.csv").read_bytes().count(b"\n")
    if lines != rows + 1:
        raise SystemExit(f"the export has {lines} lines")
    memory = "peak memory of worker, site and command, MB"
    return figures | {
        "by command, rows a second": rows / took,
        "CPU for the import by command, s": cpu,
        "export, s": exported,
        memory: max(figures[memory], import_mb, export_mb),
    }


@dataclass(frozen=True, slots=True)
class Installation:
    """An empty database with an admin, an empty Redis with its projection, and the environment of the programs."""

    url: str
    directory: Path
    environment: Mapping[str, str]
    password: str


@contextmanager
def _installed(kind: str) -> Iterator[Installation]:
    with tempfile.TemporaryDirectory(prefix="dnc-", dir="/var/tmp") as name, _database(kind, Path(name)) as url:
        directory = Path(name)
        with RedisServer(directory / "redis", directory / "redis.sock") as redis:
            names = {"DNC_DATABASE_URL": url, "DNC_REDIS_URL": redis.url, "DNC_DATA_DIR": name}
            installed = Installation(url, directory, os.environ | names, secrets.token_urlsafe(15))
            asyncio.run(_set_up(installed, redis.url))
            yield installed


@contextmanager
def _database(kind: str, directory: Path) -> Iterator[str]:
    directory.chmod(0o755)  # PostgreSQL runs as another user.
    if kind == "sqlite":
        yield f"sqlite:///{directory}/dnc.sqlite3"
        return
    with PostgresServer(directory / "pg") as server:
        yield server.create_database("dnc")


async def _set_up(installed: Installation, redis_url: str) -> None:
    settings = AdminSettings(redis_url=redis_url)
    async with Database(installed.url) as database, Projection(database, settings) as projection:
        await migrate(database)
        await add_user(database, Actor("shell:bench"), "bench", Role.ADMIN, first := random_password())
        await change_password(database, Actor("bench"), 0, first, installed.password, utc_now)
        await projection.rebuild()


def _write_list(file: Path, rows: int) -> None:
    chosen = random.Random(1).sample(range(len(AREAS) * 8_000_000), rows)
    with file.open("w") as out:
        out.write("name,phone\n")
        for at, one in enumerate(chosen):
            out.write(f"Lead {at},{AREAS[one // 8_000_000]}{2_000_000 + one % 8_000_000}\n")


def _run(installed: Installation, *words: str) -> tuple[float, float, float]:
    """Run a command. Return its seconds, the seconds of CPU that it used, and its peak memory in MB."""
    began, peak = time.perf_counter(), 0.0
    with subprocess.Popen([PROGRAM, *words], env=installed.environment, stderr=subprocess.DEVNULL) as process:
        while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            peak = max(peak, peak_mb(process.pid))
            time.sleep(0.02)
        process.returncode = os.waitstatus_to_exitcode(ended[1])
    if process.returncode:
        raise SystemExit(f"dnc-admin {' '.join(words)} ended with {process.returncode}")
    return time.perf_counter() - began, ended[2].ru_utime + ended[2].ru_stime, peak


async def _bytes_on_disk(url: str) -> int:
    async with Database(url) as database:
        if database.on_sqlite:
            async with database.write() as session:
                pages = await session.scalar(text("PRAGMA page_count"))
                free = await session.scalar(text("PRAGMA freelist_count"))
                return (int(pages or 0) - int(free or 0)) * int(await session.scalar(text("PRAGMA page_size")) or 0)
        async with database.read() as session:
            return int(await session.scalar(text("SELECT pg_database_size(current_database())")) or 0)


if __name__ == "__main__":
    typer.run(main)
