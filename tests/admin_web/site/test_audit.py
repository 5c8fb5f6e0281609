"""Audit events: filtered by person, action, subject and time; shown and exported to those with the permission."""

import csv
import io
from datetime import timedelta

import pytest

from admin_web.queries.audit import AuditFilter, event_page, every_event
from admin_web.record.database import Database
from admin_web.record.models import AuditEvent
from compliance.consent import Role
from tests.support.records import AT, NUMBER
from tests.support.site import Site

SECOND = timedelta(seconds=1)


def event(place: int, action: str = "suppress", kind: str = "number", subject: str = NUMBER, by: str = "admin", **told):
    return AuditEvent(
        done_at=AT + place * SECOND, done_by=by, done_from="192.0.2.8", action=action, subject_kind=kind,
        subject_id=subject, particulars=told,
    )  # fmt: skip


async def put(database: Database, *events: AuditEvent) -> None:
    async with database.write() as session:
        for one in events:
            session.add(one)
            await session.flush()


EVENTS = (
    AuditFilter(), AuditFilter(by="admin"), AuditFilter(action="lift"),
    AuditFilter(by="supervisor", action="suppress"),
    AuditFilter(kind="number", subject=NUMBER), AuditFilter(kind="lead", subject="L-1"),
    AuditFilter(since=AT + 3 * SECOND),
    AuditFilter(until=AT + 2 * SECOND), AuditFilter(since=AT + SECOND, until=AT + 3 * SECOND), AuditFilter(by="nobody"),
)  # fmt: skip
FOUND = ([4, 3, 2, 1], [4, 2, 1], [2], [3], [3, 2, 1], [4], [4, 3], [1], [2, 1], [])


@pytest.mark.parametrize(("sought", "found"), list(zip(EVENTS, FOUND, strict=True)), ids=lambda value: repr(value)[:60])
async def test_a_filter_finds_the_events_it_names(database: Database, sought: AuditFilter, found: list[int]):
    await put(database, event(1), event(2, "lift"), event(3, by="supervisor"), event(4, "add-lead", "lead", "L-1"))
    assert [one.id for one in (await event_page(database, sought)).rows] == found


@pytest.mark.parametrize("rows", [1, 2, 5])
async def test_paging_shows_each_event_once_even_when_all_happened_in_one_moment(database: Database, rows: int):
    await put(database, *(event(1) for _ in range(5)), event(0), event(2))
    seen, behind = [], None
    while True:
        page = await event_page(database, AuditFilter(until=AT + 9 * SECOND), behind, rows)
        seen += [one.id for one in page.rows]
        if not page.next_key:
            break
        behind = page.rows[-1].place
    assert seen == [7, 5, 4, 3, 2, 1, 6]
    assert [one.id async for one in every_event(database, AuditFilter(), rows)] == seen


async def test_an_auditor_sees_who_did_what_from_where_to_which(site: Site):
    await put(site.database, event(1, list="internal", note="<b>bold</b>"))
    browser = await site.person(Role.AUDITOR)
    text = await browser.page("/audit?kind=number&subject=(415) 555-0100&by=admin")
    assert "192.0.2.8" in text
    assert "(415) 555-0100" in text
    assert "<b>bold" not in text
    assert "No event matches" in await browser.page("/audit?by=nobody")


async def test_a_subject_without_its_kind_is_asked_back(site: Site):
    answer = await (await site.person(Role.AUDITOR)).get("/audit?subject=L-1")
    assert answer.status == 422
    assert "Choose under “Done to a” what it is" in answer.text


async def test_the_export_holds_every_event_that_was_asked_for_and_no_formula(site: Site):
    await put(site.database, *(event(place, by="=1+1") for place in range(1_100)), event(1))
    answer = await (await site.person(Role.AUDITOR)).get("/audit/export?by=%3D1%2B1")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 1_100
    assert {row["by"] for row in rows} == {"'=1+1"}
    assert (await (await site.person(Role.SUPERVISOR)).get("/audit/export")).status == 403
