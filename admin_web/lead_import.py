"""A sheet of leads, added and changed."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain, islice

from admin_web.columns import LEAD_NAMES, PERSON_NAMES, SAMPLE, NoColumn, named_column, number_column
from admin_web.importing import (
    Import,
    Progress,
    RowRejected,
    UntilRefused,
    is_number,
    read_number,
    take_in,
    without_heading,
)
from admin_web.report import RejectedRows
from admin_web.services.leads import LeadGiven, put_leads
from admin_web.services.records import Actor, Records, Standing
from admin_web.sheet import Sheet
from compliance.numbers import lead_id


async def import_leads(
    records: Records,
    actor: Actor,
    sheet: Sheet,
    report: RejectedRows,
    *,
    region: str,
    on_progress: Callable[[Progress], None],
) -> Progress:
    """Add and change the leads of a sheet with the headings lead, number and, perhaps, name.

    Raises NotASheet, DatabaseUnavailable, OSError.
    """
    rows = iter(sheet)
    sample = list(islice(rows, SAMPLE))
    headings = next((row.cells for row in sample if row.cells), [])
    lead_place, name_place = named_column(headings, LEAD_NAMES), named_column(headings, PERSON_NAMES)
    if lead_place is None:
        raise NoColumn("The first row must name the columns: lead, number and, perhaps, name.")
    number_place = number_column(sample, None, lambda cell: is_number(cell, region))
    patient = replace(records, projector=UntilRefused(records.projector))

    def read(cells: Sequence[str]) -> LeadGiven:
        number = read_number(cells, number_place, len(headings), region)
        lead = lead_id(cells[lead_place]) if len(cells) > lead_place else None
        if lead is None:
            raise RowRejected("bad-lead", "a lead id is 1 to 64 letters, digits, dots, dashes and underscores")
        has_name = name_place is not None and len(cells) > name_place
        return LeadGiven(lead, number, cells[name_place] if has_name and name_place is not None else None)

    async def keep(leads: Sequence[LeadGiven]) -> tuple[int, Standing]:
        added, altered, standing = await put_leads(patient, actor, leads)
        return added + altered, standing

    chosen = without_heading(chain(sample, rows), lambda cells: cells == headings)
    done = await take_in(chosen, Import(read, keep), report, on_progress)
    return replace(done, standing=await records.standing())
