"""The Do-Not-Call list in the browser: search in any format, adding by everybody, lifting by admins, full export."""

import csv
import io
import re

import pytest

from admin_web.record.models import AuditEvent, SuppressionEntry
from admin_web.services.leads import add_lead
from admin_web.services.suppression import lift, suppress
from compliance.numbers import E164, LeadId
from tests.support.projection import GateView
from tests.support.records import ADMIN, rows
from tests.support.site import Site

NUMBER, OTHER, LONDON = E164("+14155550100"), E164("+14155550101"), E164("+442079460100")


@pytest.fixture
async def listed(site: Site) -> Site:
    """Three numbers, one of them lifted."""
    for number in (NUMBER, OTHER, LONDON):
        await suppress(site.records, ADMIN, number, source="list-page", note=f"asked for {number[-4:]}")
    await lift(site.records, ADMIN, OTHER, reason="It was a typing error.")
    return site


@pytest.mark.parametrize(
    ("search", "found", "not_found"),
    [
        ("(415) 555-0100", NUMBER, LONDON),
        ("415.555", NUMBER, LONDON),
        ("+1 415 555 01", OTHER, LONDON),
        ("00 44 20", LONDON, NUMBER),
        ("+44 20 7946 0100", LONDON, NUMBER),
        ("1415555", NUMBER, LONDON),
    ],
)
async def test_an_entry_is_found_by_any_spelling_of_the_number_or_its_beginning(listed: Site, search, found, not_found):
    browser = await listed.person("agent")
    page = (await browser.get("/lists?q=" + search.replace("+", "%2B").replace(" ", "+"))).text
    assert found in page
    assert not_found not in page


@pytest.mark.parametrize("search", ["nobody", "4", "%00", "'; DROP TABLE", "٤١٥٥٥٥", "%2B", "00", "9" * 500])
async def test_what_is_no_number_finds_nothing_and_breaks_nothing(listed: Site, search: str):
    browser = await listed.person("agent")
    answer = await browser.get(f"/lists?q={search}")
    assert answer.status in {200, 400}
    assert NUMBER not in answer.text


async def test_the_list_shows_what_stands_and_with_filters_what_was_lifted_when_by_whom_and_why(listed: Site):
    browser = await listed.person("auditor")
    standing = await browser.page("/lists")
    assert (NUMBER in standing, OTHER in standing) == (True, False)
    lifted = await browser.page("/lists?state=lifted")
    assert (NUMBER in lifted, OTHER in lifted) == (False, True)
    assert "It was a typing error." in lifted
    assert NUMBER not in await browser.page("/lists?state=all&by=nobody")
    assert NUMBER in await browser.page("/lists?source=list-page&by=admin")
    assert NUMBER not in await browser.page("/lists?source=import&by=admin")


@pytest.mark.exhaustive
async def test_the_list_is_paged_by_key_and_shows_every_entry_once(site: Site):
    numbers = [f"+1415555{line:04}" for line in range(120)]
    for number in numbers:
        await suppress(site.records, ADMIN, E164(number), source="list-page")
    browser = await site.person("admin")
    for start in ("/lists?", "/lists?q=415555&"):
        seen: list[str] = []
        path = start
        while path:
            page = await browser.page(path)
            seen += [line.split('"')[1] for line in page.split('<span class="number" title=')[1:]]
            after = page.split("after=")[1].split('"')[0].split("&")[0] if 'rel="next"' in page else ""
            path = f"{start}after={after}" if after else ""
        assert sorted(seen) == numbers


@pytest.mark.parametrize("role", ["agent", "supervisor", "admin"])
async def test_whoever_works_here_may_block_a_number_and_it_is_in_force_at_once(site: Site, redis_server, role: str):
    browser = await site.person(role)
    answer = await browser.post("/lists/add", {"number": "(415) 555-0100", "note": "Asked by letter."})
    page = await browser.follow(answer)
    assert "is on the list. In force now." in page
    assert "Asked by letter." in page
    assert not GateView(redis_server).allows(NUMBER)
    entry = (await rows(site.records, SuppressionEntry))[0]
    assert (entry.number, entry.source, entry.added_by) == (NUMBER, "list-page", role)


async def test_an_auditor_reads_and_exports_and_changes_nothing(listed: Site):
    browser = await listed.person("auditor")
    assert (await browser.post("/lists/add", {"number": "4155550102"})).status == 403
    entry = (await rows(listed.records, SuppressionEntry))[0]
    lifting = await browser.post(f"/lists/numbers/%2B{NUMBER[1:]}/lift", {"entry": str(entry.id), "reason": "no"})
    assert lifting.status == 403
    assert "Lift this number" not in await browser.page(f"/lists/numbers/%2B{NUMBER[1:]}")
    assert (await browser.get("/imports/numbers")).status == 403
    assert (await browser.get("/lists/export")).status == 200


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"number": "call me"}, "This is not one telephone number"),
        ({"number": ""}, "This is not one telephone number"),
        ({"number": "4155550100", "note": "x" * 2001}, "longer than 2000"),
    ],
)
async def test_what_cannot_be_added_is_said_beside_its_field_and_the_input_is_kept(site: Site, fields, said):
    browser = await site.person("agent")
    answer = await browser.post("/lists/add", fields)
    assert answer.status == 422
    assert said in answer.text
    assert fields["number"] in answer.text
    assert await rows(site.records, SuppressionEntry) == []


async def test_a_form_never_shows_digits_in_another_order(site: Site):
    browser = await site.person("agent")
    answer = await browser.post("/lists/add", {"number": "\u202e0015550514", "note": "\u200fShalom"})
    assert answer.status == 422
    assert 'value="&lt;U+202E&gt;0015550514"' in answer.text
    assert "\u200fShalom" in answer.text


