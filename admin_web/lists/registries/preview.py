"""Preview of a registry's file: its format, and what an import would do with its first rows."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from admin_web.lists.columns import SAMPLE, NoColumn
from admin_web.lists.layout import number_places, rows_above
from admin_web.lists.preview import number_choices
from admin_web.lists.registries.formats import CSV, XML, Format
from admin_web.lists.registries.reader import Reading, read_each, read_row, tags, whole_lines
from admin_web.lists.registries.rows import Odd, Piece
from admin_web.lists.registries.source import Source
from admin_web.lists.sheet import Sheet, SheetRow
from compliance.numbers import visible

SHOWN = 10
MOST_COLUMNS = 50
LONGEST_CELL = 80


@dataclass(frozen=True, slots=True)
class RegistryRow:
    """One of the first rows: its cells and the result: listed or deleted numbers, the reason for a rejection, or both.

    `line` is the line on which it begins; for XML, the position of the number in the text. If the import skips
    the row, `skipped` says what the row is.
    """

    line: int
    cells: Sequence[str]
    numbers: Sequence[str] = ()
    deleted: bool = False
    why_not: str = ""
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class RegistryPreview:
    """The recognised format, and the first rows of the first text.

    `texts` is the number of texts, `size` their size in bytes. Only CSV has `headings`. `column` has the number
    columns as `Reading` takes them. `numbers` are the columns that contain numbers. `not_read` says which columns are
    joined or not read. `says_deeds` is whether the files say what was added and deleted. `problem` says why the import
    cannot start; empty when it can.
    """

    form: Format
    format: str
    texts: int
    size: int
    rows: Sequence[RegistryRow]
    headings: Sequence[str] = ()
    column: str | None = None
    problem: str = ""
    not_read: str = ""
    numbers: Sequence[int] = ()
    says_deeds: bool = False

    @property
    def choices(self) -> Sequence[tuple[str, str]]:
        """The columns as choices of a form: position and label."""
        return number_choices(self.headings)

    @property
    def number_choices(self) -> Sequence[tuple[str, str]]:
        """The choices for the column of the numbers; see `number_choices`."""
        return number_choices(self.headings, self.numbers, self.column or "")


def preview(source: Source, reading: Reading) -> RegistryPreview:
    """Read the first rows as the import would. Raises NotASheet, OSError."""
    part = source.parts[0]
    text = whole_lines(source.start(part))
    form, size = reading.form, source.size or 0
    if form is CSV:
        return _columns(source, reading, text)
    rows = _tags(text, reading) if form is XML else _lines(text, reading)
    deeds = reading.says_deeds(source)
    return RegistryPreview(form, form.title, len(source.parts), size, list(islice(rows, SHOWN)), says_deeds=deeds)


def _lines(text: bytes, reading: Reading) -> Iterator[RegistryRow]:
    for place, line in enumerate(text.decode("utf-8", "replace").split("\n"), start=1):
        if line.strip():
            yield _seen(Odd(place, line.rstrip("\r")), [line.strip()], reading.read_line)


def _tags(text: bytes, reading: Reading) -> Iterator[RegistryRow]:
    for place, odd in enumerate(tags(text, b"", 1)[0], start=1):
        yield _seen(odd._replace(line=place), [odd.text.partition(",")[0]], reading.read_tag)


def _columns(source: Source, reading: Reading, text: bytes) -> RegistryPreview:
    name = source.parts[0].name
    with Sheet(io.BufferedReader(io.BytesIO(text)), name) as sheet:
        sample = list(islice(iter(sheet), SAMPLE))
        said = sheet.shape
    parts, size = len(source.parts), source.size or 0
    headings = next((row.cells for row in sample[rows_above(sample, reading.region) :] if row.cells), [])
    if not headings:
        return RegistryPreview(CSV, said, parts, size, [], problem="The file contains no readable rows.")
    numbers = number_places(sample, reading.region)
    try:
        layout, deeds = reading.layout(sample), reading.says_deeds(source)
    except NoColumn as error:
        rows = [RegistryRow(row.line, _short(_cells(row))) for row in sample[:SHOWN]]
        found = RegistryPreview(CSV, said, parts, size, rows, headings[:MOST_COLUMNS], problem=error.fact)
        return replace(found, numbers=numbers)

    def read_of(row: SheetRow) -> Callable[[Piece, Odd], None]:
        return lambda piece, _: read_row(piece, row, layout)

    skipped = [
        RegistryRow(row.line, _short(_cells(row)), skipped="not read" if place < len(layout.above) else "headings")
        for place, row in enumerate(sample[: layout.skipped])
    ]
    rows = [_seen(Odd(row.line, row.text), _cells(row), read_of(row)) for row in sample[layout.skipped :]]
    not_read = " ".join(filter(None, (layout.joined(), layout.not_read(layout.others))))
    return RegistryPreview(
        CSV, said, parts, size, [*skipped, *rows][:SHOWN], layout.headings[:MOST_COLUMNS], layout.spec,
        not_read=not_read, numbers=numbers, says_deeds=deeds,
    )  # fmt: skip


def _seen(odd: Odd, cells: Sequence[str], read: Callable[[Piece, Odd], None]) -> RegistryRow:
    piece = Piece()
    read_each(piece, [odd], read)
    numbers, why_not = piece.listed + piece.deleted, piece.rejected[0].explanation if piece.rejected else ""
    skipped = "" if numbers or why_not else "headings"
    return RegistryRow(odd.line, _short(cells), numbers, bool(piece.deleted), why_not, skipped)


def _cells(row: SheetRow) -> Sequence[str]:
    return [row.text] if row.cells is None else row.cells


def _short(cells: Sequence[str]) -> list[str]:
    shown = map(visible, cells[:MOST_COLUMNS])
    return [cell if len(cell) <= LONGEST_CELL else f"{cell[:LONGEST_CELL]}…" for cell in shown]
