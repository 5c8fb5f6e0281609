"""Undoing an import lifts the entries that it made, and no number whose person has asked not to be called."""

import asyncio
from datetime import timedelta

import pytest

from admin_web.lists.imports import Intake
from admin_web.lists.number_import import import_numbers
from admin_web.lists.report import RejectedRows
from admin_web.lists.sheet import Sheet
from admin_web.record.changes import Records
from admin_web.record.models import AuditEvent, Job, ListImport, SuppressionEntry, Webhook, WebhookDelivery
from admin_web.services.campaign_lists import add_campaign_list, add_to_list
from admin_web.services.ends import list_again
from admin_web.services.importing import add_entries_within
from admin_web.services.requests import Request, record_request, record_requests, request_within, withdraw_request
from admin_web.services.suppression import CHUNK, suppress, suppress_many
from admin_web.services.undoing import (
    ImportUnderWay,
    Undone,
    UnknownImport,
    imports_on_record,
    one_import,
    undo_import,
)
from admin_web.webhooks.events import Event
from compliance.numbers import E164
from compliance.refusal import NotPermitted, Unwritable
from tests.support.locks import waiting_for_a_lock
from tests.support.plans import plans_of
from tests.support.records import ADMIN, AT, SUPERVISOR, rows

A, B, C, D = (E164(f"+1415555010{line}") for line in range(4))


class Importer:
    """Imports numbers from files in a directory."""

    def __init__(self, records: Records, directory) -> None:
        self.records, self.directory = records, directory

    async def take(self, *numbers: str, name: str = "list.txt") -> int:
        """Import numbers and return the id of the import."""
        path = self.directory / name
        path.write_text("".join(f"{number}\n" for number in numbers))
        with Sheet.open(str(path)) as sheet, RejectedRows(self.directory / "rejected.csv") as report:
            into = Intake(self.records, ADMIN, lambda _: None)
            return (await import_numbers(into, sheet, report, region="US")).import_id


@pytest.fixture
def importer(records: Records, tmp_path) -> Importer:
    return Importer(records, tmp_path)


async def listed(records: Records) -> list[str]:
    return [entry.number for entry in await rows(records, SuppressionEntry) if entry.lifted_at is None]


async def test_only_the_entries_that_the_import_made_are_lifted(records: Records, importer: Importer):
    await suppress(records, ADMIN, A, source="phone")
    first = await importer.take(A, B)
    second = await importer.take(C, name="other.txt")
    done = await undo_import(records, ADMIN, first, reason="The wrong file.")
    assert (done.lifted, done.kept, done.standing.in_force) == (1, 0, True)
    assert await listed(records) == [A, C]
    (lifted,) = [entry for entry in await rows(records, SuppressionEntry) if entry.lifted_at]
    assert (lifted.number, lifted.lifted_by, lifted.lift_reason) == (B, "admin", "The wrong file.")
    assert [one.id for one in await imports_on_record(records.database)] == [second, first]


async def by_file(records: Records, importer: Importer) -> None:
    await importer.take(B, C, name="other.txt")


async def until_tomorrow(records: Records, importer: Importer) -> None:
    await suppress(records, ADMIN, B, source="phone", ends_at=AT + timedelta(days=1))


async def many_until_tomorrow(records: Records, importer: Importer) -> None:
    await suppress_many(records, ADMIN, [B, C], source="crm", ends_at=AT + timedelta(days=1))


async def many_without_an_end(records: Records, importer: Importer) -> None:
    await suppress_many(records, ADMIN, [B, C], source="crm")


async def without_an_end(records: Records, importer: Importer) -> None:
    await suppress(records, ADMIN, B, source="phone")


@pytest.mark.parametrize("again", [by_file, until_tomorrow, many_until_tomorrow, without_an_end])
async def test_a_number_that_was_listed_again_meanwhile_stays_with_the_note_of_its_import(
    records: Records, importer: Importer, again
):
    first = await importer.take(A, B)
    await again(records, importer)
    assert (await one_import(records.database, first)).standing == 1
    assert (await undo_import(records, ADMIN, first, reason="The wrong file.")).lifted == 1
    (entry,) = [one for one in await rows(records, SuppressionEntry) if one.number == B]
    assert (entry.lifted_at, entry.note, entry.added_by) == (None, "from list.txt", "admin")
    assert (entry.ends_at, entry.extended_at) == (None, None)


