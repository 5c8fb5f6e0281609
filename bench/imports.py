"""Measure a large import in the background: its speed, its memory, and the site's response times meanwhile.

`python -m bench.imports [--rows 1000000]` runs on SQLite and on PostgreSQL, with every commit on disk. An admin uploads
a CSV of random numbers in sixteen area codes. A worker imports it and keeps the projection current. Until the import is
done, a browser requests pages and blocks single numbers. The milliseconds are measured in the browser.
"""

import asyncio
import os
import random
import re
import secrets
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Annotated

import typer
from aiohttp import ClientSession, CookieJar, FormData

from admin_web.people.accounts import add_user
from admin_web.record.changes import Actor
from admin_web.record.database import Database
from admin_web.record.schema import migrate
from compliance.consent import Role
from lab.postgres import PostgresServer
from lab.process import Process, accepts, free_port
from lab.redis import RedisServer

PAGES = ("/lists", "/lists?q=415555", "/leads", "/jobs", "/lists?state=lifted")
PAUSE_S = 0.02
AREAS = (201, 202, 206, 214, 303, 305, 312, 404, 415, 512, 602, 617, 702, 713, 818, 916)
PROGRAM = Path(sys.executable).with_name("dnc-admin")


def main(
    rows: Annotated[int, typer.Option(help="Numbers in the file.")] = 1_000_000,
    only: Annotated[str, typer.Option(help="`sqlite` or `postgresql`; default both.")] = "",
) -> None:
    """Measure the import on each kind of database."""
    for kind in ("sqlite", "postgresql"):
        if kind.startswith(only):
            with tempfile.TemporaryDirectory(prefix="dnc-") as directory, _database(kind, Path(directory)) as url:
                asyncio.run(_measure(kind, url, Path(directory), rows))


@contextmanager
def _database(kind: str, directory: Path) -> Iterator[str]:
    directory.chmod(0o755)  # PostgreSQL runs as another user.
    if kind == "sqlite":
        yield f"sqlite:///{directory}/dnc.sqlite3"
        return
    with PostgresServer(directory / "pg") as server:
        yield server.create_database("dnc")


async def _measure(kind: str, url: str, directory: Path, rows: int) -> None:
    password, port = secrets.token_urlsafe(15), free_port()
    async with Database(url) as database:
        await migrate(database)
        await add_user(database, Actor("shell:bench"), "bench", Role.ADMIN, password)
    with RedisServer(directory / "redis", directory / "redis.sock") as redis:
        environment = os.environ | {
            "DNC_DATABASE_URL": url,
            "DNC_REDIS_URL": redis.url,
            "DNC_DATA_DIR": str(directory),
            "DNC_WEB_BIND": f"127.0.0.1:{port}",
        }
        with (
            Process([PROGRAM, "serve"], directory / "site.log", environment) as site,
            Process([PROGRAM, "worker"], directory / "worker.log", environment) as worker,
        ):
            site.wait_until(lambda: accepts(("127.0.0.1", port)))
            origin = f"http://127.0.0.1:{port}"
            async with ClientSession(
                origin, cookie_jar=CookieJar(unsafe=True), headers={"Origin": origin}, raise_for_status=True
            ) as session:
                await session.post("/sign-in", data={"name": "bench", "password": password, "csrf": ""})
                await _import(kind, Browser(session), worker, rows)


class Browser:
    """An admin's browser, which times its requests."""

    def __init__(self, session: ClientSession) -> None:
        self.session = session
        self.csrf = ""
        self.took: dict[str, list[float]] = defaultdict(list)

    async def page(self, path: str) -> str:
        began = time.perf_counter()
        async with self.session.get(path) as answer:
            text = await answer.text()
        self.took[path].append((time.perf_counter() - began) * 1000)
        self.csrf = self.csrf or re.findall(r'name="csrf" value="([^"]+)"', text)[0]
        return text

    async def block(self, number: str) -> None:
        began = time.perf_counter()
        fields = {"csrf": self.csrf, "number": number}
        async with self.session.post("/lists/add", data=fields, allow_redirects=False):
            self.took["blocking a number"].append((time.perf_counter() - began) * 1000)

    async def start(self, rows: int) -> str:
        """Upload the list, start its import, and return the path of the job."""
        await self.page("/imports/numbers")
        form = FormData()
        form.add_field("csrf", self.csrf)
        form.add_field("file", _list(rows), filename="list.csv", content_type="text/csv")
        async with self.session.post("/imports/numbers", data=form) as answer:
            preview = answer.url.path
        async with self.session.post(preview, data={"csrf": self.csrf, "number": "2"}) as answer:
            return answer.url.path


def _list(rows: int) -> bytes:
    chosen = random.Random(1).sample(range(len(AREAS) * 8_000_000), rows)
    lines = (f"Lead {at},{AREAS[one // 8_000_000]}{2_000_000 + one % 8_000_000}\n" for at, one in enumerate(chosen))
    return ("name,phone\n" + "".join(lines)).encode()


async def _import(kind: str, browser: Browser, worker: Process, rows: int) -> None:
    job, before = await browser.start(rows), _resident_mb(worker.pid)
    browser.took.clear()
    began, memory, text = time.perf_counter(), [before], ""
    singles, paths = iter(random.Random(2).sample(range(2_000_000, 9_999_999), 100_000)), cycle(PAGES)
    while "hx-trigger" in (text := await browser.page(f"{job}/live")):
        for _, path in zip(range(4), paths, strict=False):
            await browser.page(path)
            await asyncio.sleep(PAUSE_S)
        await browser.block(f"+1212{next(singles)}")
        memory.append(_resident_mb(worker.pid))
    took = time.perf_counter() - began
    print(f"\n{kind}: {rows:,} rows in {took:.0f} s, {rows / took:,.0f} rows a second")
    print(" ".join(re.sub(r"<[^>]+>", " ", text).split())[:200])
    quarter = len(memory) // 4
    print(f"memory of the worker: {before:.0f} MB before, at most {max(memory[:quarter]):.0f} MB in the first "
          f"quarter, at most {max(memory):.0f} MB overall")  # fmt: skip
    for what, times in browser.took.items():
        ordered = sorted(times)
        p95 = ordered[len(ordered) * 95 // 100]
        print(f"{what}: {len(ordered):,} times, p50 {ordered[len(ordered) // 2]:.0f} ms, p95 {p95:.0f} ms, "
              f"max {ordered[-1]:.0f} ms", flush=True)  # fmt: skip


def _resident_mb(pid: int) -> float:
    """Return the resident memory of a process, in MB."""
    fields = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(field.split()[1]) / 1000 for field in fields if field.startswith("VmRSS"))


if __name__ == "__main__":
    typer.run(main)
