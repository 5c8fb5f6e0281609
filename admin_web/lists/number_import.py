"""Import of a sheet of numbers to the company's own list, or to a campaign list."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from itertools import chain, islice
from typing import NamedTuple

from admin_web.lists.columns import SAMPLE, NoColumn
from admin_web.lists.deeds import is_added
from admin_web.lists.import_kind import Import, Recorded
from admin_web.lists.imports import Intake, require_some, take_in
from admin_web.lists.layout import Layout, RowRejected
from admin_web.lists.progress import Progress
from admin_web.lists.report import RejectedRows
from admin_web.lists.row_ends import NO_ENDS, EndsAsked, Listed, RowEnds, ends_not_read
from admin_web.lists.sheet import Sheet, SheetRow
from admin_web.lists.unread import Unread
from admin_web.record.changes import Change
from admin_web.services.campaign_lists import require_own_list
from admin_web.services.importing import (
    ENTRIES_AT_ONCE,
    SOURCE,
    add_each_within,
    add_entries_within,
    begin_import,
    count_within,
    end_import,
)
from admin_web.services.requests import Request, requests_within
from compliance.ends import later, request_with_end, require_to_come
from compliance.numbers import E164
from compliance.redis_schema import INTERNAL

WINDOW = 100_000
"""Maximum number of telephone numbers that are read, and put in order, at a time. They take about 10 MB of memory."""


async def import_numbers(  # noqa: PLR0913 - each is a choice of the person who imports
    into: Intake,
    sheet: Sheet,
    report: RejectedRows,
    *,
    region: str,
    columns: Sequence[str] = (),
    note: str = "",
    asked_on: date | None = None,
    list_name: str = INTERNAL,
    ends: EndsAsked = NO_ENDS,
) -> Progress:
    """Put the numbers of a sheet on a list.

    `columns` are as in `number_columns`. Without them, every column of telephone numbers is read: a number too many on
    the list blocks a call, and a number too few lets one pass.

    With `asked_on`, each number is recorded as its owner's own request of that day, which ends older overrides, and the
    list is the company's own. Such entries have no end.

    Raises NotASheet, NothingTaken, UnknownList, EndRefused, DatabaseUnavailable, OSError.
    """
    ends = _checked_ends(ends, asked_on, into.records.now())
    rows = iter(sheet)
    sample = list(islice(rows, SAMPLE))
    reader = NumberRows.found(sample, columns, region, ends)
    layout, no_ends = reader.layout, ends_not_read(reader.layout, reader.ends)
    several = "" if columns else layout.several()
    for said in filter(None, (several, layout.joined(), layout.not_read(layout.others), no_ends)):
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
        added = await add_entries_within(change, import_id, numbers, list_name=list_name, ends_at=ends.until)
        return Recorded(added)

    async def put_each(change: Change, listed: Sequence[Listed], import_id: int) -> Recorded:
        return Recorded(await add_each_within(change, import_id, dict(listed), list_name=list_name))

    def read(cells: Sequence[str]) -> tuple[Sequence[E164], RowRejected | None]:
        return read_row(layout, cells)

    unread = Unread(layout)
    coming, most = unread.watched(chain(sample[layout.skipped :], rows)), len(layout.columns)
    if asked_on is not None:
        done = await take_in(coming, Import(read, request, most, begin, count), report, into)
    elif reader.ends.place is None:
        work = Import(read, put, most, begin, count, WINDOW, ENTRIES_AT_ONCE, in_order)
        done = await take_in(coming, work, report, into)
    else:
        each = Import(reader.read, put_each, most, begin, count, WINDOW, ENTRIES_AT_ONCE, in_order_of_numbers)
        done = await take_in(coming, each, report, into)
    require_some(done, sheet, layout, report)
    await end_import(into.records, into.actor, done.import_id, sheet.sha256)
    not_read = f"{unread.said()} {no_ends}".strip()
    return replace(done, not_read=not_read, unread=bool(unread.others or layout.split))


def _checked_ends(ends: EndsAsked, asked_on: date | None, at: datetime) -> EndsAsked:
    """Return the ends as of `at` (aware UTC). Raises EndRefused, also for ends of requests."""
    require_no_end(asked_on, ends)
    if ends.until is not None:
        require_to_come(ends.until, at)
    return replace(ends, at=at)


def require_no_end(asked_on: date | None, ends: EndsAsked) -> None:
    """Raise EndRefused if the requests of a file, which are dated `asked_on`, are to end."""
    if asked_on is not None and (ends.until is not None or ends.column):
        raise request_with_end("the option for requests")


class NumberRows(NamedTuple):
    """Reads the rows of a sheet for the own list: the numbers, and when their entries end."""

    layout: Layout
    ends: RowEnds

    @classmethod
    def found(
        cls, sample: Sequence[SheetRow], columns: Sequence[str], region: str, ends: EndsAsked = NO_ENDS
    ) -> "NumberRows":
        """Recognise the layout by the first rows. Raises NoColumn."""
        layout = layout_of_numbers(sample, columns, region)
        return cls(layout, RowEnds.found(layout, ends))

    def read(self, cells: Sequence[str]) -> tuple[Sequence[Listed], RowRejected | None]:
        """Return what a row lists, and why it is rejected, if anything in it is."""
        numbers, rejected = read_row(self.layout, cells)
        listed, bad_end = self.ends.listed(cells, numbers)
        return listed, bad_end or rejected


def in_order_of_numbers(listed: list[Listed]) -> list[Listed]:
    """Return the same for numbers with their ends. If a number occurs several times, the later end holds."""
    ends = dict[E164, datetime | None]()
    for number, ends_at in listed:
        ends[number] = later(ends[number], ends_at) if number in ends else ends_at
    return [Listed(number, ends[number]) for number in sorted(ends)]


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
