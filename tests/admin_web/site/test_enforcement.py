"""The enforcement page with real requests, a real Redis, both databases, and the worker's own jobs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from admin_web.record.changes import Actor
from admin_web.services.job_kinds import CANARY, JOB_KINDS
from admin_web.services.suppression import suppress
from admin_web.worker.jobs.run import Tools
from admin_web.worker.jobs.runner import Runner
from admin_web.worker.jobs.work import WORK
from compliance.consent import Role
from compliance.numbers import E164
from compliance.redis_schema import GATES, STATE
from lab.redis import RedisServer
from tests.support.asterisk import GateProcess
from tests.support.projection import GateView
from tests.support.site import Browser, Site, settings_of

LISTED = E164("+14155550100")
BOSS = Actor("admin", "", Role.ADMIN)


@pytest.fixture
async def site(database_url: str, redis_server: RedisServer, tmp_path: Path) -> AsyncIterator[Site]:
    async with Site(settings_of(database_url, redis_server.url, tmp_path)) as site:
        await site.projection.rebuild()
        await suppress(site.records, BOSS, LISTED, source="test")
        yield site


async def work(site: Site, kind: str) -> None:
    """Run a job as the worker does."""
    tools = Tools(site.records, site.projection, site.settings)
    assert await Runner(JOB_KINDS[kind], WORK[JOB_KINDS[kind]], tools, "worker").step() == 0


@pytest.mark.parametrize("role", [Role.SUPERVISOR, Role.ADMIN, Role.AUDITOR])
async def test_the_page_shows_what_is_in_force(site: Site, role: Role):
    browser = await site.person(role)
    page = await browser.page("/enforcement")
    assert "Every recorded change applies to calls." in page
    assert "Allow the drop" not in page
    assert ("/enforcement/ask/rebuild" in page) is (role is Role.ADMIN)
    live = await browser.page("/enforcement/live")
    assert "<html" not in live
    assert "Numbers per list" in live
    assert "Numbers per list" in page


async def test_only_an_admin_asks_for_work_and_an_agent_sees_nothing_of_it(site: Site):
    agent, auditor = await site.person(Role.AGENT), await site.person(Role.AUDITOR)
    assert (await agent.get("/enforcement")).status == 403
    for browser in (agent, auditor):
        for path in ("/enforcement/ask/rebuild", "/enforcement/ask/verify", "/enforcement/drop"):
            assert (await browser.post(path, {"checked": "yes"})).status == 403
    assert (await (await site.person(Role.ADMIN)).post("/enforcement/ask/anything")).status == 404


async def test_a_rebuild_that_is_asked_for_ends_with_its_generation(site: Site):
    browser = await site.person(Role.ADMIN)
    page = await browser.follow(await browser.post("/enforcement/ask/rebuild"))
    assert "waiting for a worker" in page
    again = await browser.follow(await browser.post("/enforcement/ask/rebuild"))
    assert "is already running or queued" in again
    await work(site, "rebuild")
    assert "Generation 2 is live" in await browser.page("/enforcement")


async def test_a_comparison_tells_what_differs(site: Site, redis_server: RedisServer):
    browser = await site.person(Role.ADMIN)
    await browser.post("/enforcement/ask/verify")
    await work(site, "verify")
    assert "No difference." in await browser.page("/enforcement")
    GateView(redis_server).redis.srem("dnc:1:internal:{1415555}", 100)
    await browser.post("/enforcement/ask/verify")
    await work(site, "verify")
    page = await browser.page("/enforcement")
    assert "DANGER: 1 listed in SQL, not in Redis" in page
    assert "failed" in page


async def test_a_suspicious_drop_is_refused_and_told_and_allowed_only_by_a_tick(site: Site, redis_server: RedisServer):
    GateView(redis_server).redis.hset(STATE, "count:internal", 5000)
    browser = await site.person(Role.ADMIN)
    assert "would shrink from 5,000 to 1 number" in await browser.page("/enforcement")
    await browser.post("/enforcement/ask/rebuild")
    await work(site, "rebuild")
    assert "The rebuild was refused and nothing was changed" in await browser.page("/enforcement")
    assert "Numbers that are blocked today could then be called." in await browser.page("/enforcement/drop")
    refused = await browser.post("/enforcement/drop")
    assert (refused.status, "Tick the box" in refused.text) == (422, True)
    await browser.follow(await browser.post("/enforcement/drop", {"checked": "yes"}))
    await work(site, "rebuild")
    page = await browser.page("/enforcement")
    assert "is live after" in page
    assert "Allow the drop" not in page
    assert "There is no drop to allow" in await browser.page("/enforcement/drop")


async def test_the_canary_asks_the_real_gate_and_says_what_it_answered(
    site: Site, redis_server: RedisServer, short_path: Path
):
    browser = await site.person(Role.ADMIN)
    with GateProcess(short_path / "gate", redis_server.url, DNC_DEADLINE_MS="1000") as gate:
        gate.until_ready()
        await site.projection.renew_lease()
        tools = Tools(
            site.records, site.projection, site.settings.model_copy(update={"gates": f"127.0.0.1:{gate.port}"})
        )
        await browser.post("/enforcement/ask/canary")
        await Runner(CANARY, WORK[CANARY], tools, "worker").step()
        page = await browser.page("/enforcement")
        assert f"127.0.0.1:{gate.port}: right  BLOCK  +14155550100" in page
        assert "right  ALLOW  +14155550199" in page
        assert ">failed<" not in page
        GateView(redis_server).redis.delete(STATE)
        await browser.post("/enforcement/ask/canary")
        await Runner(CANARY, WORK[CANARY], tools, "worker").step()
        page = await browser.page("/enforcement")
        assert "WRONG  BLOCK  +14155550199" in page
        assert ">failed<" in page
        await asyncio.to_thread(gate.process.wait_until, lambda: GateView(redis_server).redis.exists(GATES) == 1)
        assert f"127.0.0.1:{gate.port}</td>" in await browser.page("/enforcement")
    await browser.post("/enforcement/ask/canary")
    await Runner(CANARY, WORK[CANARY], tools, "worker").step()
    assert "cannot reach the gate" in await browser.page("/enforcement")


async def test_every_page_bears_the_banner_while_redis_is_away_and_none_after(site: Site, redis_server: RedisServer):
    browser = await site.person(Role.AUDITOR)
    assert 'class="banner"' not in await browser.page("/enforcement")
    redis_server.stop()
    assert "Calls are stopped." in await until_banner(browser, shown=True)
    await asyncio.to_thread(redis_server.start)
    await site.projection.rebuild()
    await until_banner(browser, shown=False)


async def until_banner(browser: Browser, *, shown: bool) -> str:
    """Load the page until it has a banner, or has none, and return it. The banner may be a second old."""
    async with asyncio.timeout(60):
        while ('class="banner"' in (page := await browser.page("/enforcement"))) is not shown:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.1)
    return page


async def test_what_a_gate_says_of_itself_is_text_and_no_markup(site: Site, redis_server: RedisServer):
    GateView(redis_server).redis.zadd(GATES, {"<script>alert(1)</script>": 4102444800000})
    page = await (await site.person(Role.ADMIN)).page("/enforcement")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
