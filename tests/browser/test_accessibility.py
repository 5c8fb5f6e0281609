"""Every page of the site, light and dark, wide and narrow: axe finds no fault, and no page is wider than the screen."""

import pytest
from playwright.sync_api import expect

from admin_web.site.routes import ROUTES
from tests.browser.browsing import all_faults, faults, in_the_dark
from tests.browser.conftest import OpenAs
from tests.browser.running import Running
from tests.support.paths import filled

NO_PAGES = {
    "/audit/export",
    "/calls/export.csv",
    "/calls/export.jsonl",
    "/enforcement/live",
    "/jobs/{job}/live",
    "/jobs/{job}/report",
    "/lists/export",
    "/monitor/export",
    "/monitor/{override}/document",
}
"""Paths that return a file or a part of a page."""

PATHS = sorted({route.path for route in ROUTES if route.method == "GET"} - NO_PAGES)


@pytest.mark.parametrize("path", PATHS)
def test_a_page_has_nothing_for_axe_to_find(path: str, parts: dict[str, str], open_as: OpenAs):
    page = open_as("" if path == "/sign-in" else "admin", reduced_motion="reduce")
    page.goto(filled(path, parts))
    assert page.locator("h1").count() == 1
    found = all_faults(page)
    assert not found, "\n".join(found)


def test_a_form_with_errors_has_nothing_for_axe_to_find(product: Running, open_as: OpenAs):
    page = open_as("supervisor", reduced_motion="reduce")
    page.goto(f"/leads/{product.lead(listed=True).id}/override")
    page.locator("form[enctype]").evaluate("form => { form.noValidate = true }")
    page.get_by_role("button", name="Open this lead").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was saved.")
    assert faults(page) == []
    in_the_dark(page, dark=True)
    assert faults(page, ["color-contrast"]) == []
