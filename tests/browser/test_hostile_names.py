"""Names that contain scripts: every page shows them as text, and no page runs them."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from admin_web.services.suppression import suppress
from admin_web.site.routes import ROUTES
from tests.browser.conftest import OpenAs
from tests.browser.deeds import fill_consent, notice, open_lead, wrap_up
from tests.browser.running import SHELL, Running
from tests.support.paths import filled
from tests.support.samples import PDF

SCRIPT = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}"
PATHS = sorted({route.path for route in ROUTES if route.method == "GET"})


@pytest.fixture
def hostile(product: Running, open_as: OpenAs, tmp_path: Path) -> dict[str, str]:
    """A lead, a note, a document and a reason that contain scripts, entered through the site's forms."""
    number = product.number()

    async def listed(records):
        await suppress(records, SHELL, number, source="test", note=SCRIPT)

    product.do(listed)
    lead = product.lead(number, name=SCRIPT)
    product.lead(number, name=SCRIPT)
    supervisor = open_as("supervisor")
    supervisor.goto(f"/leads/{lead.id}/override")
    file = tmp_path / f"{SCRIPT.replace('/', '')}.pdf"
    file.write_bytes(PDF + b"%hostile")
    fill_consent(supervisor, file, basis="Other")
    supervisor.get_by_label("Description").fill(SCRIPT)
    supervisor.get_by_role("button", name="Open this lead").click()
    supervisor.wait_for_url(re.compile(f"/leads/{lead.id}$"))
    wrap_up(supervisor, "No answer", SCRIPT)
    expect(notice(supervisor)).to_contain_text("wrapped up")
    ((override,),) = product.rows("SELECT id FROM overrides WHERE lead_id = :lead", lead=lead.id)
    product.until_archived({product.gate.screen(number, lead.id).decision, product.gate.screen(SCRIPT[:30]).decision})
    return {"lead": lead.id, "number": number, "name": "agent", "kind": "numbers", "override": str(override)}


def test_no_name_is_run_as_a_program_on_any_page(hostile: dict[str, str], open_as: OpenAs):
    page, shown = open_as("admin"), 0
    for path in PATHS:
        answer = page.request.get(filled(path, hostile))
        if answer.status == 200 and answer.headers["content-type"].startswith("text/html"):
            page.goto(filled(path, hostile))
            assert page.locator("main img[onerror], main script").count() == 0, path
            shown += SCRIPT in page.locator("body").inner_text()
    assert shown >= 5


def test_a_search_for_a_program_shows_it_and_runs_nothing(product: Running, open_as: OpenAs):
    page = open_as("admin")
    for path in ("/leads?q=", "/lists?q=", "/monitor?q=", "/calls?number=", "/sign-in?next=", "/no-such-"):
        page.goto(path + SCRIPT.replace("{", "%7B").replace("#", "%23").replace("/", "%2F"))
        assert page.locator("main img[onerror], main script").count() == 0, path


def test_the_document_of_a_hostile_name_is_a_download_under_a_harmless_one(hostile: dict[str, str], open_as: OpenAs):
    page = open_as("admin")
    answer = page.request.get(f"/monitor/{hostile['override']}/document")
    assert answer.body() == PDF + b"%hostile"
    headers = answer.headers
    assert headers["content-disposition"].startswith("attachment;")
    assert "<" not in headers["content-disposition"]
    assert headers["content-type"] == "application/pdf"
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"


def test_an_agent_gets_no_document_by_its_address(hostile: dict[str, str], open_as: OpenAs):
    assert open_as("agent").request.get(f"/monitor/{hostile['override']}/document").status == 403
    assert open_as("auditor").request.get(f"/monitor/{hostile['override']}/document").status == 200
    signed_out = open_as().request.get(f"/monitor/{hostile['override']}/document", max_redirects=0)
    assert signed_out.status == 303


def test_a_lead_named_like_a_page_of_this_site_leads_nowhere_else(product: Running, open_as: OpenAs):
    lead, page = product.lead(name="javascript:alert(1)"), open_as("agent")
    open_lead(page, lead)
    assert page.locator("a[href^='javascript:']").count() == 0
