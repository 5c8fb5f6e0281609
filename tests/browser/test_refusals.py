"""Refusals of the forms: a helpful message, the input kept, nothing half-saved, and no file left behind."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from admin_web.record.changes import Records
from admin_web.services.leads import LeadGiven, put_leads
from admin_web.services.suppression import lift
from compliance.consent import ATTESTATION
from tests.browser.conftest import OpenAs
from tests.browser.deeds import fill_consent, find_override, notice, open_lead, revoke
from tests.browser.running import SHELL, Running
from tests.support.samples import EXE, PDF

FUTURE = (datetime.now(UTC) + timedelta(days=400)).date().isoformat()
TABLES = ("overrides", "documents", "outbox", "audit_events")


@dataclass(frozen=True)
class Attempt:
    """The input of a consent form, and a part of the site's message. `content` None means no file."""

    says: str
    content: Callable[[], bytes] | None = lambda: PDF
    name: str = "consent.pdf"
    basis: str = "Signed consent"
    on: str = "2026-01-02"
    attest: bool = True


ATTEMPTS = {
    "no file": Attempt("An override cannot be placed without it.", content=None),
    "an empty file": Attempt("The document is empty.", content=lambda: b""),
    "a program named like a document": Attempt("its content is a Windows program", content=lambda: EXE),
    "a program": Attempt("has no accepted file type", content=lambda: EXE, name="consent.exe"),
    "an image named like a document": Attempt(
        "is a PNG image by its content", content=lambda: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0" * 17
    ),
    "26 MB": Attempt("larger than 25 MB", content=lambda: PDF + b"%" * 26_000_000),
    "attestation not ticked": Attempt("Read the statement and confirm it", attest=False),
    "no basis": Attempt("Choose what the consent rests on.", basis=""),
    "another basis without words": Attempt("Say what the consent rests on.", basis="Other"),
    "a consent of the future": Attempt("dated in the future", on=FUTURE),
    "no date": Attempt("Give the date of the consent", on=""),
}


def recorded(product: Running) -> dict[str, Any]:
    """Return the number of recorded rows, and all files below the documents directory.

    That somebody was turned away is on record too, and does not count.
    """
    counts = {table: product.rows(f"SELECT count(*) FROM {table}") for table in TABLES}
    counts["audit_events"] = product.rows("SELECT count(*) FROM audit_events WHERE action <> 'forbidden'")
    return {**counts, "files": product.kept_files()}


def document(directory: Path, content: bytes = PDF, name: str = "consent.pdf") -> Path:
    path = directory / name
    path.write_bytes(content)
    return path


def send(page: Page) -> None:
    """Send the consent form without the browser's validation."""
    page.locator("form[enctype]").evaluate("form => { form.noValidate = true }")
    page.get_by_role("button", name="Open this lead").click()


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_an_incomplete_consent_is_refused_beside_its_field(
    attempt: Attempt, product: Running, open_as: OpenAs, tmp_path: Path
):
    lead, page = product.lead(listed=True), open_as("supervisor")
    before = recorded(product)
    page.goto(f"/leads/{lead.id}/override")
    file = document(tmp_path, attempt.content(), attempt.name) if attempt.content else None
    fill_consent(page, file, basis=attempt.basis, on=attempt.on, attest=attempt.attest)
    send(page)
    expect(page.get_by_role("alert")).to_contain_text("Nothing was saved.")
    expect(page.locator("form .invalid-feedback")).to_contain_text(attempt.says)
    expect(page.get_by_label("Date of the consent")).to_have_value(attempt.on)
    expect(page.get_by_label(ATTESTATION)).to_be_checked(checked=attempt.attest)
    assert page.locator("input[name=basis]:checked").count() == bool(attempt.basis)
    assert recorded(product) == before
    assert product.judged(lead.number, lead.id) == (False, "internal-dnc")


def test_a_lead_that_is_not_listed_has_nothing_to_open(product: Running, open_as: OpenAs):
    lead, page = product.lead(), open_as("supervisor")
    open_lead(page, lead)
    assert page.get_by_role("link", name="Override").count() == 0
    page.goto(f"/leads/{lead.id}/override")
    expect(page.locator("main")).to_contain_text("is on no list")


def lifted_meanwhile(product: Running, lead: LeadGiven, tmp_path: Path) -> None:
    async def work(records: Records) -> None:
        await lift(records, SHELL, lead.number, reason="test")

    product.do(work)


