"""Layout of a sheet: the rows above its headings, the headings, and the columns that are read or not read."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile

from admin_web.lists.columns import (
    FEW,
    LEAD_NAMES,
    NUMBER_NAMES,
    NumberColumn,
    Reads,
    has_number,
    holding,
    is_heading,
    number_columns,
    plain,
    split_columns,
)
from admin_web.lists.deeds import deed_column, is_added
from admin_web.lists.sheet import SheetRow
from compliance.numbers import E164, InvalidNumber, normalize

MOST_ABOVE = 20
"""Maximum number of rows above the headings."""

TITLE_WORDS = 3
"""A line of at least this many words above one number per line is a title. Fewer words may stand beside a number."""


class RowRejected(Exception):
    """A row is rejected; `reason` is a slug, the message explains it."""

    def __init__(self, reason: str, explanation: str) -> None:
        super().__init__(explanation)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read the rows of a sheet.

    `above` are the rows above the headings, which are skipped; `headings` are the cells of the headings, or of the
    first row if `has_headings` is false. `columns` are those of the numbers. `deed` is the index of the column that
    says whether a number was added or deleted. `others` are the columns that contain numbers and are not read.
    `split` are the columns that make numbers only together and are not read.
    """

    above: tuple[SheetRow, ...]
    headings: tuple[str, ...]
    has_headings: bool
    width: int
    columns: tuple[NumberColumn, ...]
    deed: int | None
    others: tuple[int, ...]
    split: tuple[NumberColumn, ...]
    region: str

    @classmethod
    def found(
        cls, sample: Sequence[SheetRow], wanted: Sequence[str], region: str, *, several: bool = False
    ) -> "Layout":
        """Recognise the layout by the first rows of a sheet.

        `wanted` and `several` are as in `number_columns`. Raises NoColumn.
        """
        reads = partial(is_number, region=region)
        above = rows_above(sample, region)
        rows = [row.cells for row in sample[above:] if row.cells]
        first, usual = rows[0] if rows else [], _usual_width(rows)
        names = [*first, *[""] * (usual - len(first))]
        columns = number_columns(_without_headings(rows, reads), names, wanted, reads, several=several)
        texts = [column.text(first) for column in columns]
        has_headings = any(map(is_heading, texts)) and not has_number(first, reads)
        data = rows[has_headings:]
        read = {place for column in columns for place in column.places}
        return cls(
            tuple(sample[:above]),
            tuple(names),
            has_headings,
            len(first) if has_headings else usual,
            columns,
            deed_column(data, names if has_headings else (), read),
            tuple(index for index in holding(data, len(names), reads, FEW) if index not in read),
            tuple(one for one in split_columns(data, names, reads) if read.isdisjoint(one.places)),
            region,
        )

    @property
    def skipped(self) -> int:
        """How many of the first rows contain no data: those above the headings, and the headings."""
        return len(self.above) + self.has_headings

    @property
    def spec(self) -> str:
        """The number columns as `--column` takes them, by position."""
        return ",".join(map(str, self.columns))

    def read(self, cells: Sequence[str]) -> tuple[list[E164], RowRejected | None]:
        """Return the numbers of a row, and why it is rejected if a number is missing or cannot be read."""
        numbers, rejected = self.read_each(cells)
        return [number for _, number in numbers], rejected

    def read_each(self, cells: Sequence[str]) -> tuple[list[tuple[NumberColumn, E164]], RowRejected | None]:
        """Return the same, each number with its column.

        A row with more cells than the headings has an unquoted delimiter in some cell, so its cells may belong to
        other columns.
        """
        if len(cells) > self.width and any(cells[self.width :]):
            return [], self._too_many(cells)
        numbers: list[tuple[NumberColumn, E164]] = []
        faults: list[RowRejected] = []
        for column in self.columns:
            if text := column.text(cells):
                try:
                    numbers.append((column, normalize(text, self.region)))
                except InvalidNumber as error:
                    faults.append(RowRejected(error.reason, self._explained(column, str(error))))
        if not numbers and not faults:
            return [], self._no_number(cells)
        return numbers, _together(faults) if faults else None

    def _too_many(self, cells: Sequence[str]) -> RowRejected:
        """Return why a row with too many cells is rejected. A comma of a spreadsheet may have cut its number in two."""
        more = len(cells) - self.width
        for column in self.columns:
            whole = ",".join(cells[column.places[0] : column.places[-1] + more + 1])
            try:
                normalize(whole, self.region)
            except InvalidNumber as error:
                if error.reason == "spreadsheet-number":
                    return RowRejected(error.reason, self._explained(column, str(error)))
        said = f"this row has {len(cells)} cells, but the {'first row has' if self.has_headings else 'others have'}"
        return RowRejected("too-many-cells", f"{said} {self.width}")

    def added(self, cells: Sequence[str]) -> bool:
        """Return whether a row adds its number, or deletes it. Raises RowRejected if it says neither."""
        if self.deed is None:
            return True
        said = is_added(cells[self.deed] if len(cells) > self.deed else "")
        if said is None:
            raise RowRejected("no-change", "the row has no A or D, for added or deleted")
        return said

    def name(self, place: int) -> str:
        """Return a column for a message: its position, counted from 1, and its heading."""
        heading = self.headings[place] if self.has_headings and place < len(self.headings) else ""
        return f"column {place + 1} {heading[:40]!r}" if heading else f"column {place + 1}"

    def named(self, column: NumberColumn) -> str:
        """Return a number column for a message."""
        return " with ".join(map(self.name, column.places))

    def not_read(self, others: Sequence[int]) -> str:
        """Return what is not read, as sentences; empty if all is read. `others` are the columns with numbers."""
        return " ".join(filter(None, (self._above_headings(), self._other_columns(others))))

    def joined(self) -> str:
        """Return which columns are joined, as a sentence; empty if none are."""
        some = [self.named(column) for column in self.columns if len(column.places) > 1]
        return f"The numbers are joined from {' and '.join(some)}." if some else ""

    def several(self) -> str:
        """Return which columns are read, as a sentence; empty if only one is."""
        if len(self.columns) == 1:
            return ""
        return f"Numbers are read from {' and '.join(map(self.named, self.columns))}."

    def _above_headings(self) -> str:
        if not self.above:
            return ""
        lines, first = [row.line for row in self.above], self.above[0].text.strip().splitlines()[0][:60]
        span = f"Line {lines[0]} is" if len(lines) == 1 else f"Lines {lines[0]} to {lines[-1]} are"
        return f"{span} above the list and not read: {first!r}."

    def _other_columns(self, others: Sequence[int]) -> str:
        if not others and not self.split:
            return ""
        names = [*map(self.name, others), *map(self.named, self.split)]
        said = " and ".join(names)
        verb = "contains numbers and is" if len(names) == 1 else "contain numbers and are"
        return f"{said[0].upper()}{said[1:]} {verb} not read."

    def _explained(self, column: NumberColumn, why: str) -> str:
        return why if len(self.columns) == 1 else f"{self.named(column)}: {why}"

    def _no_number(self, cells: Sequence[str]) -> RowRejected:
        """Return why a row has no number; name each column with a number that is not read."""
        read = {place for column in self.columns for place in column.places}
        elsewhere = [
            place for place, cell in enumerate(cells) if place not in read and cell and is_number(cell, self.region)
        ]
        if not elsewhere:
            cell = "the number's cell is" if len(self.columns) == 1 else "the numbers' cells are"
            return RowRejected("no-number", f"{cell} empty")
        own = " and ".join(map(self.named, self.columns))
        other = " and ".join(map(self.name, elsewhere))
        return RowRejected("number-elsewhere", f"{own} is empty, but {other}, which is not read, contains a number")


