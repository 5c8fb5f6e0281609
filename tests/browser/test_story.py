"""The story of the product in a browser, step by step. Each step ends with the gate's answer to a call."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from admin_web.services.leads import LeadGiven
from compliance.consent import ATTESTATION, ends_at
from compliance.dates import day
from tests.browser.conftest import OpenAs
from tests.browser.deeds import (
    NOW,
    fill_consent,
    find_override,
    in_queue,
    notice,
    open_lead,
    place_override,
    revoke,
    switch,
    wrap_up,
)
from tests.browser.running import Running
from tests.support.samples import PDF

ALLOWED, BLOCKED, OPEN = (True, "not-listed"), (False, "internal-dnc"), (True, "override")


@pytest.fixture
def consent(tmp_path: Path) -> Path:
    """A consent document for this test alone."""
    path = tmp_path / "consent.pdf"
    path.write_bytes(PDF + b"%" + tmp_path.name.encode())
    return path


@pytest.fixture
def leads(product: Running) -> list[LeadGiven]:
    """Three leads on one number, which is not listed."""
    number = product.number()
    return [product.lead(number) for _ in range(3)]


def expect_state(page: Page, state: str) -> None:
    expect(page.get_by_text(re.compile("^(Dialable|Do-Not-Call|Override active)$")).first).to_have_text(state)


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
def test_from_lead_to_list_to_override_to_revocation(
    product: Running, leads: list[LeadGiven], consent: Path, open_as: OpenAs, scripts: bool
):
    agent, supervisor, admin = (open_as(role, java_script_enabled=scripts) for role in ("agent", "supervisor", "admin"))
    lead, second, third = leads
    number = lead.number
    assert product.judged(number, lead.id) == ALLOWED
    assert in_queue(agent, lead)

    # The switch next to the name blocks all leads on the number with one click.
    open_lead(agent, lead)
    expect(agent.get_by_text("blocks all 3 leads on this number at once")).to_be_visible()
    expect(switch(agent)).to_have_attribute("aria-checked", "false")
    switch(agent).click()
    expect(notice(agent)).to_contain_text(NOW)
    assert [product.judged(number, one.id) for one in leads] == [BLOCKED] * 3
    expect(switch(agent)).to_have_attribute("aria-checked", "true")
    for one in leads:
        open_lead(agent, one)
        expect_state(agent, "Do-Not-Call")
        expect(agent.get_by_text("This lead may not be called.")).to_be_visible()
        assert not in_queue(agent, one)

    # The consent form: only for those with the permission, and it says in advance what the override opens.
    open_lead(agent, lead)
    assert agent.get_by_role("link", name="Override").count() == 0
    open_lead(supervisor, lead)
    supervisor.get_by_role("link", name="Override").click()
    says = supervisor.get_by_role("note")
    expect(says).to_contain_text("this lead only")
    expect(says).to_contain_text("2 other leads on this number stay blocked")
    expect(says).to_contain_text(f"until {day(ends_at(datetime.now(UTC)))}")
    fill_consent(supervisor, consent, same_day="Signed in the shop, after the call.")
    supervisor.get_by_role("button", name="Open this lead").click()
    expect(notice(supervisor)).to_contain_text(NOW)
    expect_state(supervisor, "Override active")
    assert [product.judged(number, one.id) for one in leads] == [OPEN, BLOCKED, BLOCKED]
    assert product.judged(number) == BLOCKED
    assert in_queue(agent, lead)
    assert not in_queue(agent, second)

    # The Compliance Monitor shows person, lead, basis, document, and the calls under the override.
    call = product.gate.screen(number, lead.id, "pbx-7.1")
    product.until_archived({call.decision})
    find_override(admin, lead, "unreviewed")
    for told in ("Signed consent", day(datetime.now(UTC)), "by supervisor", ATTESTATION, "from 127.0.0.1"):
        expect(admin.locator("main")).to_contain_text(told)
    expect(admin.get_by_text(hashlib.sha256(consent.read_bytes()).hexdigest()).first).to_be_visible()
    under_it = admin.get_by_role("region", name="Calls under this override").get_by_role("row")
    expect(under_it.filter(has_text="ALLOW").first).to_contain_text(lead.name)
    with admin.expect_download() as downloading:
        admin.get_by_role("link", name="Download").click()
    assert Path(downloading.value.path()).read_bytes() == consent.read_bytes()
    admin.get_by_role("button", name="Mark as reviewed").click()
    expect(notice(admin)).to_contain_text("reviewed")

    # After the revocation, the lead is on Do-Not-Call again at once.
    revoke(admin, "The person asked us to stop.")
    assert [product.judged(number, one.id) for one in leads] == [BLOCKED] * 3
    open_lead(agent, lead)
    expect_state(agent, "Do-Not-Call")
    assert not in_queue(agent, lead)
    find_override(admin, lead, "revoked")
    expect(admin.locator("main")).to_contain_text("The person asked us to stop.")

    # Only an admin lifts the number, with a reason. Then all its leads may be called again.
    open_lead(admin, third)
    switch(admin).click()
    admin.get_by_label("Reason").fill("The number has a new owner.")
    admin.get_by_role("button", name="Lift the number").click()
    expect(notice(admin)).to_contain_text(NOW)
    assert [product.judged(number, one.id) for one in leads] == [ALLOWED] * 3


def test_the_wrap_up_do_not_call_writes_the_entry(product: Running, leads: list[LeadGiven], open_as: OpenAs):
    agent, lead = open_as("agent"), leads[0]
    product.until_archived({product.gate.screen(lead.number, lead.id).decision})
    open_lead(agent, lead)
    wrap_up(agent, "Do Not Call", "said so on the phone")
    expect(notice(agent)).to_contain_text(NOW)
    assert [product.judged(lead.number, one.id) for one in leads] == [BLOCKED] * 3
    entry = "SELECT source, added_by, lead_id FROM suppression_entries WHERE number = :number AND lifted_at IS NULL"
    assert product.rows(entry, number=lead.number) == [("wrap-up", "agent", lead.id)]
    timeline = agent.get_by_role("region", name="Timeline")
    expect(timeline).to_contain_text("said so on the phone")
    assert not in_queue(agent, lead)


def test_another_outcome_of_a_call_writes_no_entry(product: Running, leads: list[LeadGiven], open_as: OpenAs):
    agent, lead = open_as("agent"), leads[0]
    open_lead(agent, lead)
    wrap_up(agent, "No answer")
    expect(notice(agent)).to_contain_text("wrapped up")
    assert product.judged(lead.number, lead.id) == ALLOWED


def test_numbers_come_on_the_list_one_by_one_and_by_file(product: Running, open_as: OpenAs, tmp_path: Path):
    admin, single, filed = open_as("admin"), product.lead(), [product.lead() for _ in range(3)]
    admin.goto("/lists")
    admin.get_by_role("link", name="Add a number").first.click()
    admin.get_by_label("Number").fill(f"({single.number[2:5]}) {single.number[5:8]}-{single.number[8:]}")
    admin.get_by_role("button", name="Block this number").click()
    expect(notice(admin)).to_contain_text(NOW)
    assert product.judged(single.number, single.id) == BLOCKED

    sheet = tmp_path / "complaints.csv"
    sheet.write_text("phone\n" + "".join(f"{lead.number}\n" for lead in filed) + "not a number\n")
    admin.goto("/imports/numbers")
    admin.get_by_label("File").set_input_files(sheet)
    admin.get_by_role("button", name="Upload and preview").click()
    expect(admin.get_by_text("rejected").first).to_be_visible()
    admin.get_by_role("button", name="Start the import").click()
    expect(admin.locator("main")).to_contain_text("done", ignore_case=True)
    assert [product.judged(lead.number, lead.id) for lead in filed] == [BLOCKED] * 3


def test_an_override_ends_by_itself_and_the_lead_goes_straight_back(product: Running, consent: Path, open_as: OpenAs):
    admin = open_as("admin")
    for left_s in (3, 20):
        lead, ends = product.lead(listed=True), datetime.now(UTC) + timedelta(seconds=left_s)
        product.grant(lead, consent, expires_at=ends)
        judged = product.judged(lead.number, lead.id)
        if datetime.now(UTC) < ends:  # Otherwise the machine was too busy, and needs more time.
            break
    assert judged == OPEN
    product.gate.until("internal-dnc", lead.number, lead.id)
    assert datetime.now(UTC) >= ends
    open_lead(admin, lead)
    expect_state(admin, "Do-Not-Call")
    find_override(admin, lead, "expired")


def test_what_ends_soon_is_listed_and_renewing_means_a_new_document(
    product: Running, consent: Path, open_as: OpenAs, tmp_path: Path
):
    admin, supervisor = open_as("admin"), open_as("supervisor")
    soon = {20: "ends-30", 5: "ends-7", 0.5: "ends-1"}
    leads = {days: product.lead(listed=True) for days in soon}
    for days, lead in leads.items():
        product.grant(lead, consent, expires_at=datetime.now(UTC) + timedelta(days=days))
    for days, lead in leads.items():
        find_override(admin, lead, soon[days])
    lead = leads[5]
    open_lead(supervisor, lead)
    supervisor.get_by_role("link", name="Renew the override").click()
    fill_consent(supervisor, None)
    supervisor.get_by_label("Consent document").evaluate("input => { input.required = false }")
    supervisor.get_by_role("button", name="Renew the override").click()
    expect(supervisor.get_by_text("An override cannot be placed without it.")).to_be_visible()
    fresh = tmp_path / "renewed.pdf"
    fresh.write_bytes(PDF + b"%renewed")
    fill_consent(supervisor, fresh)
    supervisor.get_by_role("button", name="Renew the override").click()
    expect(notice(supervisor)).to_contain_text(NOW)
    assert product.judged(lead.number, lead.id) == OPEN
    ends = "SELECT count(*) FROM overrides WHERE lead_id = :lead AND revoked_at IS NULL"
    assert product.rows(ends, lead=lead.id) == [(1,)]


def test_agents_see_only_the_state_of_their_leads(product: Running, consent: Path, open_as: OpenAs):
    lead, agent = product.lead(listed=True), open_as("agent")
    override = product.grant(lead, consent)
    open_lead(agent, lead)
    expect_state(agent, "Override active")
    seen = agent.locator("main").inner_text()
    assert "consent.pdf" not in seen
    assert "Signed consent" not in seen
    for path in ("/monitor", f"/monitor/{override}", f"/monitor/{override}/document", "/calls", "/enforcement"):
        assert agent.request.get(path).status == 403, path
    assert agent.get_by_role("link", name="Compliance Monitor").count() == 0


def test_a_search_finds_a_lead_by_any_spelling_of_its_number(product: Running, open_as: OpenAs):
    lead, agent = product.lead(), open_as("agent")
    area, exchange, line = lead.number[2:5], lead.number[5:8], lead.number[8:]
    for spelling in (lead.number, f"({area}) {exchange}-{line}", f"1 {area} {exchange} {line}", lead.id, lead.name):
        agent.goto("/leads")
        agent.get_by_label("Name, id or number").fill(spelling)
        agent.get_by_role("button", name="Search").click()
        expect(agent.get_by_role("link", name=lead.name, exact=True)).to_be_visible()


def test_an_audit_trail_stands_behind_each_deed(product: Running, consent: Path, open_as: OpenAs):
    lead, supervisor = product.lead(listed=True), open_as("supervisor")
    place_override(supervisor, lead, consent)
    events = (
        "SELECT done_by, done_from, action FROM audit_events WHERE particulars LIKE :lead AND action LIKE '%override'"
    )
    assert product.rows(events, lead=f"%{lead.id}%") == [("supervisor", "127.0.0.1", "grant-override")]
