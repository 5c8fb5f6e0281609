"""The page of the call log, and its export."""

import csv
import io
import json
from datetime import timedelta

import pytest

from admin_web.record.models import CdrFile, Lead
from compliance.consent import Role
from tests.support.call_log import SECOND, decision, put, record
from tests.support.records import AT, NUMBER, OTHER
from tests.support.site import Site

SCRIPT = "<script>alert(1)</script>"


def cells(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


async def test_an_unscreened_call_stands_in_red_with_its_count_on_top(site: Site):
    await put(site.database, decision(1), record(2, unscreened=True), record(3, unscreened=True))
    text = await (await site.person(Role.AUDITOR)).page("/calls")
    assert "2 calls left the PBX unscreened" in text
    assert text.count('class="unscreened"') == 2
    alone = await (await site.person(Role.AUDITOR)).page("/calls?verdict=unscreened")
    assert "pbx-1.1" not in alone
    assert alone.count('class="unscreened"') == 2


async def test_silence_about_unscreened_calls_is_no_all_clear(site: Site):
    browser = await site.person(Role.AUDITOR)
    assert "is not known" in await browser.page("/calls")
    await put(site.database, CdrFile(path="/cdr.csv", inode=1, position=9, head="", unreadable=0, read_at=AT))
    assert "No call left the PBX unscreened" in await browser.page("/calls")


async def test_the_log_says_that_the_file_of_call_records_was_lost(site: Site):
    browser = await site.person(Role.AUDITOR)
    read = CdrFile(path="/cdr.csv", inode=1, position=9, head="", unreadable=0, read_at=site.now())
    await put(site.database, read)
    assert "file lost" not in await browser.page("/calls")
    await put(site.database, CdrFile(path="/b.csv", inode=1, position=9, head="", read_at=AT, lost_at=site.now()))
    assert "file lost" in await browser.page("/calls")


async def test_an_allowed_call_without_a_record_of_the_pbx_is_marked_once_the_record_is_due(site: Site):
    named = record(2, decision_id=decision(2).id, verdict="ALLOW", reason="not-listed")
    await put(site.database, record(0, at=AT), decision(1), decision(2), named)
    read = CdrFile(path="/cdr.csv", inode=1, position=9, head="", unreadable=0, read_at=AT + timedelta(minutes=10))
    await put(site.database, read)
    browser = await site.person(Role.AUDITOR)
    assert "no call record" not in await browser.page("/calls"), "the call may still last"
    async with site.database.write() as session:
        (await session.merge(read)).read_at = AT + timedelta(hours=1)
    assert (await browser.page("/calls")).count("no call record") == 1


async def test_a_number_is_found_in_any_spelling_and_one_that_is_none_is_said_to_be(site: Site):
    await put(site.database, decision(1), decision(2, number=OTHER, dialed="4155550101"))
    browser = await site.person(Role.SUPERVISOR)
    for spelling in ("(415) 555-0100", "415.555.0100", "%2B1 415 555 0100"):
        text = await browser.page(f"/calls?number={spelling}")
        assert f"/calls/{decision(1).id}" in text
        assert f"/calls/{decision(2).id}" not in text
    wrong = await browser.get("/calls?number=northwind")
    assert wrong.status == 422
    assert "not one telephone number" in wrong.text
    assert 'value="northwind"' in wrong.text
    assert f"/calls/{decision(1).id}" not in wrong.text


async def test_pages_follow_each_other_with_the_filter_kept(site: Site):
    await put(site.database, *(decision(place, lead="L-1" if place % 2 else "") for place in range(120)))
    browser = await site.person(Role.AUDITOR)
    first = await browser.page("/calls?lead=L-1")
    assert first.count('scope="row"') == 50
    link = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    second = await browser.page(f"/calls{link}")
    assert second.count('scope="row"') == 10
    assert 'rel="next"' not in second


@pytest.mark.parametrize("after", ["x", "W10", "bm9uc2Vuc2U", "a" * 600])
async def test_a_made_up_place_is_the_first_page(site: Site, after: str):
    await put(site.database, decision(1))
    assert f"/calls/{decision(1).id}" in await (await site.person(Role.AUDITOR)).page(f"/calls?after={after}")


@pytest.mark.parametrize(
    "query", ["since=yesterday", "until=2026-99-99", "since=0001-01-01T00:00%2B14:00", "until=9999-12-31", "number=415"]
)
async def test_a_filter_that_cannot_be_read_exports_nothing_instead_of_everything(site: Site, query: str):
    browser = await site.person(Role.AUDITOR)
    for ending in ("csv", "jsonl"):
        assert (await browser.get(f"/calls/export.{ending}?{query}")).status == 400
    assert (await browser.get(f"/calls?{query}")).status == 422


async def test_a_call_is_explained_and_a_stranger_s_text_stays_text(site: Site):
    await put(
        site.database,
        Lead(id="L-1", name=SCRIPT, number=NUMBER, created_at=AT, created_by="test"),
        decision(1, lead="L-1", verdict="BLOCK", reason="internal-dnc", dialed=SCRIPT, agent="agent1"),
        record(1, decision_id=decision(1).id, verdict="BLOCK", source=SCRIPT),
    )
    browser = await site.person(Role.AUDITOR)
    text = await browser.page(f"/calls/{decision(1).id}")
    # The page explains the reason in a sentence.
    assert "company&#39;s own Do-Not-Call list" in text
    assert "agent1" in text
    for page in (text, await browser.page("/calls")):
        assert SCRIPT not in page
        assert "&lt;script&gt;" in page


async def test_the_campaign_of_a_call_stands_in_the_log_on_its_page_and_in_the_exports(site: Site):
    await put(site.database, decision(1, campaign="Spring_2027"), decision(2))
    browser = await site.person(Role.ADMIN)
    assert (await browser.page("/calls")).count("campaign Spring_2027") == 1
    assert "Spring_2027" in await browser.page(f"/calls/{decision(1).id}")
    assert "so no registry was left out" in await browser.page(f"/calls/{decision(2).id}")
    rows = cells((await browser.get("/calls/export.csv")).text)
    lines = list(map(json.loads, (await browser.get("/calls/export.jsonl")).text.splitlines()))
    assert [row["campaign"] for row in rows] == [line["campaign"] for line in lines] == ["", "Spring_2027"]


async def test_a_call_without_a_decision_has_its_page(site: Site):
    await put(
        site.database,
        record(1, unscreened=True, destination="94155550100"),
        record(2, verdict="BLOCK", reason="gate-silent"),
    )
    browser = await site.person(Role.SUPERVISOR)
    assert "This call left the PBX" in await browser.page("/calls/records/1")
    assert "The gate gave no answer in time." in await browser.page("/calls/records/2")
    assert (await browser.get("/calls/records/3")).status == 404
    assert (await browser.get("/calls/no-such-decision")).status == 404


async def test_the_csv_export_holds_every_call_and_no_formula(site: Site):
    await put(
        site.database,
        Lead(id="L-1", name="=cmd|' /C calc'!A0", number=NUMBER, created_at=AT, created_by="test"),
        *(decision(place, lead="L-1", dialed="@SUM(1)") for place in range(1_200)),
        record(3_000, unscreened=True, destination="-1"),
    )
    answer = await (await site.person(Role.AUDITOR)).get("/calls/export.csv")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="calls-')
    rows = cells(answer.text)
    assert len(rows) == 1_201
    assert len({row["decision"] for row in rows}) == 1_201
    assert (rows[0]["verdict"], rows[0]["dialed"]) == ("unscreened", "'-1")
    assert (rows[1]["lead_name"], rows[1]["dialed"]) == ("'=cmd|' /C calc'!A0", "'@SUM(1)")
    assert (rows[1]["number"], rows[1]["at"]) == (NUMBER, "2026-03-01T12:19:59+00:00")


async def test_the_json_lines_export_follows_the_filter(site: Site):
    await put(
        site.database,
        decision(1),
        decision(2, verdict="BLOCK", reason="internal-dnc"),
        record(2, decision_id=decision(2).id),
    )
    answer = await (await site.person(Role.ADMIN)).get("/calls/export.jsonl?verdict=BLOCK")
    (line,) = map(json.loads, answer.text.splitlines())
    assert (line["decision"], line["reason"], line["disposition"]) == (decision(2).id, "internal-dnc", "ANSWERED")


async def test_who_may_not_see_or_take_calls_away_gets_none(site: Site):
    await put(site.database, decision(1))
    for role, path in (
        (Role.AGENT, "/calls"), (Role.AGENT, f"/calls/{decision(1).id}"), (Role.AGENT, "/calls/export.csv"),
        (Role.SUPERVISOR, "/calls/export.csv"), (Role.SUPERVISOR, "/calls/export.jsonl"), (Role.SUPERVISOR, "/audit"),
    ):  # fmt: skip
        assert (await (await site.person(role)).get(path)).status == 403, (role, path)


async def test_a_period_is_from_its_first_moment_to_before_its_last(site: Site):
    day = AT.replace(hour=0)
    await put(site.database, decision(1, day), decision(2, day - SECOND), decision(3, day + timedelta(days=1) - SECOND),
              decision(4, day + timedelta(days=1)))  # fmt: skip
    text = await (await site.person(Role.AUDITOR)).page("/calls?since=2026-03-01&until=2026-03-01")
    assert [place for place in range(1, 5) if f"/calls/{decision(place).id}" in text] == [1, 3]
