"""A list scrubbed in one request: every line in order, however long, without making other requests wait."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from statistics import quantiles

import aiohttp
import numpy as np
import pytest
from sqlalchemy import insert, text

from admin_web.api import scrubbing
from admin_web.people.tokens import Scope, make_token
from admin_web.record.changes import Actor, Records
from admin_web.record.database import Database
from admin_web.record.lines import LINES, pack
from admin_web.record.models import Registry, RegistryExchange, RegistryVersion
from admin_web.services.suppression import CHUNK, suppress_many
from compliance.area_codes import prefixes_of
from compliance.numbers import E164
from lab.redis import RedisServer
from tests.browser.running import Running
from tests.support.api import ASKED, Answered, Program
from tests.support.site import Site

NUMBER, OTHER = "+14155550100", "+14155550101"
AT = datetime.now(UTC) - timedelta(days=1)
ROWS = 500_000
LISTED_EACH = 1_000
"""Every number with an index divisible by this is on the company's own list."""

GROWTH = 48_000_000
"""Bytes by which the site may grow: less than the verdicts on the whole list (65 MB as text)."""


@pytest.fixture
async def crm(site: Site) -> AsyncIterator[Program]:
    program = await Program.of(site)
    yield program
    await program.close()


async def judged(program: Program, content: bytes, content_type: str = "text/plain") -> list[dict[str, object]]:
    answer = await program.post("/scrub", content, Content_Type=content_type)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-ndjson"), answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_each_kind_of_list_is_judged_by_the_rule_of_a_call(crm: Program):
    for lead in ("L-1", "L-2"):
        await crm.post("/leads", {"lead": lead, "number": NUMBER})
    await crm.post("/suppress", {"number": NUMBER, **ASKED})
    override = (await crm.place()).json["override"]
    lines = b'{"number": "4155550100", "lead": "L-1"}\n{"number": "4155550100", "lead": "L-2"}\n\nnonsense\n'
    sheet = b"phone,lead\r\n4155550100,L-1\r\n4155550100,L-2\r\n,\r\noops,L-1\r\n"
    for content, content_type in ((lines, "application/x-ndjson"), (sheet, "text/csv")):
        found = await judged(crm, content, content_type)
        said = [(one["number"], one["lead"], one["verdict"], one["reason"], one["override"]) for one in found]
        assert said[:2] == [
            (NUMBER, "L-1", "ALLOW", "override", str(override)),
            (NUMBER, "L-2", "BLOCK", "internal-dnc", ""),
        ]
        assert (found[-1]["number"], found[-1]["verdict"], found[-1]["reason"]) == (None, "BLOCK", "invalid-number")
    plain = await judged(crm, b"(415) 555-0100\n\n  +14155550101\r\n4155\n\xff\xfe\n")
    assert [(one["line"], one["number"], one["verdict"]) for one in plain] == [
        (1, NUMBER, "BLOCK"),
        (3, OTHER, "ALLOW"),
        (4, None, "BLOCK"),
        (5, None, "BLOCK"),
    ]


async def test_an_empty_list_has_an_empty_answer(crm: Program):
    assert await judged(crm, b"") == []


@pytest.mark.parametrize(
    ("content", "content_type", "slug"),
    [
        (b"4155550100", "application/json", "unsupported-media-type"),
        (b"PK\x03\x04" + b"\0" * 200, "text/csv", "not-a-sheet"),
        (b"name,colour\nA,red\n", "text/csv", "not-a-sheet"),
    ],
)
async def test_what_is_no_list_is_a_problem(crm: Program, content: bytes, content_type: str, slug: str):
    assert (await crm.post("/scrub", content, Content_Type=content_type)).problem == slug


async def test_a_list_that_is_too_large_is_refused(crm: Program, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scrubbing, "MOST_BYTES", 1000)
    assert (await crm.post("/scrub", b"4155550100\n" * 100, Content_Type="text/plain")).problem == "too-large"


async def test_a_list_that_stalls_on_its_way_is_given_up(crm: Program, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scrubbing, "PIECE_S", 0.2)

    async def stalling() -> AsyncIterator[bytes]:
        yield b"4155550100\n"
        await asyncio.sleep(30)

    headers = {"Content-Type": "text/plain"}
    async with crm.session.post(crm.origin + "/scrub", data=stalling(), headers=headers) as answer:
        assert Answered(answer.status, answer.headers, await answer.text()).problem == "request-timeout"


async def test_a_third_list_at_once_is_asked_to_come_again(crm: Program, site: Site):
    (api,) = site.app._subapps
    for _ in range(scrubbing.AT_ONCE):
        await api[scrubbing.PLACES].acquire()
    refused = await crm.post("/scrub", b"4155550100\n", Content_Type="text/plain")
    assert (refused.problem, int(refused.headers["Retry-After"]) > 0) == ("too-many-requests", True)
    api[scrubbing.PLACES].release()
    assert len(await judged(crm, b"4155550100\n")) == 1


