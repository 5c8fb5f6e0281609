"""The number's cells in a row of columns."""

from collections.abc import Sequence

from admin_web.lists.columns import chosen_column
from admin_web.lists.imports import RowRejected, read_number
from admin_web.lists.number_import import NumberCells
from admin_web.lists.sheet import SheetRow
from compliance.numbers import E164, normalize

JOINED = "+"
"""The separator between the columns of a number that is split over several columns."""


class Cells:
    """Indexes of the number's cells in a row: one cell, or several that are joined."""

    def __init__(self, places: Sequence[int], width: int, region: str) -> None:
        self.places, self._width, self._region = tuple(places), width, region

    @classmethod
    def found(cls, sample: Sequence[SheetRow], column: str | None, region: str) -> "Cells":
        """Recognise the cells from the first rows, or by `column`. Raises NoColumn."""
        if column is None or JOINED not in column:
            cells = NumberCells.found(sample, column, region)
            return cls([cells.number], cells.width, region)
        headings = next((row.cells for row in sample if row.cells), [])
        places = [chosen_column(headings, name.strip(), ()) for name in column.split(JOINED)]
        return cls([place for place in places if place is not None], len(headings), region)

    def read(self, row: SheetRow) -> E164:
        """Return the number of a row. Raises RowRejected, InvalidNumber."""
        if row.cells is None:
            raise RowRejected("malformed", "the quotation marks do not match")
        if len(self.places) == 1:
            return read_number(row.cells, self.places[0], self._width, self._region)
        cells = row.cells
        return normalize("".join(cells[place] for place in self.places if place < len(cells)), self._region)
