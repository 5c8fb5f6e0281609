"""The site by keyboard alone, and by screen reader."""

from datetime import datetime
from pathlib import Path

from playwright.sync_api import Page, expect

from compliance import dates
from compliance.consent import ATTESTATION
from compliance.zones import named
from tests.browser.conftest import OpenAs
from tests.browser.deeds import notice, open_lead
from tests.browser.running import Running
from tests.support.samples import PDF

FOCUSED = """() => {
  const at = document.activeElement, box = at.getBoundingClientRect(), style = getComputedStyle(at);
  const ring = style.outlineStyle !== "none" || style.boxShadow !== "none";
  return { name: at.name || at.textContent.trim(), type: at.type || at.tagName, seen: box.width > 0 && ring };
}"""


def tab_to(page: Page, name: str, key: str = "Tab", most: int = 60) -> None:
    """Press a key until the element with this name or text has the focus. Each one on the way must show its focus."""
    for _ in range(most):
        page.keyboard.press(key)
        focused = page.evaluate(FOCUSED)
        assert focused["seen"] or focused["type"] in {"BODY", "MAIN"}, f"no visible focus on {focused}"
        if focused["name"] == name:
            return
    raise AssertionError(f"{name} is not reached by {key}")


def test_an_override_is_placed_by_keyboard_alone(product: Running, open_as: OpenAs, tmp_path: Path):
    lead, page = product.lead(listed=True), open_as("supervisor", reduced_motion="reduce")
    document = tmp_path / "consent.pdf"
    document.write_bytes(PDF)
    page.on("filechooser", lambda chooser: chooser.set_files(document))
    open_lead(page, lead)
    tab_to(page, "Override")
    page.keyboard.press("Enter")
    page.wait_for_url("**/override")
    tab_to(page, "basis")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    tab_to(page, "basis_note")
    page.keyboard.type("a mail of January")
    tab_to(page, "consented_on")
    page.keyboard.type("01022026")
    tab_to(page, "attestation")
    page.keyboard.press("Space")
    tab_to(page, "document")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Consent document")).not_to_have_value("")
    expect(page.get_by_label(ATTESTATION)).to_be_checked()
    tab_to(page, "Open this lead")
    page.keyboard.press("Enter")
    expect(notice(page)).to_contain_text("In force now.")
    overrides = "SELECT basis, basis_note FROM overrides WHERE lead_id = :lead"
    assert product.rows(overrides, lead=lead.id) == [("written-consent", "a mail of January")]


def test_the_switch_is_flipped_by_keyboard_and_says_what_it_is(product: Running, open_as: OpenAs):
    lead, page = product.lead(), open_as("agent", reduced_motion="reduce")
    open_lead(page, lead)
    tab_to(page, "Do Not Call")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "switch"
    page.keyboard.press("Space")
    expect(page.get_by_role("switch")).to_have_attribute("aria-checked", "true")
    assert product.judged(lead.number, lead.id) == (False, "internal-dnc")


def test_the_first_stop_leads_past_the_navigation(open_as: OpenAs):
    page = open_as("agent")
    page.goto("/leads")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()


def test_the_menu_of_a_small_screen_opens_by_keyboard(open_as: OpenAs):
    page = open_as("agent", viewport={"width": 390, "height": 844})
    page.goto("/leads")
    menu = page.get_by_role("button", name="Menu")
    expect(menu).to_have_attribute("aria-expanded", "false")
    expect(page.get_by_role("link", name="Dial queue")).to_be_hidden()
    menu.focus()
    page.keyboard.press("Enter")
    expect(menu).to_have_attribute("aria-expanded", "true")
    page.get_by_role("link", name="Dial queue").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Dial queue")


def test_light_and_dark_are_as_the_system_says_until_the_person_chooses(open_as: OpenAs):
    page = open_as("agent", color_scheme="dark")
    page.goto("/leads")
    root = page.locator("html")
    expect(root).to_have_attribute("data-bs-theme", "dark")
    page.get_by_role("button", name="Light or dark").click()
    expect(root).to_have_attribute("data-bs-theme", "light")
    page.reload()
    expect(root).to_have_attribute("data-bs-theme", "light")


def test_moments_are_in_the_readers_zone_with_utc_on_hover_and_numbers_in_national_format(
    product: Running, open_as: OpenAs
):
    lead, page = product.lead(listed=True), open_as("agent", timezone_id="Pacific/Auckland", locale="de-DE")
    open_lead(page, lead)
    moment = page.locator("main time").first
    at = moment.get_attribute("datetime")
    assert at
    zone = page.get_by_role("contentinfo").inner_text().split()[6]
    assert zone != "Pacific/Auckland", "the person has had another zone since the first sign-in"
    expect(moment).to_have_text(dates.moment(datetime.fromisoformat(at), named(zone)))
    assert moment.get_attribute("title") == at
    number = page.locator("main .number").first
    assert number.get_attribute("title") == lead.number
    assert number.inner_text() == f"({lead.number[2:5]}) {lead.number[5:8]}-{lead.number[8:]}"
