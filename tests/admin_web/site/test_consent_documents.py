"""Consent documents sent by the form: accepted files, refused files with their messages, and no files left behind."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from admin_web.record.models import Document, Override
from admin_web.services.leads import LeadGiven, put_leads
from admin_web.services.overrides import grant_override
from admin_web.services.suppression import lift, suppress
from compliance.consent import ATTESTATION, Role
from lab.redis import RedisServer
from tests.support.projection import GateView
from tests.support.records import ADMIN, CONSENT, LEAD, NUMBER, SUPERVISOR, rows
from tests.support.samples import ACCEPTED, EXE, HTML, PDF, PNG
from tests.support.site import Answer, Browser, Site

PATH = f"/leads/{LEAD}/override"
PDF_FILE = ("consent.pdf", PDF, "application/pdf")


@pytest.fixture
async def listed(site: Site) -> Site:
    """A site with one lead whose number is listed."""
    await put_leads(site.records, ADMIN, [LeadGiven(LEAD, NUMBER, "Lead 12")])
    await suppress(site.records, ADMIN, NUMBER, source="phone")
    return site


def fields(site: Site, **changed: str) -> dict[str, str]:
    """Return the fields of a correct form, except those in `changed`."""
    yesterday = (site.now() - timedelta(days=1)).date()
    right = {
        "number": NUMBER, "until": "", "basis": "signed-consent", "basis_note": "A note to keep.",
        "consented_on": yesterday.isoformat(), "attestation": ATTESTATION,
    }  # fmt: skip
    return {name: value for name, value in {**right, **changed}.items() if value is not None}


async def send(browser: Browser, site: Site, file: tuple[str, bytes, str] | None = PDF_FILE, **changed: str) -> Answer:
    return await browser.upload(PATH, fields(site, **changed), "document", file)


async def nothing_left(site: Site) -> bool:
    files = [path for path in site.documents.directory.rglob("*") if path.is_file()]
    return not files and await rows(site.records, Override) == [] and await rows(site.records, Document) == []


@pytest.mark.parametrize(("name", "content", "media_type"), ACCEPTED)
async def test_a_document_of_each_kind_opens_the_lead(
    listed: Site, redis_server: RedisServer, name: str, content: bytes, media_type: str
):
    supervisor = await listed.person(Role.SUPERVISOR)
    answer = await send(supervisor, listed, (name, content, "application/octet-stream"))
    assert "In force now." in await supervisor.follow(answer)
    (document,) = await rows(listed.records, Document)
    assert (document.name, document.media_type, document.size) == (name, media_type, len(content))
    await listed.projection.renew_lease()
    assert GateView(redis_server).allows(NUMBER, LEAD)
    given = await supervisor.get("/monitor/1/document")
    assert (given.body, given.headers["Content-Type"]) == (content, media_type)
    assert given.headers["X-Content-Type-Options"] == "nosniff"
    assert given.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert given.headers["Content-Disposition"].startswith("attachment; ")


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (None, "Choose the consent document. An override cannot be placed without it."),
        (
            ("", b"", "application/octet-stream"),
            "Choose the consent document. An override cannot be placed without it.",
        ),
        (("consent.pdf", b"", "application/pdf"), "The document is empty."),
        (("consent.pdf", EXE, "application/pdf"), "is not a PDF document: its content is a Windows program."),
        (("consent.exe", EXE, "application/pdf"), "has no accepted file type"),
        (("consent.pdf.exe", PDF, "application/pdf"), "has no accepted file type"),
        (("letter.eml", HTML, "message/rfc822"), "is not a mail (EML): its content is another kind of file (HTML"),
        (("consent.pdf", HTML + PDF, "application/pdf"), "is not a PDF document"),
        (("consent.pdf", PNG, "application/pdf"), "is a PNG image by its content, not a PDF document"),
        (("consent.html", PDF, "text/html"), "has no accepted file type"),
        (("consent.pdf", PDF, "image/png"), "was sent as image/png"),
    ],
)
async def test_what_is_no_consent_document_is_refused_beside_its_field_and_leaves_nothing(
    listed: Site, file: tuple[str, bytes, str] | None, sentence: str
):
    supervisor = await listed.person(Role.SUPERVISOR)
    answer = await send(supervisor, listed, file)
    assert answer.status == 422
    assert sentence in answer.text
    assert 'id="document-error"' in answer.text
    assert "A note to keep." in answer.text
    assert await nothing_left(listed)


async def test_26_megabytes_are_refused_with_the_limit_and_leave_nothing(listed: Site):
    supervisor = await listed.person(Role.SUPERVISOR)
    answer = await send(supervisor, listed, ("consent.pdf", PDF.ljust(26_000_000), "application/pdf"))
    assert answer.status == 422
    assert "The document is larger than 25 MB." in answer.text
    assert await nothing_left(listed)
    answer = await send(supervisor, listed, ("consent.pdf", PDF.ljust(25_000_000), "application/pdf"))
    assert answer.status == 303


@pytest.mark.parametrize(
    "changed", [{"attestation": ""}, {"basis": ""}, {"consented_on": "2999-01-01"}, {"number": "+1"}]
)
async def test_a_form_that_is_not_whole_leaves_no_document(listed: Site, changed: dict[str, str]):
    assert (await send(await listed.person(Role.SUPERVISOR), listed, **changed)).status == 422
    assert await nothing_left(listed)


@pytest.mark.parametrize("role", [Role.AGENT, Role.AUDITOR])
async def test_who_may_not_override_uploads_nothing(listed: Site, role: Role):
    assert (await send(await listed.person(role), listed)).status == 403
    assert await nothing_left(listed)


async def test_a_number_that_was_lifted_meanwhile_is_refused_and_leaves_no_document(listed: Site):
    supervisor = await listed.person(Role.SUPERVISOR)
    await supervisor.page(PATH)
    await lift(listed.records, ADMIN, NUMBER, reason="a mistake")
    answer = await send(supervisor, listed)
    assert answer.status in {409, 422}
    assert "is on no list" in answer.text
    assert await nothing_left(listed)


async def test_of_two_who_upload_at_once_one_opens_the_lead_and_only_its_document_stays(listed: Site):
    browsers = [await listed.person(Role.SUPERVISOR), await listed.person(Role.ADMIN)]
    files = [("consent.pdf", PDF, "application/pdf"), ("scan.png", PNG, "image/png")]
    answers = await asyncio.gather(*(send(*both) for both in zip(browsers, [listed] * 2, files, strict=True)))
    first, second = sorted(answer.status for answer in answers)
    assert (first, second in {409, 422}) == (303, True)
    (document,) = await rows(listed.records, Document)
    kept = [path for path in listed.documents.directory.rglob("*") if path.is_file()]
    assert [path.parent.name + path.name for path in kept] == [document.sha256]


async def test_a_second_override_is_refused_and_the_first_keeps_its_document(listed: Site):
    supervisor = await listed.person(Role.SUPERVISOR)
    assert (await send(supervisor, listed)).status == 303
    assert (await send(supervisor, listed)).status in {409, 422}
    assert (await supervisor.get("/monitor/1/document")).body == PDF
    assert len(await rows(listed.records, Override)) == 1


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/consent.pdf", "consent.pdf"),
        ("..\\..\\windows\\consent.pdf", "consent.pdf"),
        ("a;b=\"c'.pdf", "a;b="),
        ("<script>alert(1)<\u2215script>.pdf", "&lt;script&gt;alert(1)"),
        ("x" * 400 + ".pdf", "x" * 251 + ".pdf"),
    ],
)
async def test_a_hostile_file_name_is_text_and_no_path(listed: Site, name: str, shown: str):
    supervisor = await listed.person(Role.SUPERVISOR)
    assert (await send(supervisor, listed, (name, PDF, "application/pdf"))).status == 303
    (document,) = await rows(listed.records, Document)
    files = [path for path in listed.documents.directory.rglob("*") if path.is_file()]
    assert [path.parent.name + path.name for path in files] == [document.sha256]
    page = await supervisor.page("/monitor/1")
    assert shown in page
    assert "<script>alert(1)" not in page
    assert (await supervisor.get("/monitor/1/document")).body == PDF


async def test_an_upload_that_breaks_off_leaves_nothing(listed: Site):
    supervisor = await listed.person(Role.SUPERVISOR)
    body = (
        f'--x\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{supervisor.csrf}\r\n'
        + "".join(
            f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields(listed).items()
        )
        + '--x\r\nContent-Disposition: form-data; name="document"; filename="consent.pdf"\r\n\r\n'
    )
    for cut in (PDF[:100], PDF):
        headers = {"Origin": supervisor.origin, "Content-Type": "multipart/form-data; boundary=x"}
        async with supervisor.session.post(PATH, data=body.encode() + cut, headers=headers) as answer:
            assert answer.status in {400, 422}
    assert await nothing_left(listed)


async def test_a_revoked_lead_is_opened_again_on_a_new_document_only(listed: Site):
    admin = await listed.person(Role.ADMIN)
    kept_first = replace(CONSENT, document=await listed.documents.keep(_one(PDF), "first.pdf"))
    await grant_override(listed.records, SUPERVISOR, kept_first)
    assert (await admin.post("/monitor/1/revoke", {"state": "active", "reason": "asked again"})).status == 303
    assert (await send(admin, listed, None)).status == 422
    assert (await send(admin, listed)).status == 303
    assert len(await rows(listed.records, Override)) == 2


async def _one(content: bytes):
    yield content
