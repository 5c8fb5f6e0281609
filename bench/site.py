"""Measure how fast the site answers with a million leads and five million decisions, on SQLite and on PostgreSQL.

`python -m bench.site` creates the data, and keeps it in the directory for the next run. It starts Redis, rebuilds the
projection, and serves the site in a process of its own. Then a signed-in admin and a program with a token request every
list page and search over HTTP, one after the other.

The table shows milliseconds at the server, from the arrival of the request to the finished answer, as the Server-Timing
header reports them. The database's files are in the page cache. The table also shows the CPU time of the site's process
for each request: if it is much shorter, the machine was busy. `--leads 10000` makes everything a hundredth as large.
"""

import asyncio
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Annotated
from urllib.request import urlopen

import typer
from aiohttp import ClientSession, CookieJar

from admin_web.people.accounts import NameTaken, add_user, set_password
from admin_web.people.own_account import change_password
from admin_web.people.passwords import random_password
from admin_web.people.tokens import Scope, make_token
from admin_web.record.changes import Actor, utc_now
from admin_web.record.database import Database
from admin_web.record.schema import migrate
from bench.load import cpu_seconds
from bench.site_data import Scale
from bench.site_load import described_tables, load, settle
from bench.site_pages import PAGES
from compliance.consent import Role
from lab.postgres import PostgresServer
from lab.process import Process, free_port
from lab.redis import RedisServer

GOAL_MS = 100
WARM = 2
"""Requests for each page that are not counted. They fill the caches of templates, statements and the database."""

USER = Actor("shell:bench")


class NotAPage(Exception):
    """A request was not answered with a page."""


def main(
    leads: Annotated[int, typer.Option(help="Leads; all other data is in proportion.")] = 1_000_000,
    directory: Annotated[Path, typer.Option(help="Directory of the data.")] = Path("/var/tmp/dnc-bench"),
    times: Annotated[int, typer.Option(help="Measured requests for each page.")] = 30,
    only: Annotated[str, typer.Option(help="`sqlite` or `postgresql`; default both.")] = "",
    page: Annotated[str, typer.Option(help="Only the pages whose name contains this.")] = "",
) -> None:
    """Create the data if it is missing, measure, and exit with code 1 when a page is over the goal."""
    home = directory / str(leads)
    home.mkdir(parents=True, exist_ok=True)
    for path in (directory, home):
        path.chmod(0o755)  # PostgreSQL runs as another user.
    slow = 0
    for kind, opened in (("sqlite", _sqlite), ("postgresql", _postgres)):
        if kind.startswith(only):
            with opened(home, leads) as (url, scale):
                slow += asyncio.run(measure(kind, url, scale, home, times, page))
    sys.exit(bool(slow))


@contextmanager
def _sqlite(home: Path, leads: int) -> Iterator[tuple[str, Scale]]:
    path = home / "dnc.sqlite3"

    def anew() -> str:
        path.unlink(missing_ok=True)
        return f"sqlite:///{path}"

    made = _filled(home / "sqlite.made", leads, f"sqlite:///{path}", anew)
    _read_through(path)
    yield made


@contextmanager
def _postgres(home: Path, leads: int) -> Iterator[tuple[str, Scale]]:
    with PostgresServer(home / "pg") as server:

        def anew() -> str:
            server.drop_database("dnc")
            return server.create_database("dnc")

        made = _filled(home / "postgresql.made", leads, server.url("dnc"), anew)
        _read_through(home / "pg" / "cluster" / "base")
        yield made


def _filled(made: Path, leads: int, url: str, anew: Callable[[], str]) -> tuple[str, Scale]:
    """Return URL and scale of a filled database: the existing one if it is complete and has the current tables."""
    tables = described_tables()
    if made.exists():
        at, _, there = made.read_text().partition("\n")
        if there == tables:
            settle(url)
            return url, Scale(leads, datetime.fromisoformat(at))
        made.unlink()
    scale = Scale(leads, datetime.now(UTC).replace(tzinfo=None))
    url = anew()
    print(f"{url.partition(':')[0]}: creating {leads:,} leads and their data", flush=True)
    asyncio.run(_migrate(url))
    load(url, scale)
    made.write_text(f"{scale.now.isoformat()}\n{tables}")
    return url, scale


def _read_through(path: Path) -> None:
    """Read every file once: a site that has run for a while has its database in the page cache."""
    for file in [path] if path.is_file() else path.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                while opened.read(1 << 20):
                    pass