def number_places(sample: Sequence[SheetRow], region: str) -> list[int]:
    """Return the indexes of the columns that contain numbers in the first rows of a sheet."""
    reads = partial(is_number, region=region)
    rows = [row.cells for row in sample[rows_above(sample, region) :] if row.cells]
    return holding(_without_headings(rows, reads), _usual_width(rows), reads)


def is_number(cell: str, region: str) -> bool:
    """Return whether a cell contains a telephone number."""
    try:
        normalize(cell, region)
    except InvalidNumber:
        return False
    return True


def _together(faults: Sequence[RowRejected]) -> RowRejected:
    return RowRejected(faults[0].reason, "; ".join(map(str, faults)))


def rows_above(sample: Sequence[SheetRow], region: str) -> int:
    """Return how many rows stand above the headings or, without headings, above the first row with a number.

    They contain no number. The headings are the first row with a usual name, or else the first row that has as many
    cells as most rows.
    """
    reads = partial(is_number, region=region)
    top = list(takewhile(lambda row: not has_number(row.cells or (), reads), sample[:MOST_ABOVE]))
    usual = _usual_width([row.cells for row in sample if row.cells])
    named = [place for place, row in enumerate(top) if any(plain(cell) in _KNOWN for cell in row.cells or ())]
    whole = [place for place in named if len(top[place].cells or ()) == usual]
    if named:
        return (whole or named)[0]
    return len(list(takewhile(lambda row: _is_title(row, usual), top))) if len(top) < len(sample) else 0


_KNOWN = NUMBER_NAMES | LEAD_NAMES


def _is_title(row: SheetRow, usual: int) -> bool:
    """Return whether a row without a number is a title and not a row of the list."""
    filled = [cell for cell in row.cells or () if cell]
    words = [word for cell in filled for word in cell.split() if any(map(str.isalpha, word))]
    if usual == 1:
        return len(words) >= TITLE_WORDS
    return bool(words) and (len(filled) == 1 or len(row.cells or ()) != usual)


def _without_headings(rows: Sequence[list[str]], reads: Reads) -> Sequence[list[str]]:
    """Return the rows whose content shows which columns have numbers: all but a first row that looks like headings."""
    head = bool(rows) and any(map(is_heading, rows[0])) and not has_number(rows[0], reads)
    return rows[1:] if head and len(rows) > 1 else rows


def _usual_width(rows: Sequence[Sequence[str]]) -> int:
    """Return how many cells most rows have; the larger number if two are equally frequent."""
    widths = Counter(map(len, rows))
    return max(widths, key=lambda width: (widths[width], width), default=1)
