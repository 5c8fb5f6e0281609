"""The page of the dial queue."""

import re

import pytest

from admin_web.services.leads import LeadGiven, put_leads
from admin_web.services.suppression import suppress
from compliance.consent import Role
from compliance.numbers import E164, LeadId
from compliance.redis_schema import LEASE
from tests.support.records import ADMIN
from tests.support.site import Browser, Site


@pytest.fixture
async def leads(site: Site) -> None:
    """Sixty leads, each on its own number."""
    given = [LeadGiven(LeadId(f"q{n:02d}"), E164(f"+1415555{n:04d}"), f"Lead {n}") for n in range(60)]
    await put_leads(site.records, ADMIN, given)


def offered(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/leads/([^"]+)"', page)


async def every_page(browser: Browser) -> list[str]:
    path, seen = "/queue", []
    while path:
        page = await browser.page(path)
        seen += offered(page)
        onward = re.search(r'rel="next" href="([^"]+)"', page)
        path = f"/queue{onward[1]}" if onward else ""
    return seen


@pytest.mark.usefixtures("leads")
async def test_an_agent_pages_through_every_lead_that_may_be_called_and_no_other(site: Site):
    for n in range(10, 20):
        await suppress(site.records, ADMIN, E164(f"+1415555{n:04d}"), source="test")
    agent = await site.person(Role.AGENT)
    assert await every_page(agent) == [f"q{n:02d}" for n in range(60) if not 10 <= n < 20]


@pytest.mark.usefixtures("leads")
async def test_a_lead_that_was_wrapped_up_goes_to_the_end_or_off_the_queue(site: Site):
    agent = await site.person(Role.AGENT)
    await agent.follow(await agent.post("/leads/q00/wrap-up", {"outcome": "no-answer"}))
    await agent.follow(await agent.post("/leads/q01/wrap-up", {"outcome": "sale"}))
    seen = await every_page(agent)
    assert seen[0] == "q02"
    assert seen[-1] == "q00"
    assert "q01" not in seen


@pytest.mark.usefixtures("leads")
async def test_in_doubt_the_page_offers_nobody_and_says_why(site: Site):
    agent = await site.person(Role.AGENT)
    async with site.projection.sides.store.wire() as wire:
        await wire.ask(("DEL", LEASE))
    page = await agent.page("/queue")
    assert offered(page) == []
    assert "Nobody can be called at the moment." in page


async def test_an_empty_queue_says_what_to_do(site: Site):
    assert "The queue is empty" in await (await site.person(Role.AGENT)).page("/queue")


@pytest.mark.parametrize("after", ["x", "W10", "bm90LWpzb24", "9" * 600])
async def test_a_place_that_is_none_is_the_beginning(site: Site, after: str):
    await put_leads(site.records, ADMIN, [LeadGiven(LeadId("a"), E164("+14155550100"))])
    assert offered(await (await site.person(Role.AGENT)).page(f"/queue?after={after}")) == ["a"]
