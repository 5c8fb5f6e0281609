"""Attacks over HTTP: hostile file names, endless and stalled uploads, formulas."""

import asyncio
import csv
import hashlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import BodyPartReader, MultipartReader
from sqlalchemy import select

from admin_web.people import accounts
from admin_web.record.models import Document, Override, SignInSession
from admin_web.services import suppression
from admin_web.services.leads import LeadGiven, put_leads
from admin_web.site.routes import ROUTES
from compliance.consent import ATTESTATION, Role, ends_at
from compliance.http_body import next_part
from compliance.numbers import E164, LeadId
from lab.redis import RedisServer
from tests.support.paths import filled
from tests.support.records import ADMIN, LEAD, NUMBER, Clock, rows
from tests.support.samples import PDF
from tests.support.site import Answer, Browser, Site, settings_of

FORMULAS = ["=HYPERLINK(0)", "+SUM(A1)", "-2+3", "@SUM(1)", "\t=1", "＝1"]
BOUNDARY = "boundary-of-the-test"
PATH = f"/leads/{LEAD}/override"


@pytest.fixture
async def listed(site: Site) -> Site:
    """A site with one lead whose number is listed."""
    await put_leads(site.records, ADMIN, [LeadGiven(LEAD, NUMBER, "Lead 1")])
    await suppression.suppress(site.records, ADMIN, NUMBER, source="test")
    return site


def consent(site: Site) -> dict[str, str]:
    return {
        "number": NUMBER,
        "until": ends_at(site.now()).isoformat(),
        "basis": "signed-consent",
        "consented_on": "2026-01-02",
        "attestation": ATTESTATION,
    }


