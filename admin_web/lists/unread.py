"""The columns of a sheet that contain numbers and are not read, over all of its rows."""

from collections.abc import Iterator, Sequence

from admin_web.lists.columns import FEW
from admin_web.lists.layout import Layout, is_number
from admin_web.lists.sheet import SheetRow


class Unread:
    """Watches the columns that are not read, for numbers in rows beyond the first ones.

    A column contains numbers if at least the share `FEW` of its first `TRIED` filled cells do.
    """

    TRIED = 200

    def __init__(self, layout: Layout) -> None:
        read = {place for column in layout.columns for place in column.places}
        self._layout = layout
        self._tried = {place: [0, 0] for place in range(layout.width) if place not in read}
        self._open = set(self._tried)

    def watched(self, rows: Iterator[SheetRow]) -> Iterator[SheetRow]:
        """Yield the rows unchanged."""
        while self._open and (row := next(rows, None)) is not None:
            if row.cells:
                self._look(row.cells)
            yield row
        yield from rows

    @property
    def others(self) -> list[int]:
        """The columns that contain numbers."""
        return [place for place, (tried, good) in self._tried.items() if tried and good >= FEW * tried]

    def said(self) -> str:
        """Return what was not read, as sentences; empty if all was."""
        return self._layout.not_read(self.others)

    def _look(self, cells: Sequence[str]) -> None:
        for place in tuple(self._open):
            if len(cells) > place and cells[place]:
                tried = self._tried[place]
                tried[0] += 1
                tried[1] += is_number(cells[place], self._layout.region)
                if tried[0] == self.TRIED:
                    self._open.discard(place)
