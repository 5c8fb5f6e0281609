"""Every page of the site in light and dark, wide and narrow: nothing for axe to find, nothing wider than the screen."""

import pytest
from playwright.sync_api import Page, expect

from admin_web.routes import ROUTES
from tests.browser.browsing import NARROW, WIDE, faults
from tests.browser.conftest import OpenAs
from tests.browser.running import Running
from tests.paths import filled

NO_PAGES = {
    "/audit/export",
    "/calls/export.csv",
    "/calls/export.jsonl",
    "/enforcement/live",
    "/lists/export",
    "/monitor/export",
    "/monitor/{override}/document",
}
"""What is a file, or a part of a page."""

PATHS = sorted({route.path for route in ROUTES if route.method == "GET"} - NO_PAGES)


def in_the_dark(page: Page, *, dark: bool) -> None:
    page.evaluate("theme => { document.documentElement.dataset.bsTheme = theme }", "dark" if dark else "light")


def laid_out(page: Page) -> None:
    """Wait until the page has been drawn in its new size, and its scripts have heard of it."""
    page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")


def too_wide(page: Page) -> list[str]:
    """The elements that reach beyond the screen and can be scrolled to nowhere but on the page itself."""
    return page.evaluate(
        """() => {
          const wide = document.documentElement.clientWidth;
          if (document.documentElement.scrollWidth <= wide) return [];
          return [...document.querySelectorAll("main *")]
            .filter((element) => element.getBoundingClientRect().right > wide + 1)
            .map((element) => element.outerHTML.slice(0, 120)).slice(0, 5)
            .concat(`${document.documentElement.scrollWidth} of ${wide} px`);
        }"""
    )


@pytest.mark.parametrize("path", PATHS)
def test_a_page_has_nothing_for_axe_to_find(path: str, parts: dict[str, str], open_as: OpenAs):
    page = open_as("" if path == "/sign-in" else "admin", reduced_motion="reduce")
    page.goto(filled(path, parts))
    assert page.locator("h1").count() == 1
    found = []
    for size in (WIDE, NARROW):
        page.set_viewport_size(size)
        laid_out(page)
        in_the_dark(page, dark=False)
        found += [(size["width"], "light", fault) for fault in faults(page)]
        in_the_dark(page, dark=True)
        found += [(size["width"], "dark", fault) for fault in faults(page, ["color-contrast"])]
        found += [(size["width"], "too wide", part) for part in too_wide(page)]
    assert not found, "\n".join(f"{width} px, {how}: {what}" for width, how, what in found)


def test_a_form_with_errors_has_nothing_for_axe_to_find(product: Running, open_as: OpenAs):
    page = open_as("supervisor", reduced_motion="reduce")
    page.goto(f"/leads/{product.lead(listed=True).id}/override")
    page.locator("form[enctype]").evaluate("form => { form.noValidate = true }")
    page.get_by_role("button", name="Open this lead").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was saved.")
    assert faults(page) == []
    in_the_dark(page, dark=True)
    assert faults(page, ["color-contrast"]) == []
