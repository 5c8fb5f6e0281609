"""The story with a real Asterisk and SIPp: clicks in the site have their effect on real calls."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from admin_web.services.calling import TWICE_S
from lab.asterisk import CDR_FILE, Asterisk
from lab.line import Line
from lab.process import NotInstalled
from lab.sipp import Call, Trunk, sipp_binary
from tests.browser.browsing import Visitors
from tests.browser.conftest import redis_in
from tests.browser.deeds import find_override, in_queue, notice, open_lead, place_override, revoke, wrap_up
from tests.browser.running import Running
from tests.conftest import unavailable
from tests.support.samples import PDF

pytestmark = pytest.mark.pbx


@pytest.fixture
def asterisk(tmp_path: Path) -> Iterator[Asterisk]:
    asterisk = Asterisk(tmp_path / "pbx")
    try:
        sipp_binary()
        asterisk.start()
    except NotInstalled as error:
        unavailable(error)
    yield asterisk
    asterisk.stop()


@pytest.fixture
def connected(asterisk: Asterisk, short_path: Path) -> Iterator[Running]:
    """The product connected to the PBX: manager interface, call-detail records, and hang-up on revocation."""
    settings = {
        "DNC_AMI_ADDRESS": f"127.0.0.1:{asterisk.ami_port}",
        "DNC_AMI_USER": asterisk.ami_user,
        "DNC_AMI_SECRET": asterisk.ami_secret,
        "DNC_CDR_FILE": str(asterisk.directory / "log" / "cdr-custom" / CDR_FILE),
        "DNC_HANG_UP_ON_REVOCATION": "true",
    }
    database = f"sqlite:///{short_path / 'dnc.sqlite3'}"
    with redis_in(short_path) as redis, Running(short_path / "whole", redis, database, **settings) as connected:
        asterisk.set_global("DNC_GATE", f"127.0.0.1:{connected.gate.port}")
        yield connected


@pytest.fixture
def visitors(connected: Running, chromium: Browser) -> Iterator[Visitors]:
    visitors = Visitors(chromium, connected)
    yield visitors
    visitors.close()
    visitors.watch.quiet()


def until_answered(pbx: Asterisk, line: Line, *numbers: str) -> None:
    """Wait until the trunk has got calls to these numbers and no others, and both channels of the last one are up."""
    pbx.wait_for(lambda: line.trunk.numbers() == [*numbers], within_s=60)
    pbx.wait_for(lambda: pbx.rx("core show channels concise").count("!Up!") == 2, within_s=60)


def until_over(pbx: Asterisk) -> None:
    """Wait until no channel is left."""
    pbx.wait_for(lambda: pbx.calls() == 0, within_s=60)


def until_shown(page: Page, text: str) -> None:
    """Reload the page until it shows the text: the worker reads the PBX's records every few seconds."""
    for _ in range(60):
        if text in page.locator("main").inner_text():
            return
        page.wait_for_timeout(500)
        page.reload()
    raise AssertionError(page.locator("main").inner_text())


def no_double_click(page: Page, since: float) -> None:
    """Wait long enough that the next click is not part of a double click."""
    page.wait_for_timeout(max(0.0, since + 2 * TWICE_S - time.monotonic()) * 1000)


def test_click_to_call_wrap_up_override_and_revocation_reach_the_wire(
    connected: Running, asterisk: Asterisk, visitors: Visitors, tmp_path: Path
):
    lead = connected.lead()
    agent, supervisor, admin = (visitors.open(role) for role in ("agent", "supervisor", "admin"))
    consent = tmp_path / "consent.pdf"
    consent.write_bytes(PDF)
    with Line(asterisk, tmp_path / "line") as line, Trunk(tmp_path / "phone", asterisk.agent_port) as telephone:
        # The PBX rings the agent's own telephone, and then dials the lead through the gate.
        open_lead(agent, lead)
        clicked_at = time.monotonic()
        agent.get_by_role("button", name="Call", exact=True).click()
        expect(notice(agent)).to_contain_text("is being dialled")
        until_answered(asterisk, line, lead.number)
        assert telephone.numbers() == ["telephone"]
        asterisk.rx("channel request hangup all")
        until_over(asterisk)
        until_shown(agent, "answered")

        # After the wrap-up, the next call to the number is blocked, in any format.
        wrap_up(agent, "Do Not Call", "asked us not to call again")
        expect(notice(agent)).to_contain_text("In force now.")
        assert agent.get_by_role("button", name="Call", exact=True).count() == 0
        assert not in_queue(agent, lead)
        spelled = f"({lead.number[2:5]}) {lead.number[5:8]}-{lead.number[8:]}"
        blocked = line.place(Call(lead.number, lead.id), Call(spelled, lead.id))
        assert [(call.status, call.record["dnc_reason"]) for call in blocked] == [(403, "internal-dnc")] * 2

        # The override opens this lead only: for a click, and for a dialer that names the lead.
        place_override(supervisor, lead, consent, same_day="Signed in the shop, after the call.")
        calls = line.place(Call(lead.number, lead.id), Call(lead.number, "another-lead"), Call(lead.number))
        assert [call.status for call in calls] == [200, 403, 403]
        open_lead(agent, lead)
        no_double_click(agent, clicked_at)
        agent.get_by_role("button", name="Call", exact=True).click()
        expect(notice(agent)).to_contain_text("is being dialled")
        until_answered(asterisk, line, *[lead.number] * 3)

        # The revocation hangs up the active call, and the next one is blocked.
        find_override(admin, lead)
        revoke(admin, "The person asked us to stop.")
        until_over(asterisk)
        (after,) = line.place(Call(lead.number, lead.id))
        assert (after.status, after.record["dnc_reason"]) == (403, "internal-dnc")
        assert line.trunk.numbers() == [lead.number] * 3

    # The page of the override shows who called whom, when, and how the call ended.
    until_shown(admin, "agent")
    under_it = admin.get_by_role("region", name="Calls under this override").get_by_role("row")
    by_click = under_it.filter(has=admin.get_by_role("cell", name="agent", exact=True))
    expect(by_click).to_contain_text(lead.name)
    until_shown(admin, "Answered")
    admin.goto("/calls")
    expect(admin.get_by_role("row").filter(has_text="internal-dnc").first).to_be_visible()
