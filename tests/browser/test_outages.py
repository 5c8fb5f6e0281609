"""Redis or SQL down while people work: records stay, pages say what is not in force, and no call passes."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from admin_web.services.leads import LeadGiven
from lab.postgres import PostgresServer
from lab.process import NotInstalled
from tests.browser.browsing import Visitors
from tests.browser.conftest import redis_in
from tests.browser.deeds import fill_consent, notice, open_lead, switch
from tests.browser.running import Running
from tests.conftest import unavailable
from tests.support.samples import PDF
from tests.support.stack import Callers

NOT_YET = "ecorded, not yet in force"
BANNER = ".banner"
TWO_WAIT = "2 changes have not reached Redis yet"


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with tempfile.TemporaryDirectory(prefix="dnc-pg-", ignore_cleanup_errors=True) as directory:
        server = PostgresServer(Path(directory), fsync=False)
        try:
            server.start()
        except NotInstalled as error:
            unavailable(error)
        yield server
        server.stop()


@pytest.fixture(scope="module")
def own(postgres: PostgresServer) -> Iterator[Running]:
    """A product for these tests alone, on PostgreSQL. Tests stop its engines, and start them again."""
    with tempfile.TemporaryDirectory(prefix="dnc-") as path:
        directory, database = Path(path), postgres.create_database("dnc")
        with redis_in(directory) as redis, Running(directory / "whole", redis, database) as own:
            yield own


@pytest.fixture
def visitors(own: Running, chromium: Browser) -> Iterator[Visitors]:
    visitors = Visitors(chromium, own)
    yield visitors
    visitors.close()


def until(page: Page, holds: Callable[[], bool]) -> None:
    """Reload the page until `holds` is true."""
    for _ in range(300):
        if holds():
            return
        page.wait_for_timeout(200)
        page.reload()
    raise AssertionError(f"still not true: {page.locator('body').inner_text()[:1000]}")


def consent(directory: Path) -> Path:
    path = directory / "consent.pdf"
    path.write_bytes(PDF)
    return path


def asked_meanwhile(own: Running, lead: LeadGiven) -> Callers:
    """Return callers that call the lead's number all the time, half of them without naming the lead."""
    asked = iter(range(10**9))
    return Callers(own, lambda: (lead.number, lead.id if next(asked) % 2 else ""), threads=2)


def test_a_block_and_a_revocation_without_redis_are_recorded_and_no_call_passes_until_they_are_in_force(
    own: Running, visitors: Visitors, tmp_path: Path
):
    to_block, to_close = own.lead(), own.lead(listed=True)
    override = own.grant(to_close, consent(tmp_path))
    agent, admin = visitors.open("agent"), visitors.open("admin")
    open_lead(agent, to_block)
    admin.goto(f"/monitor/{override}")
    assert own.judged(to_block.number, to_block.id) == (True, "not-listed")
    assert own.judged(to_close.number, to_close.id) == (True, "override")
    own.redis.stop()
    with asked_meanwhile(own, to_block) as callers, asked_meanwhile(own, to_close) as others:
        switch(agent).click()
        expect(notice(agent)).to_contain_text(NOT_YET)
        expect(switch(agent)).to_have_attribute("aria-checked", "true")
        admin.get_by_label("Reason").fill("asked us to stop")
        admin.get_by_role("button", name="Revoke").click()
        expect(notice(admin)).to_contain_text(NOT_YET)
        for page, path in ((agent, "/leads"), (agent, "/queue"), (admin, "/monitor"), (admin, "/")):
            page.goto(path)
            until(page, lambda page=page: TWO_WAIT in "".join(page.locator(BANNER).all_inner_texts()))
        own.redis.start()
        until(admin, lambda: not admin.locator(BANNER).count())
        assert own.judged(to_block.number, to_block.id) == (False, "internal-dnc")
        assert own.judged(to_close.number, to_close.id) == (False, "internal-dnc")
    assert callers.allowed() + others.allowed() == 0
    assert len(callers.answers) > 10
    open_lead(agent, to_block)
    until(agent, lambda: not agent.locator(BANNER).count())


def test_an_override_without_redis_is_recorded_and_opens_its_lead_when_redis_is_back(
    own: Running, visitors: Visitors, tmp_path: Path
):
    lead, supervisor = own.lead(listed=True), visitors.open("supervisor")
    supervisor.goto(f"/leads/{lead.id}/override")
    fill_consent(supervisor, consent(tmp_path))
    own.redis.stop()
    supervisor.get_by_role("button", name="Open this lead").click()
    expect(notice(supervisor)).to_contain_text(NOT_YET)
    own.redis.start()
    own.gate.until("override", lead.number, lead.id)
    assert own.judged(lead.number) == (False, "internal-dnc")


def test_without_sql_every_page_says_so_nothing_is_half_done_and_calls_are_judged_as_before(
    own: Running, postgres: PostgresServer, visitors: Visitors, tmp_path: Path
):
    lead, listed = own.lead(), own.lead(listed=True)
    agent, supervisor, stranger = visitors.open("agent"), visitors.open("supervisor"), visitors.open()
    open_lead(agent, lead)
    supervisor.goto(f"/leads/{listed.id}/override")
    fill_consent(supervisor, consent(tmp_path))
    stranger.goto("/sign-in")
    own.sql.dispose()
    postgres.stop()
    switch(agent).click()
    expect(agent.get_by_role("heading", level=1)).to_have_text("The database cannot be reached")
    expect(agent.locator("main")).to_contain_text("nothing was changed")
    supervisor.get_by_role("button", name="Open this lead").click()
    expect(supervisor.get_by_role("heading", level=1)).to_have_text("The database cannot be reached")
    stranger.get_by_label("User name").fill("agent")
    stranger.get_by_label("Password").fill("nine horses under a bridge")
    stranger.get_by_role("button", name="Sign in").click()
    expect(stranger.get_by_role("heading", level=1)).to_have_text("The database cannot be reached")
    assert own.judged(lead.number, lead.id) == (True, "not-listed")
    assert own.judged(listed.number, listed.id) == (False, "internal-dnc")
    postgres.start()
    until(agent, lambda: agent.goto(f"/leads/{lead.id}").status == 200)
    assert own.rows("SELECT count(*) FROM suppression_entries WHERE number = :number", number=lead.number) == [(0,)]
    assert own.rows("SELECT count(*) FROM overrides WHERE lead_id = :lead", lead=listed.id) == [(0,)]
    switch(agent).click()
    expect(notice(agent)).to_contain_text("In force now.")
