"""Pages that change while they are shown: the dashboard's chart, and the progress of a rebuild."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import OpenAs


def test_the_chart_is_drawn_from_the_table_which_stays_at_hand(open_as: OpenAs):
    page = open_as("admin")
    page.goto("/?span=24h")
    expect(page.locator("#dials-chart canvas")).to_be_visible()
    rows = page.locator("#dials tbody tr")
    expect(rows).to_have_count(24)
    expect(rows.first).to_be_hidden()
    page.get_by_text("Show as a table").click()
    expect(rows.first).to_be_visible()


def test_without_scripts_the_table_is_open_and_days_can_be_chosen(open_as: OpenAs):
    page = open_as("auditor", java_script_enabled=False)
    page.goto("/?span=24h")
    expect(page.locator("#dials tbody tr").first).to_be_visible()
    expect(page.locator("#dials-chart")).to_be_hidden()
    with page.expect_event("load"):
        page.get_by_role("link", name="30 days", exact=True).click()
    assert page.locator("#dials tbody tr").count() in {30, 31}


def test_a_rebuild_is_followed_to_its_end_without_a_click(open_as: OpenAs):
    page = open_as("admin")
    page.goto("/enforcement")
    with page.expect_event("load"):
        page.get_by_role("button", name="Rebuild", exact=True).click()
    expect(page).to_have_url(re.compile("/enforcement$"))
    before = page.evaluate("window.kept = 'this very page'")
    expect(page.get_by_text("is live after")).to_be_visible()
    assert page.evaluate("window.kept") == before