def opened_meanwhile(product: Running, lead: LeadGiven, tmp_path: Path) -> None:
    product.grant(lead, document(tmp_path, PDF + b"%other", "other.pdf"))


def moved_meanwhile(product: Running, lead: LeadGiven, tmp_path: Path) -> None:
    other = product.lead(listed=True).number

    async def work(records: Records) -> None:
        await put_leads(records, SHELL, [LeadGiven(lead.id, other, lead.name)])

    product.do(work)


STALE = [
    (lifted_meanwhile, "is on no list"),
    (opened_meanwhile, "holds override"),
    (moved_meanwhile, "The lead has got another number since you opened this form"),
]


@pytest.mark.parametrize(("meanwhile", "says"), STALE, ids=lambda value: getattr(value, "__name__", ""))
def test_a_form_that_somebody_else_has_overtaken_is_refused(
    meanwhile: Callable[..., None], says: str, product: Running, open_as: OpenAs, tmp_path: Path
):
    lead, page = product.lead(listed=True), open_as("supervisor")
    page.goto(f"/leads/{lead.id}/override")
    fill_consent(page, document(tmp_path))
    meanwhile(product, lead, tmp_path)
    before, judged = recorded(product), product.judged(lead.number, lead.id)
    send(page)
    expect(page.locator("main")).to_contain_text(says)
    assert recorded(product) == before
    assert product.judged(lead.number, lead.id) == judged


def test_of_two_who_open_the_same_lead_at_once_one_is_told_of_the_other(
    product: Running, open_as: OpenAs, tmp_path: Path
):
    lead, pages = product.lead(listed=True), [open_as("supervisor"), open_as("admin")]
    for page in pages:
        page.goto(f"/leads/{lead.id}/override")
        fill_consent(page, document(tmp_path))
    for page in pages:
        send(page)
    expect(notice(pages[0])).to_contain_text("In force now.")
    expect(pages[1].locator("main")).to_contain_text("holds override")
    assert product.rows("SELECT count(*) FROM overrides WHERE lead_id = :lead", lead=lead.id) == [(1,)]


def test_of_two_who_revoke_the_same_override_the_second_is_told_of_the_first(
    product: Running, open_as: OpenAs, tmp_path: Path
):
    lead, pages = product.lead(listed=True), [open_as("admin"), open_as("admin")]
    product.grant(lead, document(tmp_path))
    for page in pages:
        find_override(page, lead)
    revoke(pages[0], "first")
    before = recorded(product)
    pages[1].get_by_label("Reason").fill("second")
    pages[1].get_by_role("button", name="Revoke").click()
    expect(pages[1].get_by_role("alert")).to_contain_text("was revoked by admin")
    assert recorded(product) == before


def test_revoking_and_lifting_take_a_reason(product: Running, open_as: OpenAs, tmp_path: Path):
    lead, page = product.lead(listed=True), open_as("admin")
    product.grant(lead, document(tmp_path))
    before = recorded(product)
    find_override(page, lead)
    page.get_by_label("Reason").evaluate("area => { area.required = false }")
    page.get_by_role("button", name="Revoke").click()
    expect(page.locator("#reason-error")).to_contain_text("missing")
    page.goto(f"/leads/{lead.id}/lift")
    page.get_by_label("Reason").evaluate("area => { area.required = false }")
    page.get_by_role("button", name="Lift the number").click()
    expect(page.locator("#reason-error")).to_contain_text("missing")
    assert recorded(product) == before


@pytest.mark.parametrize("role", ["agent", "auditor"])
def test_who_may_not_override_is_turned_away_with_a_sentence(role: str, product: Running, open_as: OpenAs):
    lead, page = product.lead(listed=True), open_as(role)
    before = recorded(product)
    page.goto(f"/leads/{lead.id}/override")
    expect(page.locator("main")).to_contain_text(f"Your role ({role}) may not do this.")
    token = page.locator("input[name=csrf]").first.input_value()
    sent = page.request.post(
        f"/leads/{lead.id}/override",
        headers={"Origin": product.url},
        multipart={
            "csrf": token,
            "number": lead.number,
            "basis": "signed-consent",
            "consented_on": "2026-01-02",
            "attestation": ATTESTATION,
            "document": {"name": "consent.pdf", "mimeType": "application/pdf", "buffer": PDF},
        },
    )
    assert sent.status == 403
    assert recorded(product) == before