async def test_before_lifting_the_page_says_which_leads_it_opens(listed: Site):
    await add_lead(listed.records, ADMIN, LeadId("L-12"), NUMBER, "Northwind Traders")
    browser = await listed.person("admin")
    page = await browser.page(f"/lists/numbers/%2B{NUMBER[1:]}")
    assert "Lifting opens 1 lead:" in page
    assert "Northwind Traders" in page
    assert "No lead has this number." in await browser.page(f"/lists/numbers/%2B{LONDON[1:]}")


async def test_lifting_needs_an_admin_and_a_reason_and_is_in_force_at_once(listed: Site, redis_server):
    path = f"/lists/numbers/%2B{NUMBER[1:]}/lift"
    entry = str((await rows(listed.records, SuppressionEntry))[0].id)
    for role in ("agent", "supervisor"):
        assert (await (await listed.person(role)).post(path, {"entry": entry, "reason": "yes"})).status == 403
    browser = await listed.person("admin")
    missing = await browser.post(path, {"entry": entry, "reason": " "})
    assert (missing.status, "The reason is missing." in missing.text) == (422, True)
    assert not GateView(redis_server).allows(NUMBER)
    page = await browser.follow(await browser.post(path, {"entry": entry, "reason": "They asked to be called."}))
    assert "is lifted. In force now." in page
    assert "They asked to be called." in page
    assert GateView(redis_server).allows(NUMBER)
    assert (await rows(listed.records, AuditEvent))[-1].action == "lift"


async def test_a_form_that_is_older_than_somebody_elses_change_lifts_nothing(listed: Site, redis_server):
    entry = (await rows(listed.records, SuppressionEntry))[0]
    await lift(listed.records, ADMIN, NUMBER, reason="first")
    await suppress(listed.records, ADMIN, NUMBER, source="wrap-up", note="Asked again on the phone.")
    browser = await listed.person("admin")
    answer = await browser.post(f"/lists/numbers/%2B{NUMBER[1:]}/lift", {"entry": str(entry.id), "reason": "late"})
    assert answer.status == 409
    assert "Somebody else has changed this entry" in answer.text
    assert "late" in answer.text
    assert not GateView(redis_server).allows(NUMBER)


async def test_an_address_that_names_no_number_is_no_page(site: Site):
    browser = await site.person("admin")
    for path in ("/lists/numbers/nobody", "/lists/numbers/12", "/lists/numbers/%27"):
        assert (await browser.get(path)).status == 404


async def test_a_number_that_was_never_listed_can_be_blocked_from_its_page(site: Site):
    browser = await site.person("agent")
    page = await browser.page("/lists/numbers/4155550100")
    assert "on no list" in page
    assert "Block this number" in page


async def test_the_export_holds_what_the_filters_ask_for_and_no_formula(site: Site):
    await suppress(site.records, ADMIN, NUMBER, source="list-page", note="=HYPERLINK(A1)")
    await suppress(site.records, ADMIN, LONDON, source="import", note="@SUM(A1)")
    browser = await site.person("auditor")
    answer = await browser.get("/lists/export?q=%2B1")
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["number"], row["note"], row["added_by"]) == (NUMBER, "'=HYPERLINK(A1)", "admin")
    whole = list(csv.DictReader(io.StringIO((await browser.get("/lists/export?state=all")).text)))
    assert [line["number"] for line in whole] == [NUMBER, LONDON]


async def test_notes_and_reasons_are_text_and_no_html(site: Site):
    await suppress(site.records, ADMIN, NUMBER, source="list-page", note="<script>alert(1)</script>")
    browser = await site.person("agent")
    for path in ("/lists", f"/lists/numbers/{NUMBER[1:]}"):
        page = await browser.page(path)
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page


async def test_a_block_while_redis_is_away_says_that_it_is_not_in_force_yet(site: Site, redis_server):
    browser = await site.person("agent")
    redis_server.running.kill()
    page = await browser.follow(await browser.post("/lists/add", {"number": "4155550100"}))
    assert "Recorded, not yet in force" in page
    assert [entry.number for entry in await rows(site.records, SuppressionEntry)] == [NUMBER]


async def test_a_number_is_blocked_for_a_while_and_every_page_shows_the_end(site: Site):
    await add_lead(site.records, ADMIN, LeadId("L-1"), E164(NUMBER))
    browser = await site.person("admin")
    page = await browser.follow(await browser.post("/lists/add", {"number": NUMBER, "until": "2099-12-31"}))
    assert "is on the list until 2100-01-01 00:00 UTC. In force now." in page
    assert "Requests not to be called" not in page
    for path in (f"/lists/numbers/%2B{NUMBER[1:]}", "/lists", "/leads/L-1"):
        assert re.search(r'ends <time datetime="2100-01-01T00:00:00Z"', await browser.page(path)), path
    (row,) = csv.DictReader(io.StringIO((await browser.get("/lists/export")).text))
    assert row["ends_at"].startswith("2100-01-01")


async def test_a_request_with_an_end_is_refused_on_the_form(site: Site):
    browser = await site.person("agent")
    both = await browser.post("/lists/add", {"number": NUMBER, "until": "2099-12-31", "asked_on": "2026-02-01"})
    assert both.status == 422
    assert "own request not to be called never ends" in both.text
    passed = await browser.post("/lists/add", {"number": NUMBER, "until": "2020-01-01"})
    assert (passed.status, "has passed" in passed.text) == (422, True)
    assert await rows(site.records, SuppressionEntry) == []
    await browser.post("/lists/add", {"number": NUMBER})
    page = await browser.follow(await browser.post("/lists/add", {"number": NUMBER, "until": "2099-12-31"}))
    assert "stays on the list: it is listed without an end, or the person has asked not to be called." in page
    assert "Last day of the block" not in page
