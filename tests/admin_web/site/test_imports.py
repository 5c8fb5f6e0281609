"""Imports in the browser: upload, preview, choice of columns, start, progress, cancel; and refused files."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from html import unescape

import pytest
from sqlalchemy import select

from admin_web.lists.import_jobs import sweep_sheets
from admin_web.lists.sheet_store import SheetStore
from admin_web.queries.lists import ListFilter, entries
from admin_web.record.models import DoNotCallRequest, Job, Lead, LeadNumber, Override, SuppressionEntry
from admin_web.services.campaign_lists import add_campaign_list
from admin_web.services.consents import Consent
from admin_web.services.job_kinds import IMPORT_NUMBERS
from admin_web.services.leads import add_lead
from admin_web.services.overrides import grant_override
from admin_web.services.requests import record_request
from admin_web.services.suppression import suppress
from admin_web.worker.jobs.run import Tools
from admin_web.worker.jobs.runner import POLL_S, Runner
from admin_web.worker.jobs.work import WORK
from compliance import dates
from compliance.numbers import E164
from tests.support.records import ADMIN, CONSENT, LEAD, SUPERVISOR, rows
from tests.support.site import Answer, Browser, Site, settings_of

LIST = b"name,phone\nOne,(415) 555-0100\nTwo,oops\nThree,415 555 0101\n"


async def upload(browser: Browser, content: bytes, name: str = "list.csv", kind: str = "numbers") -> Answer:
    return await browser.upload(f"/imports/{kind}", {}, "file", (name, content, "text/csv"))


def consent_of(site: Site, *, days: int) -> Consent:
    """Return a consent that is dated so many days from today."""
    return replace(CONSENT, consented_on=site.records.today() + timedelta(days=days))


async def work(site: Site) -> None:
    """Run all jobs, as a worker does."""
    tools = Tools(site.records, site.projection, site.settings)
    for kind, carry_out in WORK.items():
        while await Runner(kind, carry_out, tools, "worker").step() < POLL_S:
            continue


async def test_a_list_goes_from_upload_by_preview_to_a_job_and_its_report(site: Site, monkeypatch: pytest.MonkeyPatch):
    browser = await site.person("admin")
    uploaded = await upload(browser, LIST)
    preview = await browser.follow(uploaded)
    assert "Columns separated by commas" in preview
    assert (preview.count(">accepted<"), preview.count(">rejected<")) == (2, 1)
    assert await rows(site.records, SuppressionEntry) == []
    started = await browser.post(uploaded.location, {"number": "2", "note": "The list of March."})
    job = await browser.follow(started)
    assert "waiting for a worker" in job
    await work(site)
    page = await browser.page(started.location)
    assert "3 rows: 2 added to the list, 0 already listed, 1 rejected; in force." in page
    assert "hx-trigger" not in page
    # A report that the kernel sends is cut off after two minutes: nobody sees that a slow client reads it.
    monkeypatch.setattr(asyncio.get_running_loop(), "sendfile", None)
    report = await browser.get(f"{started.location}/report")
    assert report.text.splitlines()[1].startswith("3,letters,")
    assert "attachment" in report.headers["Content-Disposition"]
    found = (await entries(site.records.database, ListFilter())).rows
    assert [(entry.number, entry.note, entry.added_by) for entry in found] == [
        ("+14155550101", "The list of March.", "admin"),
        ("+14155550100", "The list of March.", "admin"),
    ]
    assert "list.csv" in await browser.page("/jobs")


async def test_digits_in_another_order_are_rejected_and_never_shown_so(site: Site):
    browser = await site.person("admin")
    uploaded = await upload(browser, "name,phone\nOne,\u202e0015550514\nTwo,4155550101\n".encode())
    preview = await browser.follow(uploaded)
    assert "&lt;U+202E&gt;0015550514" in preview
    assert "\u202e" not in preview
    assert "appear in another order" in preview


async def test_the_columns_can_be_chosen_and_looked_at_again_before_the_start(site: Site):
    browser = await site.person("admin")
    uploaded = await upload(browser, b"his,hers\n4155550100,4155550101\n")
    page = await browser.follow(uploaded)
    assert "Several columns contain numbers" in page
    assert "Start the import" not in page
    assert (await browser.post(uploaded.location, {})).status == 422
    again = await browser.page(f"{uploaded.location}?number=2")
    assert "+14155550101" in again
    assert "+14155550100" not in again.replace("4155550100</td>", "")
    await browser.post(uploaded.location, {"number": "2", "unread": "yes"})
    await work(site)
    assert [entry.number for entry in await rows(site.records, SuppressionEntry)] == ["+14155550101"]


async def test_a_preview_reads_every_column_of_telephone_numbers_and_says_so(site: Site):
    browser = await site.person("admin")
    content = b"List of May\nname,phone,home,work\nA,4155550100,4155550101,4155550102\nB,,4155550103,\n"
    uploaded = await upload(browser, content)
    page = unescape(await browser.follow(uploaded))
    assert "Line 1 is above the list and not read: 'List of May'." in page
    assert "Numbers are read from column 2 'phone' and column 3 'home' and column 4 'work'." in page
    assert '<option value="2,3,4" selected>2 and 3 and 4: all that contain numbers</option>' in page
    assert 'name="unread"' not in page
    assert all(f"+1415555010{line}" in page for line in range(4))
    started = await browser.post(uploaded.location, {"number": "2,3,4"})
    await work(site)
    page = unescape(await browser.page(started.location))
    assert "2 rows: 4 added to the list, 0 already listed, 0 rejected; in force." in page
    assert "Line 1 is above the list and not read" in page
    assert len(await rows(site.records, SuppressionEntry)) == 4


@pytest.mark.parametrize("number", ["", "2"], ids=["not chosen", "chosen"])
async def test_an_import_that_leaves_a_column_of_numbers_unread_starts_only_after_a_tick(site: Site, number: str):
    browser = await site.person("admin")
    uploaded = await upload(browser, b"name,phone,account\nA,4155550100,4155550101\nB,,4155550103\n")
    page = unescape(await browser.page(f"{uploaded.location}?number={number}"))
    assert "Column 3 'account' contains numbers and is not read." in page
    assert "column 3 'account', which is not read, contains a number" in page
    refused = await browser.post(uploaded.location, {"number": number})
    assert (refused.status, 'id="unread-error"' in refused.text) == (422, True)
    assert await rows(site.records, Job) == []
    started = await browser.post(uploaded.location, {"number": number, "unread": "yes"})
    await work(site)
    assert "Column 3 'account' contains numbers and is not read." in unescape(await browser.page(started.location))
    assert [entry.number for entry in await rows(site.records, SuppressionEntry)] == ["+14155550100"]
    both = await upload(browser, b"name,phone,account\nA,4155550100,4155550101\nB,,4155550103\n")
    assert (await browser.post(both.location, {"number": "2,3"})).status == 303


async def test_area_codes_in_a_column_of_their_own_are_joined_and_the_preview_says_so(site: Site):
    browser = await site.person("admin")
    uploaded = await upload(browser, b'"415","5550100"\n"415","5550101"\n')
    page = unescape(await browser.follow(uploaded))
    assert "The numbers are joined from column 1 with column 2." in page
    assert '<option value="1+2" selected>1 with 2: joined</option>' in page
    await browser.post(uploaded.location, {"number": "1+2"})
    await work(site)
    assert [entry.number for entry in await rows(site.records, SuppressionEntry)] == ["+14155550100", "+14155550101"]


async def test_an_import_of_which_nothing_is_taken_is_a_job_that_failed(site: Site):
    browser = await site.person("admin")
    uploaded = await upload(browser, b"name,phone\nA,oops\nB,1234\n")
    started = await browser.post(uploaded.location, {"number": "2"})
    await work(site)
    page = unescape(await browser.page(started.location))
    assert ">failed<" in page
    assert "none of its 2 rows was taken. The file looks like columns separated by commas" in page
    assert (await browser.get(f"{started.location}/report")).text.splitlines()[1].startswith("2,letters,")


async def test_a_file_of_changes_is_not_begun_with_for_the_own_list(site: Site):
    browser = await site.person("admin")
    uploaded = await upload(browser, b"4155550178,A\n4155550158,D\n")
    page = await browser.follow(uploaded)
    assert "says A or D, for added and deleted numbers" in page
    assert "Start the import" not in page
    assert (await browser.post(uploaded.location, {"number": "1"})).status == 422


async def test_an_import_is_undone_after_a_preview_and_numbers_whose_person_asked_stay(site: Site):
    browser = await site.person("admin")
    assert "No imports yet" in await browser.page("/lists/imports")
    uploaded = await upload(browser, LIST)
    await browser.post(uploaded.location, {"number": "2"})
    await work(site)
    await record_request(site.records, ADMIN, E164("+14155550101"), source="phone")
    page = await browser.page("/lists/imports")
    assert "/lists/imports/1" in page
    assert "list.csv" in page
    preview = await browser.page("/lists/imports/1")
    assert "<dt>Entries to be lifted</dt><dd>1</dd>" in preview
    assert "<dt>Entries that stay</dt><dd>1, because the person asked not to be called</dd>" in preview
    refused = await browser.post("/lists/imports/1/undo", {"reason": " "})
    assert (refused.status, 'id="reason-error"' in refused.text) == (422, True)
    job = await browser.post("/lists/imports/1/undo", {"reason": "The wrong file."})
    await work(site)
    page = await browser.page(job.location)
    assert "Import 1 is undone: 1 entry lifted, 1 stays because the person asked not to be called; in force." in page
    assert [entry.lift_reason for entry in await rows(site.records, SuppressionEntry)] == ["The wrong file.", None]
    assert "The wrong file." in await browser.page("/lists/imports/1")


REQUESTS = {"number": "2", "requests": "yes"}


async def test_a_file_of_requests_is_recorded_with_its_day_and_ends_older_overrides(site: Site):
    await add_lead(site.records, ADMIN, LEAD, E164("+14155550100"))
    await suppress(site.records, ADMIN, E164("+14155550100"), source="import")
    granted = await grant_override(site.records, SUPERVISOR, consent_of(site, days=-3))
    browser = await site.person("admin")
    uploaded = await upload(browser, LIST)
    assert "own requests not to be called" in await browser.follow(uploaded)
    day = site.records.today() - timedelta(days=1)
    started = await browser.post(uploaded.location, {**REQUESTS, "asked_on": day.isoformat(), "note": "by letter"})
    await work(site)
    page = unescape(await browser.page(started.location))
    assert "3 rows: 1 added to the list, 1 already listed, 1 rejected; in force." in page
    assert f"Each number is recorded as its owner's own request of {dates.day(day)}." in page
    assert f">{dates.day(day)}</time></dd>" in page
    requests = await rows(site.records, DoNotCallRequest)
    assert [(one.number, one.asked_on, one.source, one.note) for one in requests] == [
        ("+14155550100", day, "import", "by letter"), ("+14155550101", day, "import", "by letter"),
    ]  # fmt: skip
    (override,) = await rows(site.records, Override)
    assert (override.id, override.ended_by_request) == (granted.override_id, requests[0].id)


async def test_requests_without_a_date_are_of_the_day_on_which_the_import_was_started(site: Site):
    browser = await site.person("admin")
    uploaded = await upload(browser, LIST)
    await browser.post(uploaded.location, REQUESTS)
    await work(site)
    today = site.records.today()
    assert {one.asked_on for one in await rows(site.records, DoNotCallRequest)} == {today}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"requests": "yes", "asked_on": "2999-01-01"}, "A request is dated between"),
        ({"requests": "yes", "asked_on": "1989-12-31"}, "A request is dated between"),
        ({"requests": "yes", "asked_on": "yesterday"}, "Write a day, such as 23 Nov 2026."),
        ({"asked_on": "2026-11-01"}, "A date belongs to requests"),
    ],
)
async def test_a_wrong_day_of_requests_starts_nothing(site: Site, fields: dict[str, str], said: str):
    browser = await site.person("admin")
    uploaded = await upload(browser, LIST)
    refused = await browser.post(uploaded.location, {"number": "2", **fields})
    assert (refused.status, said in refused.text.split('id="asked_on-error"')[1]) == (422, True)
    assert await rows(site.records, Job) == []


async def test_a_job_of_an_older_version_is_no_file_of_requests(site: Site):
    browser = await site.person("admin")
    uploaded = await upload(browser, LIST)
    await browser.post(uploaded.location, {"number": "2"})
    (job,) = await rows(site.records, Job)
    assert "asked_on" not in job.particulars
    await work(site)
    assert await rows(site.records, DoNotCallRequest) == []


async def test_the_numbers_of_a_file_are_lifted_after_a_preview_with_a_reason(site: Site):
    browser = await site.person("admin")
    await browser.post((await upload(browser, LIST)).location, {"number": "2"})
    await work(site)
    await record_request(site.records, ADMIN, E164("+14155550101"), source="phone")
    assert "/imports/lifts" in await browser.page("/lists/imports")
    assert "except those of people who have asked" in await browser.page("/imports/lifts")
    uploaded = await upload(browser, LIST, kind="lifts")
    preview = await browser.follow(uploaded)
    assert "1 would be lifted, 1 would stay because the person asked not to be called, such as +14155550101" in preview
    assert "and 0 are not on the list." in preview
    refused = await browser.post(uploaded.location, {"number": "2", "note": ""})
    assert (refused.status, 'id="note-error"' in refused.text) == (422, True)
    started = await browser.post(uploaded.location, {"number": "2", "note": "Sold the business."})
    await work(site)
    kept = "1 kept because the person asked not to be called (such as +14155550101)"
    counted = f"3 rows: 1 lifted, 0 not on the list, {kept}, 1 rejected; in force."
    assert counted in await browser.page(started.location)
    assert [entry.lift_reason for entry in await rows(site.records, SuppressionEntry)] == ["Sold the business.", None]
    refused = await browser.follow(await upload(browser, b"4155550100,A\n4155550101,D\n", kind="lifts"))
    assert "says A or D" in refused
    assert "Lift these numbers" not in refused


@pytest.mark.parametrize("role", ["agent", "supervisor", "auditor"])
async def test_only_an_admin_undoes_imports(site: Site, role: str):
    browser = await site.person(role)
    assert (await browser.get("/lists/imports")).status == 403
    assert (await browser.post("/lists/imports/1/undo", {"reason": "x"})).status == 403
    assert "/lists/imports" not in await browser.page("/lists")


@pytest.mark.parametrize("asked", ["0", "9" * 40, "x"])
async def test_an_import_that_is_not_there_is_no_page(site: Site, asked: str):
    browser = await site.person("admin")
    assert (await browser.get(f"/lists/imports/{asked}")).status == 404
    assert (await browser.post(f"/lists/imports/{asked}/undo", {"reason": "x"})).status == 404


async def test_leads_are_imported_the_same_way(site: Site):
    browser = await site.person("admin")
    uploaded = await upload(browser, b"id;who;tel\nL-1;One;4155550100\n", kind="leads")
    page = await browser.follow(uploaded)
    assert "The first row must name the columns" in page
    await browser.post(uploaded.location, {"lead": "1", "number": "3", "name": "2"})
    await work(site)
    assert [(lead.id, lead.number, lead.name) for lead in await rows(site.records, Lead)] == [
        ("L-1", "+14155550100", "One")
    ]


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"", "empty.csv", "The file is empty."),
        (b"PK\x03\x04rest", "list.xlsx", "save it as CSV"),
        (b"\x00\x01\x02", "list.csv", "this is either not text"),
        (b"4" * 70_000, "list.csv", "this is not a list"),
        (b"4155550100\n" * 10_000, "long.csv", "larger than 0.1 MB"),
    ],
)
async def test_a_file_that_is_no_list_is_refused_with_a_sentence_that_helps(
    database_url, redis_server, tmp_path, content, name, said
):
    async with Site(settings_of(database_url, redis_server.url, tmp_path / "data", import_mb=0.1)) as site:
        answer = await upload(await site.person("admin"), content, name)
        assert answer.status == 422
        assert said in answer.text
        assert await rows(site.records, Job) == []
        assert not list((tmp_path / "data" / "imports").glob("arriving-*"))


async def test_no_file_is_refused_with_a_sentence(site: Site):
    browser = await site.person("admin")
    answer = await browser.upload("/imports/numbers", {}, "file", None)
    assert (answer.status, "Choose the file to import." in answer.text) == (422, True)


@pytest.mark.parametrize("role", ["agent", "supervisor", "auditor"])
async def test_only_an_admin_imports_and_nobody_else_sees_an_upload_or_a_job(site: Site, role: str):
    admin, other = await site.person("admin"), await site.person(role)
    uploaded = await upload(admin, LIST)
    started = await admin.post(uploaded.location, {"number": "2"})
    assert (await upload(other, LIST)).status == 403
    for path in (uploaded.location, started.location, f"{started.location}/report", "/jobs"):
        assert (await other.get(path)).status == 403
    assert (await other.post(f"{started.location}/cancel")).status == 403


async def test_an_upload_is_seen_by_the_person_who_made_it_alone(site: Site):
    async def pieces() -> AsyncIterator[bytes]:
        yield LIST

    kept = await SheetStore.of(site.settings).keep(pieces(), "list.csv", IMPORT_NUMBERS.name, "another-admin")
    browser = await site.person("admin")
    assert (await browser.get(f"/imports/sheets/{kept.token}")).status == 404
    assert (await browser.post(f"/imports/sheets/{kept.token}", {"number": "2"})).status == 404
    assert await rows(site.records, Job) == []


async def test_an_upload_without_the_forms_token_keeps_nothing(site: Site):
    browser = await site.person("admin")
    browser.csrf = "forged"
    assert (await upload(browser, LIST)).status == 403
    assert not (site.settings.data_dir / "imports").exists()


@pytest.mark.parametrize("token", ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "0" * 32, "x", "%2e%2e"])
async def test_no_address_leads_out_of_the_directory(site: Site, token: str):
    browser = await site.person("admin")
    assert (await browser.get(f"/imports/sheets/{token}")).status == 404


async def test_the_name_of_a_file_is_shown_and_never_used(site: Site):
    browser = await site.person("admin")
    page = await browser.follow(await upload(browser, LIST, name="../../<b>x</b>.csv"))
    assert "<b>x" not in page
    assert {path.suffix for path in (site.settings.data_dir / "imports").iterdir()} == {".sheet", ".json"}


async def test_a_job_is_cancelled_once_and_shows_it(site: Site):
    browser = await site.person("admin")
    uploaded = await upload(browser, LIST)
    started = await browser.post(uploaded.location, {"number": "2"})
    cancelled = await browser.follow(await browser.post(f"{started.location}/cancel"))
    assert "Cancelled by admin." in cancelled
    again = await browser.follow(await browser.post(f"{started.location}/cancel"))
    assert "has already ended" in again
    await work(site)
    assert await rows(site.records, SuppressionEntry) == []


async def test_a_running_job_is_followed_and_can_be_read_without_scripts(site: Site):
    browser = await site.person("admin")
    uploaded = await upload(browser, LIST)
    started = await browser.post(uploaded.location, {"number": "2"})
    page = await browser.page(started.location)
    assert re.search(rf'hx-get="{started.location}/live" hx-trigger="every 1s"', page)
    live = await browser.page(f"{started.location}/live")
    assert "<html" not in live
    assert "waiting for a worker" in live


@pytest.mark.parametrize("job", ["0", "nobody", "9" * 40, "-1"])
async def test_a_job_that_is_not_there_is_no_page(site: Site, job: str):
    browser = await site.person("admin")
    assert (await browser.get(f"/jobs/{job}")).status == 404


async def test_old_sheets_that_no_open_job_names_are_swept(site: Site):
    browser = await site.person("admin")
    store = SheetStore.of(site.settings)
    await upload(browser, LIST)
    named = await upload(browser, LIST)
    await browser.post(named.location, {"number": "2"})
    assert await sweep_sheets(site.database, store, site.now() + timedelta(hours=23)) == 0
    assert await sweep_sheets(site.database, store, site.now() + timedelta(hours=25)) == 2
    await work(site)
    assert len(await rows(site.records, SuppressionEntry)) == 2
    assert await sweep_sheets(site.database, store, site.now() + timedelta(hours=25)) == 2
    assert [path.name[32:] for path in await asyncio.to_thread(lambda: list(store.directory.iterdir()))] == [
        ".rejected.csv"
    ]


async def test_a_file_goes_to_the_campaign_list_that_was_chosen_and_to_no_unknown_one(site: Site):
    browser = await site.person("admin")
    assert 'name="list"' not in await browser.follow(await upload(browser, LIST))
    await add_campaign_list(site.records, ADMIN, "spring", ["spring-26"])
    uploaded = await upload(browser, LIST)
    assert "spring: blocked only in calls of spring-26" in await browser.follow(uploaded)
    assert (await browser.post(uploaded.location, {"number": "2", "list": "summer"})).status == 404
    both = await browser.post(uploaded.location, {"number": "2", "list": "spring", "requests": "yes"})
    assert (both.status, "Requests not to be called go on the company" in both.text) == (422, True)
    started = await browser.post(uploaded.location, {"number": "2", "list": "spring"})
    await work(site)
    page = await browser.page(started.location)
    assert "2 added to spring, 0 already listed" in page
    entries = await rows(site.records, SuppressionEntry)
    assert {(entry.list_name, entry.source) for entry in entries} == {("spring", "import")}
    imports = await browser.page("/lists/imports")
    assert "list.csv" in imports


async def test_a_file_is_listed_for_a_while_by_one_date_or_by_a_column(site: Site):
    browser = await site.person("admin")
    content = b"number,expires\n4155550100,2098-06-30\n4155550101,\n"
    uploaded = await upload(browser, content)
    assert "Column 2 'expires' may say when entries end; it is not read" in unescape(await browser.follow(uploaded))
    chosen = await browser.page(f"{uploaded.location}?number=1&ends=2")
    assert "may say when entries end" not in chosen
    assert 'until <time datetime="2098-07-01T00:00:00Z"' in chosen
    fields = {"number": "1", "ends": "2", "until": "2020-01-01"}
    refused = await browser.post(uploaded.location, fields)
    assert (refused.status, "has passed" in refused.text) == (422, True)
    await browser.post(uploaded.location, {**fields, "until": "2099-12-31"})
    await work(site)
    ends = [f"{entry.ends_at:%Y-%m-%d}" for entry in await rows(site.records, SuppressionEntry)]
    assert ends == ["2098-07-01", "2100-01-01"]


async def test_several_columns_of_numbers_are_all_numbers_of_a_lead(site: Site):
    browser = await site.person("admin")
    content = b"lead,home,mobile\nL-1,4155550100,4155550101\nL-2,4155550102,\n"
    uploaded = await upload(browser, content, kind="leads")
    page = unescape(await browser.follow(uploaded))
    assert '<option value="2,3">2 and 3: all that contain numbers</option>' in page
    chosen = await browser.page(f"{uploaded.location}?lead=1&number=2,3")
    assert "+14155550100" in chosen
    assert "+14155550101" in chosen
    await browser.post(uploaded.location, {"lead": "1", "number": "2,3"})
    await work(site)
    assert [lead.number for lead in await rows(site.records, Lead)] == ["+14155550100", "+14155550102"]
    async with site.database.read() as session:
        found = {(one.lead_id, one.number, one.label) for one in await session.scalars(select(LeadNumber))}
    assert found == {("L-1", "+14155550101", "mobile")}
