"""Where in a row of columns the number stands."""

from collections.abc import Sequence

from admin_web.lists.columns import chosen_column
from admin_web.lists.imports import RowRejected, read_number
from admin_web.lists.number_import import NumberCells
from admin_web.lists.sheet import SheetRow
from compliance.numbers import E164, normalize

JOINED = "+"
"""Joins the columns of a number that stands in several."""


class Cells:
    """Where in a row the number stands: in one cell, or in several that are joined."""

    def __init__(self, places: Sequence[int], width: int, region: str) -> None:
        self.places, self._width, self._region = tuple(places), width, region

    @classmethod
    def found(cls, sample: Sequence[SheetRow], column: str | None, region: str) -> "Cells":
        """Find it by the first rows. Raises NoColumn."""
        if column is None or JOINED not in column:
            cells = NumberCells.found(sample, column, region)
            return cls([cells.number], cells.width, region)
        headings = next((row.cells for row in sample if row.cells), [])
        places = [chosen_column(headings, name.strip(), ()) for name in column.split(JOINED)]
        return cls([place for place in places if place is not None], len(headings), region)

    def read(self, row: SheetRow) -> E164:
        """Read a row. Raises RowRejected, InvalidNumber."""
        if row.cells is None:
            raise RowRejected("malformed", "its quotation marks do not match")
        if len(self.places) == 1:
            return read_number(row.cells, self.places[0], self._width, self._region)
        cells = row.cells
        return normalize("".join(cells[place] for place in self.places if place < len(cells)), self._region)
