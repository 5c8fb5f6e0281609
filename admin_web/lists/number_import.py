"""Import of a sheet of numbers to the company's own list, or to a campaign list."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from itertools import chain, islice

from admin_web.lists.columns import SAMPLE, NoColumn
from admin_web.lists.deeds import is_added
from admin_web.lists.imports import Import, Intake, Progress, Recorded, require_some, take_in
from admin_web.lists.layout import Layout, RowRejected
from admin_web.lists.report import RejectedRows
from admin_web.lists.sheet import Sheet, SheetRow
from admin_web.lists.unread import Unread
from admin_web.record.changes import Change
from admin_web.services.campaign_lists import require_own_list
from admin_web.services.importing import (
    ENTRIES_AT_ONCE,
    SOURCE,
    add_entries_within,
    begin_import,
    count_within,
    end_import,
)
from admin_web.services.requests import Request, requests_within
from compliance.numbers import E164
from compliance.redis_schema import INTERNAL

WINDOW = 100_000
"""Maximum number of telephone numbers that are read, and put in order, at a time. They take about 10 MB of memory."""


async def import_numbers(
    into: Intake,
    sheet: Sheet,
    report: RejectedRows,
    *,
    region: str,
    columns: Sequence[str] = (),
    note: str = "",
    asked_on: date | None = None,
    list_name: str = INTERNAL,
) -> Progress:
    """Put the numbers of a sheet on a list.

    `columns` are as in `number_columns`. Without them, every column of telephone numbers is read: a number too many on
    the list blocks a call, and a number too few lets one pass.

    With `asked_on`, each number is recorded as its owner's own request of that day, which ends older overrides, and the
    list is the company's own.

    Raises NotASheet, NothingTaken, UnknownList, DatabaseUnavailable, OSError.
    """
    rows = iter(sheet)
    sample = list(islice(rows, SAMPLE))
    layout = layout_of_numbers(sample, columns, region)
    several = "" if columns else layout.several()
    for said in filter(None, (several, layout.joined(), layout.not_read(layout.others))):
        into.warn(said)

    said = note or f"from {sheet.name}"

    async def begin(change: Change) -> int:
        await require_own_list(change, list_name)
        return await begin_import(change, sheet.name, said, list_name)

    async def count(change: Change, done: Progress) -> None:
        counts = {"added": done.added, "already": done.already, "rejected": done.rejected}
        await count_within(change, done.import_id, read=done.rows, **counts)

    async def request(change: Change, numbers: Sequence[E164], import_id: int) -> Recorded:
        del import_id  # A person's own request is never undone with an import.
        day = asked_on or into.records.today()
        return Recorded((await requests_within(change, numbers, Request(SOURCE, day, said), audited=False))[0])

    async def put(change: Change, numbers: Sequence[E164], import_id: int) -> Recorded:
        return Recorded(await add_entries_within(change, import_id, numbers, list_name=list_name))

    def read(cells: Sequence[str]) -> tuple[Sequence[E164], RowRejected | None]:
        return read_row(layout, cells)

    unread = Unread(layout)
    coming = unread.watched(chain(sample[layout.skipped :], rows))
    work = Import(read, put, len(layout.columns), begin, count, WINDOW, ENTRIES_AT_ONCE, in_order)
    if asked_on is not None:
        work = Import(read, request, len(layout.columns), begin, count)
    done = await take_in(coming, work, report, into)
    require_some(done, sheet, layout, report)
    await end_import(into.records, into.actor, done.import_id, sheet.sha256)
    return replace(done, not_read=unread.said(), unread=bool(unread.others or layout.split))


def in_order(numbers: list[E164]) -> list[E164]:
    """Return the numbers without duplicates, in their order.

    Neighbours are in the same page of the database's index, and in the same set of Redis. In the order of a file, each
    number would change a page of its own.
    """
    return sorted(set(numbers))


def layout_of_numbers(sample: Sequence[SheetRow], columns: Sequence[str], region: str) -> Layout:
    """Recognise the layout of a sheet for the own list. Raises NoColumn, also for a file of changes with deletions."""
    layout = Layout.found(sample, columns, region, several=True)
    data = [row.cells for row in sample[layout.skipped :] if row.cells]
    place = layout.deed
    if place is not None and any(len(cells) > place and is_added(cells[place]) is False for cells in data):
        name = layout.name(place)
        raise NoColumn(
            f"{name[0].upper()}{name[1:]} says A or D, for added and deleted numbers. The company's own list is only "
            "added to: remove the rows with D and this column from the file, and lift those numbers one by one."
        )
    return layout


def read_row(layout: Layout, cells: Sequence[str]) -> tuple[Sequence[E164], RowRejected | None]:
    """Return the numbers of a row that are to be listed, and why it is rejected, if it is."""
    if layout.deed is None:
        return layout.read(cells)
    try:
        added = layout.added(cells)
    except RowRejected as rejected:
        return (), rejected
    if added:
        return layout.read(cells)
    return (), RowRejected("deleted", "the row says D, for deleted; an import never takes a number off the list")
