"""Import of a sheet of leads, which are added or changed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

from admin_web.lists.columns import LEAD_NAMES, PERSON_NAMES, SAMPLE, NoColumn, NumberColumn, chosen_column, plain
from admin_web.lists.import_kind import Import, Recorded
from admin_web.lists.imports import Intake, require_some, take_in
from admin_web.lists.layout import Layout, RowRejected, rows_above
from admin_web.lists.progress import Progress
from admin_web.lists.report import RejectedRows
from admin_web.lists.sheet import Sheet, SheetRow
from admin_web.lists.unread import Unread
from admin_web.record.changes import Change
from admin_web.record.lead_numbers import LabelledNumber
from admin_web.services.lead_numbers import MOST_NUMBERS, Label, distinct
from admin_web.services.leads import LONGEST_NAME, LeadGiven, put_leads_within
from compliance.numbers import E164, lead_id
from compliance.refusal import Unwritable, cleaned


@dataclass(frozen=True, slots=True)
class LeadColumns:
    """The columns of a sheet of leads, by heading or by position from 1; None searches for the usual headings."""

    lead: str | None = None
    number: str | None = None
    name: str | None = None


async def import_leads(
    into: Intake, sheet: Sheet, report: RejectedRows, *, region: str, columns: LeadColumns = LeadColumns()
) -> Progress:
    """Add and change the leads of a sheet. Raises NotASheet, NothingTaken, DatabaseUnavailable, OSError."""
    rows = iter(sheet)
    sample = list(islice(rows, SAMPLE))
    cells = LeadCells.found(sample, columns, region)
    for said in filter(None, (cells.layout.joined(), cells.layout.not_read(cells.layout.others))):
        into.warn(said)

    async def put(change: Change, leads: Sequence[LeadGiven], import_id: int) -> Recorded:
        del import_id  # Imports of leads are not undone.
        return Recorded(sum(await put_leads_within(change, leads)))

    unread = Unread(cells.layout)
    coming = unread.watched(chain(sample[cells.layout.skipped :], rows))
    done = await take_in(coming, Import(cells.read, put), report, into)
    require_some(done, sheet, cells.layout, report)
    return replace(done, not_read=unread.said())


LABELS = {
    ("mobile", "cell", "handy", "portable"): Label.MOBILE,
    ("home", "private", "privat", "evening"): Label.HOME,
    ("work", "office", "business", "daytime"): Label.WORK,
}
"""The label for a heading that contains one of these words."""


@dataclass(frozen=True, slots=True)
class LeadCells:
    """The layout of a sheet of leads, and the indexes of the lead's id and name in a row."""

    layout: Layout
    lead: int
    name: int | None

    @classmethod
    def found(cls, sample: Sequence[SheetRow], columns: LeadColumns, region: str) -> "LeadCells":
        """Recognise the columns from the first rows. Raises NoColumn."""
        above = rows_above(sample, region)
        headings = next((row.cells for row in sample[above:] if row.cells), [])
        lead = chosen_column(headings, columns.lead, LEAD_NAMES)
        if lead is None:
            raise NoColumn("The first row must name the columns: lead, number and, optionally, name.")
        layout = Layout.found(sample, (columns.number,) if columns.number else (), region)
        if len(layout.columns) > MOST_NUMBERS:
            raise NoColumn(f"A lead has at most {MOST_NUMBERS} numbers: choose fewer columns.")
        return cls(layout, lead, chosen_column(headings, columns.name, PERSON_NAMES))

    def read(self, cells: Sequence[str]) -> tuple[Sequence[LeadGiven], RowRejected | None]:
        """Convert a row into a lead, or say why it is rejected.

        With several columns of numbers, those that are filled are all numbers of the lead, in the order of the columns.
        With one, it is the first number, and the others stay. A row with an unreadable number changes nothing.
        """
        numbers, rejected = self.layout.read_each(cells)
        if rejected is not None:
            return (), rejected
        lead = lead_id(cells[self.lead]) if len(cells) > self.lead else None
        if lead is None:
            return (), RowRejected("bad-lead", "a lead id is 1 to 64 letters, digits, dots, dashes and underscores")
        try:
            return (LeadGiven(lead, numbers[0][1], self._name(cells), self._all(numbers)),), None
        except Unwritable as error:
            return (), RowRejected("bad-name", str(error))

    def _all(self, numbers: Sequence[tuple[NumberColumn, E164]]) -> tuple[LabelledNumber, ...]:
        """Return all numbers of a lead, labelled by their headings; none if only one column is read."""
        if len(self.layout.columns) == 1:
            return ()
        return distinct(LabelledNumber(number, self._label(column)) for column, number in numbers)

    def _label(self, column: NumberColumn) -> str:
        heading = plain(self.layout.headings[column.places[-1]]) if self.layout.has_headings else ""
        return next((label.value for words, label in LABELS.items() if any(word in heading for word in words)), "")

    def _name(self, cells: Sequence[str]) -> str | None:
        """Return the name; None when the row has none, which keeps the recorded name. Raises Unwritable."""
        if self.name is None or len(cells) <= self.name:
            return None
        return cleaned(cells[self.name], LONGEST_NAME, "the name")
