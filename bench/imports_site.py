"""An import through the site, with a browser that requests pages and blocks numbers until it is in force."""

import asyncio
import random
import re
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TypeAlias

from aiohttp import ClientSession, CookieJar, FormData

from bench.imports_programs import PROGRAM, resident_mb
from lab.process import Process, accepts, free_port

Figures: TypeAlias = dict[str, float]
"""Figures by the words of the table of `bench.imports`."""

PAGES = (
    "/lists",
    "/lists?q=415555",
    "/leads",
    "/jobs",
    "/lists?state=lifted",
    "/lists?source=import",
    "/lists?by=bench",
)
PAUSE_S = 0.02
BLOCK = "blocking a number meanwhile, p95, ms"


class Browser:
    """An admin's browser, which times its requests, and looks at the memory of the programs meanwhile."""

    def __init__(self, session: ClientSession, programs: Sequence[int]) -> None:
        self.session = session
        self.programs = programs
        self.memory_mb: list[float] = []
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
            self.took[BLOCK].append((time.perf_counter() - began) * 1000)

    async def upload(self, name: str, content: bytes) -> str:
        """Upload a list, and return the path of its preview."""
        await self.page("/imports/numbers")
        form = FormData()
        form.add_field("csrf", self.csrf)
        form.add_field("file", content, filename=name, content_type="text/csv")
        async with self.session.post("/imports/numbers", data=form) as answer:
            return answer.url.path

    async def start(self, preview: str) -> str:
        """Start the import, and return the path of its job."""
        async with self.session.post(preview, data={"csrf": self.csrf, "number": "2"}) as answer:
            return answer.url.path

    def p95(self, what: str) -> float:
        ordered = sorted(self.took[what])
        return ordered[len(ordered) * 95 // 100]


async def import_through_the_site(
    environment: Mapping[str, str], directory: Path, password: str, content: bytes, rows: int
) -> Figures:
    """Import a list with `rows` numbers, and return the figures."""
    port = free_port()
    environment = {**environment, "DNC_WEB_BIND": f"127.0.0.1:{port}"}
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
            browser = Browser(session, (site.pid, worker.pid))
            took = await _import(browser, "list.csv", content)
        pages = max(browser.p95(what) for what in browser.took if what != BLOCK)
        return {
            "through the site, rows a second": rows / took,
            BLOCK: browser.p95(BLOCK),
            "slowest page meanwhile, p95, ms": pages,
            "peak memory of worker, site and command, MB": max(browser.memory_mb),
        }


async def _import(browser: Browser, name: str, content: bytes) -> float:
    """Return the seconds from the end of the upload until all is in force. Print what the browser saw."""
    preview = await browser.upload(name, content)
    browser.took.clear()
    began = time.perf_counter()
    job = await browser.start(preview)
    singles, paths = iter(random.Random(2).sample(range(2_000_000, 9_999_999), 100_000)), cycle(PAGES)
    while "hx-trigger" in (text := await browser.page(f"{job}/live")):
        for _, path in zip(range(4), paths, strict=False):
            await browser.page(path)
            await asyncio.sleep(PAUSE_S)
        await browser.block(f"+1212{next(singles)}")
        browser.memory_mb += map(resident_mb, browser.programs)
    took = time.perf_counter() - began
    print(f"\n{took:.1f} s through the site: {' '.join(re.sub(r'<[^>]+>', ' ', text).split())[:200]}")
    for what, times in browser.took.items():
        print(f"{what}: {len(times):,} times, p95 {browser.p95(what):.0f} ms, max {max(times):.0f} ms", flush=True)
    return took