def head_of(fields: dict[str, str], file_name: bytes) -> bytes:
    """Return a multipart body up to the first byte of the file."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{{}}"\r\n\r\n{{}}\r\n'
    parts = [head.format(name, value) for name, value in fields.items()]
    file = b'Content-Disposition: form-data; name="document"; filename="' + file_name + b'"\r\n\r\n'
    return "".join(parts).encode() + f"--{BOUNDARY}\r\n".encode() + file


async def send(browser: Browser, body: bytes | AsyncIterator[bytes], path: str = PATH) -> Answer:
    headers = {"Origin": browser.origin, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    async with browser.session.post(path, data=body, headers=headers, allow_redirects=False) as answer:
        content = await answer.read()
        return Answer(answer.status, content.decode(), answer.headers, content)


NAMES = {
    b"../../../../etc/cron.d/consent.pdf": "consent.pdf",
    b"..\\\\..\\\\windows\\\\consent.pdf": "consent.pdf",
    b"/etc/consent.pdf": "consent.pdf",
    b"C:\\\\consent.pdf": "consent.pdf",
    b"a%00.pdf": "a%00.pdf",
    b"....//....//consent.pdf": "consent.pdf",
    b".pdf.pdf": ".pdf.pdf",
    b"consent\xe2\x80\xaefdp.pdf": "consentfdp.pdf",
    b"=HYPERLINK(0).pdf": "=HYPERLINK(0).pdf",
}


@pytest.mark.parametrize(("sent", "shown"), NAMES.items(), ids=NAMES.values())
async def test_a_file_name_chooses_no_path(listed: Site, sent: bytes, shown: str):
    browser = await listed.person(Role.SUPERVISOR)
    fields = {"csrf": browser.csrf, **consent(listed)}
    answer = await send(browser, head_of(fields, sent) + PDF + f"\r\n--{BOUNDARY}--\r\n".encode())
    assert answer.status == 303, answer.text[:3000]
    sha256 = hashlib.sha256(PDF).hexdigest()
    files = [path for path in listed.settings.data_dir.rglob("*") if path.is_file() and "documents" in path.parts]
    assert [path.relative_to(listed.documents.directory) for path in files] == [Path(sha256[:2]) / sha256[2:]]
    async with listed.database.read() as session:
        assert (await session.scalars(select(Document.name))).all() == [shown]


async def test_an_endless_upload_is_cut_off_soon_after_the_largest_document(listed: Site):
    listed.documents.most = 1_000_000
    browser, sent = await listed.person(Role.SUPERVISOR), 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield head_of({"csrf": browser.csrf, **consent(listed)}, b"consent.pdf") + PDF
        while sent < 500_000_000:
            sent += 256 * 1024
            yield b"%" * 256 * 1024

    with suppress(OSError):  # The site may close the connection while the rest is on its way.
        assert (await send(browser, endless())).status in {413, 422}
    assert sent < 100_000_000
    assert await overrides(listed) == 0
    assert not [path for path in listed.documents.directory.rglob("*") if path.is_file()]


async def test_an_upload_that_stalls_is_given_up_and_leaves_nothing(listed: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("admin_web.site.forms.PIECE_S", 0.3)
    browser = await listed.person(Role.SUPERVISOR)
    gone = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield head_of({"csrf": browser.csrf, **consent(listed)}, b"consent.pdf") + PDF
        await gone.wait()

    async with asyncio.timeout(60):
        answer = await send(browser, stalling())
    gone.set()
    assert answer.status == 408
    assert "stalled" in answer.text
    assert await overrides(listed) == 0
    assert not [path for path in listed.documents.directory.rglob("*") if path.is_file()]


async def test_a_form_that_stalls_is_given_up(listed: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("admin_web.site.guard.BODY_S", 0.3)
    browser = await listed.person(Role.SUPERVISOR)

    async def stalling() -> AsyncIterator[bytes]:
        yield b"csrf="
        await asyncio.sleep(120)

    headers = {"Origin": browser.origin, "Content-Type": "application/x-www-form-urlencoded"}
    async with asyncio.timeout(60):
        path = f"/leads/{LEAD}/do-not-call"
        async with browser.session.post(path, data=stalling(), headers=headers, allow_redirects=False) as answer:
            assert answer.status == 408


async def test_an_upload_that_is_cut_short_leaves_nothing(listed: Site):
    browser = await listed.person(Role.SUPERVISOR)
    answer = await send(browser, head_of({"csrf": browser.csrf, **consent(listed)}, b"consent.pdf") + PDF)
    assert answer.status == 400
    assert await overrides(listed) == 0
    assert not [path for path in listed.documents.directory.rglob("*") if path.is_file()]


async def signed_out(site: Site):
    await accounts.end_sessions(site.database, ADMIN, Role.SUPERVISOR)


async def disabled(site: Site):
    await accounts.disable_user(site.database, ADMIN, Role.SUPERVISOR)


async def made_an_auditor(site: Site):
    await accounts.change_user(site.database, ADMIN, Role.SUPERVISOR, role=Role.AUDITOR)


@pytest.mark.parametrize(("meanwhile", "status"), [(signed_out, 401), (disabled, 401), (made_an_auditor, 403)])
async def test_an_upload_is_void_if_its_sender_lost_the_right_meanwhile(
    listed: Site, meanwhile: Callable[[Site], Awaitable[None]], status: int
):
    browser = await listed.person(Role.SUPERVISOR)

    async def slow() -> AsyncIterator[bytes]:
        yield head_of({"csrf": browser.csrf, **consent(listed)}, b"consent.pdf") + PDF + b"%" * 1_000_000
        while not list(listed.documents.directory.glob("arriving-*")):  # noqa: ASYNC110 - the site reports no event
            await asyncio.sleep(0.01)
        await meanwhile(listed)
        yield f"\r\n--{BOUNDARY}--\r\n".encode()

    async with asyncio.timeout(60):
        answer = await send(browser, slow())
    assert answer.status == status, answer.text[:2000]
    assert await overrides(listed) == 0
    assert not [path for path in listed.documents.directory.rglob("*") if path.is_file()]


async def test_a_form_without_a_file_is_void_if_its_sender_lost_the_right_meanwhile(
    listed: Site, monkeypatch: pytest.MonkeyPatch
):
    browser, begun = await listed.person(Role.SUPERVISOR), asyncio.Event()

    async def noted(reader: MultipartReader, within_s: float) -> BodyPartReader | None:
        begun.set()
        return await next_part(reader, within_s)

    async def slow() -> AsyncIterator[bytes]:
        yield head_of({"csrf": browser.csrf, **consent(listed)}, b"").rpartition(b"--" + BOUNDARY.encode())[0]
        await begun.wait()
        await disabled(listed)
        yield f"--{BOUNDARY}--\r\n".encode()

    monkeypatch.setattr("admin_web.site.forms.next_part", noted)
    async with asyncio.timeout(60):
        assert (await send(browser, slow())).status == 401


async def test_an_upload_of_hours_is_a_use_of_its_session(
    database_url: str, redis_server: RedisServer, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("admin_web.site.forms.CHECK_S", 0)
    async with Site(settings_of(database_url, redis_server.url, tmp_path / "data"), clock) as site:
        browser = await site.person(Role.ADMIN)

        async def slow() -> AsyncIterator[bytes]:
            yield head_of({"csrf": browser.csrf}, b"numbers.csv").replace(b'"document"', b'"file"') + b"number\n"
            for _ in range(3):
                clock.move(hours=1.5)
                yield f"{NUMBER}\n".encode() * 50_000
                # The site reports no event when it has checked the session.
                while max(one.seen_at for one in await rows(site.records, SignInSession)) < clock.at:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            yield f"\r\n--{BOUNDARY}--\r\n".encode()

        async with asyncio.timeout(60):
            assert (await send(browser, slow(), "/imports/numbers")).status == 303


NO_FORMS = [
    b"",
    b"--",
    f"--{BOUNDARY}".encode(),
    b"\0" * 100_000,
    b"x" * 900_000,
    f"--{BOUNDARY}\r\nX: ".encode() + b"y" * 100_000,
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="csrf"; filename="x"\r\n\r\nx'.encode(),
]


@pytest.mark.parametrize("body", NO_FORMS, ids=lambda body: str(body[:20]))
async def test_a_body_that_is_no_form_is_refused(listed: Site, body: bytes):
    answer = await send(await listed.person(Role.SUPERVISOR), body)
    assert 400 <= answer.status < 500
    assert await overrides(listed) == 0


@pytest.mark.exhaustive
async def test_no_export_has_a_cell_that_a_spreadsheet_would_run(listed: Site):
    for place, formula in enumerate(FORMULAS):
        number, lead = E164(f"+1415555012{place}"), LeadId(f"F-{place}")
        await put_leads(listed.records, ADMIN, [LeadGiven(lead, number, formula)])
        await suppression.suppress(listed.records, ADMIN, number, source="test", note=formula, lead=lead)
    browser, exports = await listed.person(Role.ADMIN), 0
    fields = {"csrf": browser.csrf, **consent(listed), "number": "+14155550120"}
    opened = head_of(fields, b"=cmd.pdf") + PDF + f"\r\n--{BOUNDARY}--\r\n".encode()
    headers = {"Origin": browser.origin, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    async with browser.session.post("/leads/F-0/override", data=opened, headers=headers) as answer:
        assert answer.status == 200
    for route in [route for route in ROUTES if route.method == "GET"]:
        answer = await browser.get(filled(route.path, {"lead": "F-0", "number": NUMBER, "kind": "numbers"}))
        if answer.headers.get("Content-Type", "").startswith("text/csv"):
            exports += 1
            for row in csv.reader(io.StringIO(answer.text, newline="")):
                for cell in row:
                    assert not cell.startswith(tuple("=@-\t\r\n＝")), (route.path, cell)
                    assert not cell.startswith("+") or cell[1:].isdigit(), (route.path, cell)
    assert exports >= 3


async def overrides(site: Site) -> int:
    async with site.database.read() as session:
        return len((await session.scalars(select(Override.id))).all())
