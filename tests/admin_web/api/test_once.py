"""A write with an Idempotency-Key is executed once, even if it is repeated, sent in parallel, or the site is killed."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from sqlalchemy import select

from admin_web.app import make_app
from admin_web.people.tokens import Scope, make_token
from admin_web.projection.projection import Projection
from admin_web.record.changes import Actor
from admin_web.record.models import AuditEvent, Document, IdempotencyKey, Override
from admin_web.worker.retention import KEYS_KEPT, forget
from lab.redis import RedisServer
from tests.browser.running import Running
from tests.support.api import ASKED, PDF, Answered, Program
from tests.support.records import rows
from tests.support.site import Site

NUMBER, OTHER = "+14155550100", "+14155550101"
LEAD = {"lead": "L-1", "number": NUMBER, "name": "Lead 1"}
AT_ONCE = 12
KILLS = 4
WRITERS = 4


@pytest.fixture
async def crm(site: Site) -> AsyncIterator[Program]:
    program = await Program.of(site)
    yield program
    await program.close()


async def done(site: Site, action: str) -> int:
    """Return how many audit events record this action."""
    return sum(event.action == action for event in await rows(site.records, AuditEvent))


async def test_a_write_that_is_sent_again_is_done_once_and_answered_as_before(crm: Program, site: Site):
    first = await crm.post("/leads", LEAD, Idempotency_Key="k-1")
    again = await crm.post("/leads", LEAD, Idempotency_Key="k-1")
    assert (first.status, again.status) == (201, 201)
    assert first.json == again.json
    assert ("Idempotency-Replayed" in first.headers, again.headers["Idempotency-Replayed"]) == (False, "true")
    assert await done(site, "add-lead") == 1
    assert (await crm.post("/leads", LEAD)).problem == "lead-exists"


async def test_an_answer_is_about_the_numbers_of_its_write_and_a_repeated_one_about_all(
    crm: Program, site: Site, monkeypatch: pytest.MonkeyPatch
):
    asked = list[object]()

    async def drain(_: object, numbers: object = None) -> None:
        asked.append(numbers)

    monkeypatch.setattr(Projection, "drain", drain)
    for _ in range(2):
        await crm.post("/suppress", {"number": NUMBER}, Idempotency_Key="k-1")
    assert asked == [{NUMBER}, None]


async def test_a_key_that_came_with_something_else_is_refused(crm: Program, site: Site):
    await crm.post("/suppress", {"number": NUMBER}, Idempotency_Key="k-1")
    assert (await crm.post("/suppress", {"number": OTHER}, Idempotency_Key="k-1")).problem == "key-reused"
    lift = {"number": NUMBER, "reason": "a mistake"}
    assert (await crm.post("/lift", lift, Idempotency_Key="k-1")).problem == "key-reused"
    assert (await done(site, "suppress"), await done(site, "lift")) == (1, 0)


async def test_what_was_refused_is_not_remembered(crm: Program, site: Site):
    lift = {"number": NUMBER, "reason": "a mistake"}
    assert (await crm.post("/lift", lift, Idempotency_Key="k-1")).problem == "not-listed"
    assert await site_keys(site) == []
    await crm.post("/suppress", {"number": NUMBER})
    assert (await crm.post("/lift", lift, Idempotency_Key="k-1")).status == 200


async def test_a_key_belongs_to_its_token(crm: Program, site: Site):
    other = await Program.of(site, name="dialer")
    await crm.post("/suppress", {"number": NUMBER}, Idempotency_Key="k-1")
    theirs = await other.post("/suppress", {"number": OTHER}, Idempotency_Key="k-1")
    await other.close()
    assert (theirs.status, theirs.json["number"]) == (200, OTHER)
    assert "Idempotency-Replayed" not in theirs.headers


@pytest.mark.parametrize("key", ["", "x" * 256, "\t", "k\u00e9y"])
async def test_a_key_that_is_none_is_refused(crm: Program, site: Site, key: str):
    assert (await crm.post("/suppress", {"number": NUMBER}, Idempotency_Key=key)).problem == "bad-request"
    assert await done(site, "suppress") == 0


async def test_an_override_that_is_sent_again_is_placed_once_on_one_document(crm: Program, site: Site):
    await crm.post("/leads", LEAD)
    await crm.post("/suppress", {"number": NUMBER, **ASKED})
    first, again = await crm.place(key="k-1"), await crm.place(key="k-1")
    assert (first.status, again.status) == (201, 201), again.text
    assert first.json == again.json
    assert (await crm.place(content=PDF + b"\n", key="k-1")).problem == "key-reused"
    assert len(await rows(site.records, Override)) == len(await rows(site.records, Document)) == 1
    assert len([path for path in site.documents.directory.rglob("*") if path.is_file()]) == 1


async def test_an_answer_given_again_says_how_things_stand_now(crm: Program, redis_server: RedisServer):
    await asyncio.to_thread(redis_server.running.pause)
    try:
        first = await crm.post("/suppress", {"number": NUMBER}, Idempotency_Key="k-1")
    finally:
        await asyncio.to_thread(redis_server.running.resume)
    again = await crm.post("/suppress", {"number": NUMBER}, Idempotency_Key="k-1")
    assert [(answer.status, answer.json["in_force"]) for answer in (first, again)] == [(202, False), (200, True)]


async def test_a_key_is_forgotten_after_two_days(crm: Program, site: Site):
    await crm.post("/suppress", {"number": NUMBER}, Idempotency_Key="k-1")
    used_at = site.now()
    await forget(site.database, used_at + KEYS_KEPT - timedelta(minutes=1))
    assert len(await site_keys(site)) == 1
    await forget(site.database, used_at + KEYS_KEPT + timedelta(minutes=1))
    assert await site_keys(site) == []


async def site_keys(site: Site) -> list[str]:
    async with site.database.read() as session:
        return list(await session.scalars(select(IdempotencyKey.key)))


async def test_of_many_requests_with_one_key_at_once_to_two_sites_one_is_carried_out(crm: Program, site: Site):
    second_site = TestServer(make_app(site.settings))
    await second_site.start_server()
    second = Program(str(second_site.make_url("/api/v1")), crm.token)
    try:
        for place in range(5):
            lead = {**LEAD, "lead": f"L-{place}"}
            sent = [
                (crm, second)[turn % 2].post("/leads", lead, Idempotency_Key=f"k-{place}") for turn in range(AT_ONCE)
            ]
            answers = await asyncio.gather(*sent)
            carried_out = [answer for answer in answers if answer.status == 201 and not is_replay(answer)]
            assert len(carried_out) == 1, [(answer.status, answer.text) for answer in answers]
            for answer in answers:
                assert answer.json == carried_out[0].json or answer.problem == "still-at-it"
        assert await done(site, "add-lead") == 5
    finally:
        await second.close()
        await second_site.close()


def is_replay(answer: Answered) -> bool:
    return "Idempotency-Replayed" in answer.headers


async def test_of_many_overrides_with_one_key_at_once_one_is_placed_and_no_file_is_left_over(crm: Program, site: Site):
    await crm.post("/leads", LEAD)
    await crm.post("/suppress", {"number": NUMBER, **ASKED})
    answers = await asyncio.gather(*(crm.place(key="k-1") for _ in range(AT_ONCE)))
    assert {answer.status for answer in answers} <= {201, 409}
    assert {answer.problem for answer in answers if answer.status == 409} <= {"still-at-it"}
    assert len(await rows(site.records, Override)) == 1
    assert len([path for path in site.documents.directory.rglob("*") if path.is_file()]) == 1


class Writer:
    """A client that adds lead after lead. It repeats each request, with the lead's key, until an answer arrives."""

    def __init__(self, program: Program, name: str) -> None:
        self.program, self.name = program, name
        self.answers: dict[str, Answered] = {}
        self.repeated = 0
        self.over = False

    async def write(self) -> None:
        while not self.over:
            lead = f"{self.name}-{len(self.answers)}"
            self.answers[lead] = await self._until_answered(lead)

    async def _until_answered(self, lead: str) -> Answered:
        while True:
            try:
                answer = await self.program.post("/leads", {**LEAD, "lead": lead}, Idempotency_Key=lead)
            except aiohttp.ClientError:
                self.repeated += 1
                await asyncio.sleep(0.05)
                continue
            if answer.status < 500 and (answer.status != 409 or answer.problem != "still-at-it"):
                return answer