@pytest.mark.parametrize(("again", "module"), [(by_file, "importing"), (many_without_an_end, "suppression")])
async def test_a_number_that_is_listed_again_while_its_import_is_undone_stays(
    records: Records, importer: Importer, monkeypatch: pytest.MonkeyPatch, again, module: str
):
    first = await importer.take(A, B)
    undoings: list[asyncio.Task[Undone]] = []

    async def late(*given, **named) -> None:
        """Begin the undoing after the number was found on the list, and before its entry leaves the import."""
        undoings.append(asyncio.create_task(undo_import(records, ADMIN, first, reason="x")))
        await waiting_for_a_lock(records, undoings[0])
        await list_again(*given, **named)

    monkeypatch.setattr(f"admin_web.services.{module}.list_again", late)
    await again(records, importer)
    (undoing,) = undoings
    assert (await undoing).lifted == 1
    assert await listed(records) == [B, C]


async def test_an_undoing_and_a_change_of_two_numbers_do_not_wait_for_each_other(records: Records, importer: Importer):
    made = await importer.take(B)
    async with records.change(ADMIN) as change:
        await add_entries_within(change, made, [A])
    async with records.change(ADMIN) as change:
        await request_within(change, A, Request("phone", AT.date()))
        undoing = asyncio.create_task(undo_import(records, ADMIN, made, reason="x"))
        await waiting_for_a_lock(records, undoing)
        await request_within(change, B, Request("phone", AT.date()))
    done = await undoing
    assert (done.lifted, done.kept) == (0, 2)


async def test_the_same_import_or_one_to_another_list_takes_no_entry_from_an_import(
    records: Records, importer: Importer
):
    first = await importer.take(A, B)
    await add_campaign_list(records, ADMIN, "spring", ["spring"])
    await add_to_list(records, ADMIN, "spring", B, source="phone")
    async with records.change(ADMIN) as change:
        assert await add_entries_within(change, first, [A, B, C]) == 1
    assert (await undo_import(records, ADMIN, first, reason="x")).lifted == 3
    assert await listed(records) == [B]


async def test_the_preview_of_an_undoing_reads_the_entries_of_its_import_and_no_others(
    records: Records, importer: Importer
):
    made = await importer.take(A, B)
    await importer.take(C, D)
    plans = await plans_of(records.database, lambda: one_import(records.database, made))
    counting = [plan for plan in plans if "suppression_entries" in plan]
    # PostgreSQL chooses an index by the size of the table, which is small here.
    by_ids = "USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" if records.database.on_sqlite else "(id >= "
    assert len(counting) == 2
    assert all(by_ids in plan for plan in counting), counting
    found = await one_import(records.database, made)
    assert (found.standing, found.requested) == (2, 0)


