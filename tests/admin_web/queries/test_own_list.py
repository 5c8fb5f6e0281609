"""The list page finds every entry by source, person, state and number, whoever or whatever made it."""

import io
from itertools import product
from pathlib import Path

import pytest

from admin_web.lists.export import export_numbers
from admin_web.lists.imports import Intake
from admin_web.lists.number_import import import_numbers
from admin_web.lists.report import RejectedRows
from admin_web.lists.sheet import Sheet
from admin_web.queries.campaign_lists import all_campaign_lists
from admin_web.queries.lead import lead_page
from admin_web.queries.lists import EntryState, ListEntry, ListFilter, entries, entries_of, every_entry
from admin_web.queries.paging import read_key
from admin_web.record.changes import Records
from admin_web.services.campaign_lists import add_campaign_list, add_to_list, lift_from_list
from admin_web.services.leads import add_lead
from admin_web.services.suppression import lift, suppress
from admin_web.services.undoing import undo_import
from compliance.numbers import E164
from tests.support.plans import plans_of, statements_of
from tests.support.records import ADMIN, LEAD, NUMBER, SUPERVISOR


async def imported(records: Records, path: Path, lines: range, note: str = "", actor=ADMIN) -> int:
    raw = "".join(f"415555{line:04}\n" for line in lines).encode()
    sheet = Sheet(io.BufferedReader(io.BytesIO(raw)), "list.csv", len(raw))
    with RejectedRows(path / "rejected.csv") as report:
        into = Intake(records, actor, lambda _: None)
        return (await import_numbers(into, sheet, report, region="US", note=note)).import_id


async def paged(records: Records, sought: ListFilter, rows: int) -> list[ListEntry]:
    """Return the entries of all pages."""
    found: list[ListEntry] = []
    key = None
    while True:
        page = await entries(records.database, sought, after=key, rows=rows)
        found += page.rows
        if not page.next_key:
            return found
        key = read_key(page.next_key, *sought.key_types)


@pytest.mark.exhaustive
async def test_every_filter_finds_what_looking_at_every_entry_finds(records: Records, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("admin_web.queries.lists.FIRST_PART", 2)
    await suppress(records, ADMIN, E164("+14155550001"), source="phone")
    first = await imported(records, tmp_path, range(10, 17))
    await suppress(records, SUPERVISOR, E164("+14155550002"), source="import")
    await imported(records, tmp_path, range(15, 22), actor=SUPERVISOR)
    await suppress(records, SUPERVISOR, E164("+14155550003"), source="phone")
    await imported(records, tmp_path, range(20, 25))
    await lift(records, ADMIN, E164("+14155550020"), reason="x")
    await undo_import(records, ADMIN, first, reason="x")
    await suppress(records, ADMIN, E164("+14155550011"), source="phone")
    everything = [entry async for entry in every_entry(records.database, ListFilter(state=None))]
    assert len(everything) == 19
    for state, source, by, beginning in product(
        (None, *EntryState), ("", "import", "phone", "none"), ("", "admin", "supervisor", "none"), ("", "+141555500")
    ):
        sought = ListFilter("415" if beginning else "", beginning, state, source, by)
        wanted = [
            entry
            for entry in everything
            if state in {None, EntryState.LIFTED if entry.lifted_at else EntryState.STANDING}
            and (not source or entry.source == source)
            and (not by or entry.added_by == by)
        ]
        order = (lambda entry: (entry.number, entry.id)) if beginning else (lambda entry: -entry.id)
        for rows in (1, 3, 50):
            assert await paged(records, sought, rows) == sorted(wanted, key=order), (sought, rows)


async def test_an_import_whose_numbers_were_listed_again_is_not_read_as_a_whole(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("admin_web.queries.lists.FIRST_PART", 1)
    for _ in range(2):
        await imported(records, tmp_path, range(10, 310))

    async def work() -> None:
        page = await entries(records.database, ListFilter(source="import"), after=(200,), rows=3)
        assert [entry.id for entry in page.rows] == [199, 198, 197]

    asked = [statement for statement, _ in await statements_of(records.database, work)]
    # One for the entries of no import, and two for the parts of the import that reach back to the last entry found.
    assert sum("FROM suppression_entries" in statement for statement in asked) == 3


async def listed_by_campaign(records: Records, tmp_path: Path) -> None:
    """Put some numbers on two campaign lists, between others on the company's own list."""
    await imported(records, tmp_path, range(10, 17))
    for name in ("autumn", "spring"):
        await add_campaign_list(records, ADMIN, name, [name])
    for line in range(12, 16):
        await add_to_list(records, ADMIN, "spring", E164(f"+141555500{line}"), source="phone")
    await add_to_list(records, ADMIN, "autumn", E164("+14155550013"), source="phone")
    await lift_from_list(records, ADMIN, "spring", E164("+14155550012"), reason="x")
    await suppress(records, ADMIN, E164("+14155550001"), source="phone")


async def test_the_entries_of_a_campaign_list_are_found_among_those_of_other_lists(records: Records, tmp_path: Path):
    await listed_by_campaign(records, tmp_path)
    everything = [entry async for entry in every_entry(records.database, ListFilter(state=None))]
    for name, state, source in product(("internal", "autumn", "spring", "none"), (None, *EntryState), ("", "phone")):
        wanted = [
            entry
            for entry in everything
            if entry.list_name == name
            and state in {None, EntryState.LIFTED if entry.lifted_at else EntryState.STANDING}
            and source in {"", entry.source}
        ]
        sought = ListFilter(state=state, source=source, list_name=name)
        for rows in (1, 50):
            assert await paged(records, sought, rows) == sorted(wanted, key=lambda entry: -entry.id), (sought, rows)
    counted = {one.name: one.numbers for one in await all_campaign_lists(records.database)}
    assert counted == {"autumn": 1, "spring": 3}


async def test_a_campaign_list_is_found_and_counted_without_reading_the_companys_own_list(
    records: Records, tmp_path: Path
):
    await listed_by_campaign(records, tmp_path)
    for work in (
        lambda: all_campaign_lists(records.database),
        lambda: entries(records.database, ListFilter(list_name="spring")),
        lambda: entries(records.database, ListFilter(list_name="spring", state=None)),
        lambda: entries(records.database, ListFilter(list_name="spring", source="import")),
    ):
        for plan in await plans_of(records.database, work):
            assert "suppression_entries" not in plan or "ix_suppression_entries_" in plan, plan


async def test_the_note_of_an_import_is_the_note_of_each_of_its_entries(records: Records, tmp_path: Path):
    await add_lead(records, ADMIN, LEAD, NUMBER)
    await imported(records, tmp_path, range(100, 102), note="=sum, of November")
    await lift(records, ADMIN, NUMBER, reason="x")
    await imported(records, tmp_path, range(100, 101))
    async with records.database.read() as session:
        assert [entry.note for entry in await entries_of(session, NUMBER)] == ["from list.csv", "=sum, of November"]
    page = await lead_page(records.database, LEAD, records.now())
    assert page is not None
    assert [listing.note for listing in page.listings] == ["from list.csv"]
    assert [entry.text for entry in page.timeline if entry.kind == "listed"] == ["from list.csv", "=sum, of November"]
    out = io.StringIO(newline="")
    await export_numbers(records.database, out, lifted=True)
    assert out.getvalue().count('"\'=sum, of November"') == 2