async def test_whenever_the_site_is_killed_each_write_is_done_once(
    redis_server: RedisServer, database_url: str, short_path: Path
):
    product = Running(short_path / "whole", redis_server, database_url)
    try:
        await asyncio.to_thread(product.start_site)
        token = await asyncio.to_thread(
            product.do, lambda records: make_token(records.database, Actor("tests"), "crm", list(Scope))
        )
        writers = [Writer(Program(f"{product.url}/api/v1", token), f"w{place}") for place in range(WRITERS)]
        writing = asyncio.gather(*(writer.write() for writer in writers))
        for _ in range(KILLS):
            await until_more(writers, random.randrange(10, 40))
            await asyncio.to_thread(product.site.kill)
            await asyncio.to_thread(product.start_site)
        await until_more(writers, WRITERS)
        for writer in writers:
            writer.over = True
        await writing
        for writer in writers:
            await writer.program.close()
        answered = {lead: answer for writer in writers for lead, answer in writer.answers.items()}
        assert {answer.status for answer in answered.values()} <= {201, 202}, Counter(
            answer.text for answer in answered.values() if answer.status > 299
        )
        assert sum(writer.repeated for writer in writers) >= KILLS
        added = product.rows("SELECT subject_id FROM audit_events WHERE action = 'add-lead'")
        assert Counter(lead for (lead,) in added) == Counter(list(answered))
    finally:
        await asyncio.to_thread(product.stop)


async def until_more(writers: list[Writer], more: int) -> None:
    """Wait until that many further writes have been answered."""
    wanted = sum(len(writer.answers) for writer in writers) + more
    async with asyncio.timeout(120):
        while sum(len(writer.answers) for writer in writers) < wanted:  # noqa: ASYNC110 - a poll of several
            await asyncio.sleep(0.005)