async def test_a_number_whose_person_asked_stays_until_the_request_is_withdrawn(records: Records, importer: Importer):
    made = await importer.take(A, B, C, D)
    asked = await record_request(records, ADMIN, B, source="phone")
    await record_requests(records, ADMIN, [C], source="api")
    found = await one_import(records.database, made)
    assert (found.standing, found.requested) == (4, 2)
    done = await undo_import(records, ADMIN, made, reason="x")
    assert (done.lifted, done.kept) == (2, 2)
    assert await listed(records) == [B, C]
    await withdraw_request(records, ADMIN, asked.request_id, reason="A slip.")
    again = await undo_import(records, ADMIN, made, reason="y")
    assert (again.lifted, again.kept) == (1, 1)
    assert await listed(records) == [C]
    undone = [event.particulars["reason"] for event in await rows(records, AuditEvent) if event.action == "undo-import"]
    assert undone == ["x", "y"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions that lift up to CHUNK entries."""
    monkeypatch.setattr("admin_web.services.undoing.ENTRIES_AT_ONCE", CHUNK)


@pytest.mark.usefixtures("small")
async def test_one_audit_event_names_the_import_its_file_and_the_reason(records: Records, importer: Importer):
    made = await importer.take(*(f"+1415{line + 5_550_000}" for line in range(2 * CHUNK + 5)))
    seen: list[int] = []
    done = await undo_import(records, ADMIN, made, reason="The wrong file.", on_progress=seen.append)
    assert (done.lifted, seen) == (2 * CHUNK + 5, [CHUNK, 2 * CHUNK, 2 * CHUNK + 5])
    (event,) = [event for event in await rows(records, AuditEvent) if event.action == "undo-import"]
    assert (event.action, event.subject_id, event.done_by) == ("undo-import", str(made), "admin")
    assert event.particulars == {"list": "internal", "file": "list.txt", "reason": "The wrong file."}
    (row,) = await rows(records, ListImport)
    assert (row.imported_by, row.undone_at, row.undone_by, row.undo_reason) == ("admin", AT, "admin", "The wrong file.")


async def test_webhooks_are_sent_every_number_that_an_undoing_lifts(records: Records, importer: Importer):
    made = await importer.take(*(f"+1415{line + 5_550_000}" for line in range(CHUNK + 5)))
    await record_request(records, ADMIN, E164("+14155550003"), source="phone")
    async with records.database.write() as session:
        session.add(Webhook(url="https://x.test", secret="x", events=[Event.LIFT], created_at=AT, created_by="x"))
    await undo_import(records, ADMIN, made, reason="x")
    sent = [delivery.body["data"]["numbers"] for delivery in await rows(records, WebhookDelivery)]
    assert sorted(map(len, sent)) == [4, CHUNK]
    lifted = {entry.number for entry in await rows(records, SuppressionEntry) if entry.lifted_at}
    assert {number for some in sent for number in some} == lifted


@pytest.mark.usefixtures("small")
async def test_an_undoing_that_was_cut_short_is_completed_by_another_one(records: Records, importer: Importer):
    made = await importer.take(*(f"+1415{line + 5_550_000}" for line in range(CHUNK + 5)))

    def killed(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await undo_import(records, ADMIN, made, reason="x", on_progress=killed)
    assert len(await listed(records)) == 5
    assert (await undo_import(records, ADMIN, made, reason="x")).lifted == 5
    assert await listed(records) == []
    assert [event.action for event in await rows(records, AuditEvent)].count("undo-import") == 1


async def test_a_number_that_was_listed_again_since_stays_listed(records: Records, importer: Importer):
    made = await importer.take(A)
    await undo_import(records, ADMIN, made, reason="x")
    await suppress(records, ADMIN, A, source="phone")
    assert (await undo_import(records, ADMIN, made, reason="x")).lifted == 0
    assert await listed(records) == [A]


async def test_an_import_that_listed_nothing_new_can_be_undone_too(records: Records, importer: Importer):
    await suppress_many(records, ADMIN, [A, B], source="phone")
    done = await undo_import(records, ADMIN, await importer.take(A, B), reason="x")
    assert (done.lifted, await listed(records)) == (0, [A, B])


async def test_undoing_needs_an_admin_a_reason_and_an_import_that_is_over(records: Records, importer: Importer):
    made = await importer.take(A)
    with pytest.raises(NotPermitted):
        await undo_import(records, SUPERVISOR, made, reason="x")
    with pytest.raises(Unwritable):
        await undo_import(records, ADMIN, made, reason=" ")
    with pytest.raises(UnknownImport):
        await undo_import(records, ADMIN, made + 1, reason="x")
    async with records.database.write() as session:
        session.add(
            Job(
                kind="import-numbers",
                particulars={},
                progress={},
                place={"import_id": made},
                asked_at=AT,
                asked_by="admin",
                asked_from="",
            )
        )
    with pytest.raises(ImportUnderWay):
        await undo_import(records, ADMIN, made, reason="x")
    assert await listed(records) == [A]
    assert (await rows(records, ListImport))[0].undone_at is None


async def test_a_request_at_the_same_time_always_leaves_its_number_listed(records: Records, importer: Importer):
    numbers = [E164(f"+1415{line + 5_550_000}") for line in range(300)]
    made = await importer.take(*numbers)
    asked = numbers[::7]
    single = [record_request(records, ADMIN, number, source="phone") for number in asked[:20]]
    await asyncio.gather(
        *single,
        undo_import(records, ADMIN, made, reason="x"),
        record_requests(records, ADMIN, asked[20:], source="api"),
    )
    assert set(asked) <= set(await listed(records))