async def _migrate(url: str) -> None:
    async with Database(url) as database:
        await migrate(database)


async def measure(kind: str, url: str, scale: Scale, home: Path, times: int, part: str) -> int:
    """Request every page, print the table, and return how many pages are over the goal."""
    password, port = secrets.token_urlsafe(15), free_port()
    async with Database(url) as database:
        try:
            await add_user(database, USER, "bench", Role.ADMIN, first := random_password())
        except NameTaken:
            await set_password(database, USER, "bench", first)
        await change_password(database, Actor("bench"), 0, first, password, utc_now)
        token = await make_token(database, USER, f"bench {secrets.token_hex(8)}", {Scope.READ})
    data = home / f"{kind}-site"
    data.mkdir(exist_ok=True)
    with RedisServer(data / "redis", data / "redis.sock") as redis:
        environment = {
            "DNC_DATABASE_URL": url,
            "DNC_REDIS_URL": redis.url,
            "DNC_DATA_DIR": str(data),
            "DNC_WEB_BIND": f"127.0.0.1:{port}",
            "DNC_LEASE_S": "0",  # The lease never ends: no worker runs to renew it.
        }
        program = Path(sys.executable).with_name("dnc-admin")
        with Process([program, "rebuild"], data / "rebuild.log", os.environ | environment) as rebuild:
            if rebuild.wait(600):
                raise SystemExit(rebuild.log_end())
        with Process([program, "serve"], data / "site.log", os.environ | environment) as site:
            site.wait_until(lambda: "ready" in _get(port, "/readyz"))
            bearer = {"Authorization": f"Bearer {token}"}
            url = f"http://127.0.0.1:{port}"
            async with ClientSession(url, cookie_jar=CookieJar(unsafe=True), headers=bearer) as session:
                await _sign_in(session, password)
                return await _table(kind, session, site.pid, scale, times, part)


def _get(port: int, path: str) -> str:
    """Send one request and return the text of the answer; an empty text while nothing listens."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
            return str(answer.read())
    except OSError:
        return ""


async def _sign_in(session: ClientSession, password: str) -> None:
    origin = {"Origin": str(session._base_url).rstrip("/")}  # noqa: SLF001 - the origin of the requests
    fields = {"name": "bench", "password": password, "csrf": ""}
    async with session.post("/sign-in", data=fields, headers=origin, allow_redirects=False) as answer:
        if answer.status != 303:
            raise SystemExit(f"The sign-in failed with status {answer.status}.")


async def _table(kind: str, session: ClientSession, pid: int, scale: Scale, times: int, part: str) -> int:
    print(f"\n{kind}: {scale.leads:,} leads, {scale.entries:,} entries, {scale.overrides:,} overrides, "
          f"{scale.decisions:,} decisions; milliseconds at the server")  # fmt: skip
    print(f"{'page':<36}{'times':>7}{'p50':>9}{'p95':>9}{'max':>9}{'CPU':>9}")
    slow, chance = 0, Random(7)
    for name, asked in PAGES:
        if part not in name:
            continue
        cpu = cpu_seconds(pid)
        try:
            took = sorted([await _ask(session, asked(chance, scale)) for _ in range(times + WARM)][WARM:])
        except NotAPage as error:
            print(f"{name:<36}  {error}")
            slow += 1
            continue
        p95 = took[min(len(took) - 1, len(took) * 95 // 100)]
        slow += p95 >= GOAL_MS
        mark = "  over the goal" if p95 >= GOAL_MS else ""
        each = (cpu_seconds(pid) - cpu) / (times + WARM) * 1000
        middle = took[len(took) // 2]
        print(f"{name:<36}{len(took):>7}{middle:>9.1f}{p95:>9.1f}{took[-1]:>9.1f}{each:>9.1f}{mark}", flush=True)
    return slow


async def _ask(session: ClientSession, path: str) -> float:
    """Request a page and return the milliseconds at the server. Raises NotAPage."""
    async with session.get(path, allow_redirects=False) as answer:
        await answer.read()
        if answer.status != 200:
            raise NotAPage(f"{path} was answered with status {answer.status}")
        found = re.search(r"dur=([0-9.]+)", answer.headers.get("Server-Timing", ""))
        if found is None:
            raise NotAPage(f"{path} has no Server-Timing header")
        return float(found[1])


if __name__ == "__main__":
    typer.run(main)
