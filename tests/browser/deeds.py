"""Actions of people in the site, by visible labels, headings and buttons. None of them needs JavaScript."""

import re
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from admin_web.services.leads import LeadGiven
from compliance.consent import ATTESTATION

NOW = "In force now."


def open_lead(page: Page, lead: LeadGiven) -> None:
    page.goto(f"/leads/{lead.id}")
    expect(page.get_by_role("heading", level=1)).to_have_text(lead.name)


def switch(page: Page) -> Locator:
    """Return the Do-Not-Call switch next to the lead's name."""
    return page.get_by_role("switch", name="Do Not Call")


def notice(page: Page) -> Locator:
    """Return the site's message about the last action."""
    return page.locator("main").get_by_role("status")


def in_queue(page: Page, lead: LeadGiven) -> bool:
    """Return whether a lead is in the dial queue, which is read page by page."""
    page.goto("/queue")
    while not page.get_by_role("link", name=lead.name, exact=True).count():
        further = page.get_by_role("link", name="Next page")
        if not further.count():
            return False
        page.goto(further.get_attribute("href") or "")  # Unlike a click, this waits for the whole page.
    return True


def fill_consent(
    page: Page,
    document: Path | None,
    *,
    basis: str = "Signed consent",
    on: str = "2026-01-02",
    same_day: str = "",
    attest: bool = True,
) -> None:
    """Fill in the consent form. `same_day` is why a consent of today is later than a request of today."""
    if same_day:
        on = f"{datetime.now(UTC):%Y-%m-%d}"
        page.get_by_label("If both are of the same day").fill(same_day)
    if basis:
        page.get_by_role("radio", name=re.compile(f"^{basis}")).check()
    page.get_by_label("Date of the consent").fill(on)
    page.get_by_label(ATTESTATION).set_checked(attest)
    if document is not None:
        page.get_by_label("Consent document").set_input_files(document)


def place_override(page: Page, lead: LeadGiven, document: Path, same_day: str = "") -> None:
    """Place an override for a lead, starting on its page. `same_day` is as in `fill_consent`."""
    open_lead(page, lead)
    page.get_by_role("link", name="Override").click()
    fill_consent(page, document, same_day=same_day)
    page.get_by_role("button", name="Open this lead").click()
    expect(notice(page)).to_contain_text(NOW)


def find_override(page: Page, lead: LeadGiven, shown: str = "all") -> None:
    """Open the page of a lead's override from the table of the Compliance Monitor."""
    page.goto(f"/monitor?shown={shown}")
    page.get_by_label("Lead id or number").fill(lead.id)
    page.get_by_role("button", name="Show").click()
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name=lead.name, exact=True))
    row.get_by_role("rowheader").get_by_role("link").click()


def revoke(page: Page, reason: str) -> None:
    """Revoke the override on whose page we are."""
    page.get_by_label("Reason").fill(reason)
    page.get_by_role("button", name="Revoke").click()
    expect(notice(page)).to_contain_text(NOW)


def wrap_up(page: Page, outcome: str, note: str = "") -> None:
    """Wrap up a call on the lead's page."""
    page.get_by_role("radio", name=re.compile(f"^{outcome}")).check()
    page.get_by_label("Note").fill(note)
    page.get_by_role("button", name="Wrap up").click()
