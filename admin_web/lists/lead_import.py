"""Import of a sheet of leads, which are added or changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice

from admin_web.lists.columns import LEAD_NAMES, PERSON_NAMES, SAMPLE, NoColumn, chosen_column, is_heading, number_column
from admin_web.lists.imports import (
    Import,
    Intake,
    Progress,
    RowRejected,
    is_number,
    read_number,
    take_in,
    without_heading,
)
from admin_web.lists.report import RejectedRows
from admin_web.lists.sheet import Sheet, SheetRow
from admin_web.record.changes import Change
from admin_web.services.leads import LONGEST_NAME, LeadGiven, put_leads_within
from compliance.numbers import lead_id
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
    """Add and change the leads of a sheet. Raises NotASheet, DatabaseUnavailable, OSError."""
    rows = iter(sheet)
    sample = list(islice(rows, SAMPLE))
    cells = LeadCells.found(sample, columns, region)

    async def put(change: Change, leads: Sequence[LeadGiven]) -> int:
        return sum(await put_leads_within(change, leads))

    chosen = without_heading(chain(sample, rows), cells.is_heading_row)
    return await take_in(chosen, Import(cells.read, put), report, into)


@dataclass(frozen=True, slots=True)
class LeadCells:
    """Indexes of the relevant cells in a row; `width` is the number of cells in the first row."""

    lead: int
    number: int
    name: int | None
    width: int
    region: str

    @classmethod
    def found(cls, sample: Sequence[SheetRow], columns: LeadColumns, region: str) -> "LeadCells":
        """Recognise the columns from the first rows. Raises NoColumn."""
        headings = next((row.cells for row in sample if row.cells), [])
        lead = chosen_column(headings, columns.lead, LEAD_NAMES)
        if lead is None:
            raise NoColumn("The first row must name the columns: lead, number and, optionally, name.")
        number = number_column(sample, columns.number, lambda cell: is_number(cell, region))
        return cls(lead, number, chosen_column(headings, columns.name, PERSON_NAMES), len(headings), region)

    def is_heading_row(self, cells: Sequence[str]) -> bool:
        """Return whether the first row of a sheet is a heading."""
        return len(cells) > self.number and is_heading(cells[self.number])

    def read(self, cells: Sequence[str]) -> LeadGiven:
        """Convert a row into a lead. Raises RowRejected."""
        number = read_number(cells, self.number, self.width, self.region)
        lead = lead_id(cells[self.lead]) if len(cells) > self.lead else None
        if lead is None:
            raise RowRejected("bad-lead", "a lead id is 1 to 64 letters, digits, dots, dashes and underscores")
        return LeadGiven(lead, number, self._name(cells))

    def _name(self, cells: Sequence[str]) -> str | None:
        """Return the name; None when the row has none, which keeps the recorded name."""
        if self.name is None or len(cells) <= self.name:
            return None
        try:
            return cleaned(cells[self.name], LONGEST_NAME, "the name")
        except Unwritable as error:
            raise RowRejected("bad-name", str(error)) from None