async def test_who_does_not_read_the_answer_is_cut_off(crm: Program, site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scrubbing, "READER_S", 0.3)
    (api,) = site.app._subapps
    content = b"".join(b"415555%04d\n" % (place % 10_000) for place in range(200_000))
    headers = {"Content-Type": "text/plain"}
    async with crm.session.post(crm.origin + "/scrub", data=BytesIO(content), headers=headers) as answer:
        await until(lambda: api[scrubbing.PLACES]._value == scrubbing.AT_ONCE)
        with pytest.raises(aiohttp.ClientError):
            await answer.read()


async def until(holds) -> None:
    async with asyncio.timeout(120):
        while not holds():  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.02)


AREAS = [area for area in sorted(prefixes_of("US")) if not area.endswith("11")]
EXCHANGES = [f"{area}{exchange}" for area in AREAS[:62] for exchange in range(200, 1000)]
"""The bitmaps of these exchanges have 62 MB, more than the site may grow by."""

PUBLISHED = range(7, 10_000, 10)
"""The lines of each exchange that the registry lists."""


def number(place: int) -> str:
    """Return number `place` of the list. The next number is in another exchange, because real lists are unordered."""
    return f"+{EXCHANGES[place % len(EXCHANGES)]}{place // len(EXCHANGES) * 7:04}"


def reason(place: int) -> str:
    if place % LISTED_EACH == 0:
        return "internal-dnc"
    return "us-ftc-dnc" if int(number(place)[-4:]) in PUBLISHED else "not-listed"


def memory(pid: int, what: str) -> int:
    """Return the memory of a process in bytes: `VmRSS` is the current value, `VmHWM` the peak."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(what)]
    return int(line.split()[1]) * 1024


async def stand_on_the_lists(records: Records) -> str:
    listed = [E164(number(place)) for place in range(0, ROWS, LISTED_EACH)]
    for begin in range(0, len(listed), CHUNK):
        await suppress_many(records, Actor("tests"), listed[begin : begin + CHUNK], source="test")
    await publish(records.database)
    return await make_token(records.database, Actor("tests"), "crm", list(Scope))


async def publish(database: Database) -> None:
    """Put a version of a registry in force, as an import does."""
    flags = np.zeros(LINES, np.uint8)
    flags[PUBLISHED] = 1
    lines = pack(np.packbits(flags))
    async with database.write() as session:
        session.add(Registry(name="us-ftc", country="US", area_codes=[], created_at=AT, created_by="t"))
        version = RegistryVersion(
            registry_name="us-ftc", obtained_at=AT, file_name="f", file_sha256="0" * 64, imported_at=AT,
            imported_by="t", whole_at=AT,
        )  # fmt: skip
        await session.flush()
        session.add(version)
        await session.flush()
        (await session.get_one(Registry, "us-ftc")).version_in_force_id = version.id
        exchanges = [{"version_id": version.id, "exchange": one, "lines": lines} for one in EXCHANGES]
        await session.execute(insert(RegistryExchange), exchanges)
        if not database.on_sqlite:
            await session.execute(text("ANALYZE registry_exchanges"))  # what autovacuum does within a minute


async def scrub_all(program: Program) -> Counter[str]:
    """Send all numbers before reading any answer; return how many got each reason."""

    async def numbers() -> AsyncIterator[bytes]:
        for begin in range(0, ROWS, 10_000):
            yield "".join(number(place) + "\n" for place in range(begin, begin + 10_000)).encode()

    headers = {"Content-Type": "text/plain"}
    limit = aiohttp.ClientTimeout(total=600)
    async with program.session.post(
        program.origin + "/scrub", data=numbers(), headers=headers, timeout=limit
    ) as answer:
        assert answer.status == 200
        reasons: Counter[str] = Counter()
        async for line in answer.content:
            place = reasons.total()
            reasons[reason(place)] += 1
            assert line.startswith(b'{"line":%d,"number":"%s",' % (place + 1, number(place).encode()))
            assert b'"reason":"%s"' % reason(place).encode() in line
    return reasons


async def waited(program: Program) -> float:
    """Send another request, and return how many seconds it took."""
    began = time.monotonic()
    assert (await program.get("/leads?limit=1")).status == 200
    return time.monotonic() - began


async def test_half_a_million_numbers_against_a_registry_hold_memory_flat_and_nobody_up(
    redis_server: RedisServer, database_url: str, short_path: Path
):
    product, program = Running(short_path / "whole", redis_server, database_url), None
    try:
        await asyncio.to_thread(product.start_site)
        token = await asyncio.to_thread(product.do, stand_on_the_lists)
        program = Program(f"{product.url}/api/v1", token)
        assert (await program.post("/scrub", b"4155550100\n" * 10_000, Content_Type="text/plain")).status == 200
        before = memory(product.site.pid, "VmHWM")
        scrub, began = asyncio.create_task(scrub_all(program)), time.monotonic()
        waits = []
        while not scrub.done():
            waits.append(await waited(program))
            await asyncio.sleep(0.05)
        lasted = time.monotonic() - began
        assert (await scrub).total() == ROWS
        grown = memory(product.site.pid, "VmHWM") - before
        assert grown < GROWTH
        assert quantiles(waits, n=20)[18] < lasted / 8, "others wait for a good part of the scrub"
    finally:
        if program:
            await program.close()
        await asyncio.to_thread(product.stop)
