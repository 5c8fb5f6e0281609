"""Preview of a registry's file: its format, and what an import would do with its first rows."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from admin_web.lists.columns import SAMPLE, NoColumn
from admin_web.lists.registries.cells import JOINED, Cells
from admin_web.lists.registries.formats import CSV, XML, Format
from admin_web.lists.registries.reader import Reading, read_each, tags
from admin_web.lists.registries.rows import Odd, Piece
from admin_web.lists.registries.source import Source
from admin_web.lists.sheet import LONGEST_LINE, Sheet
from compliance.numbers import visible

SHOWN = 10
MOST_COLUMNS = 50
LONGEST_CELL = 80


@dataclass(frozen=True, slots=True)
class RegistryRow:
    """One of the first rows: its cells and the result, which is a listed or deleted number, or a reason for rejection.

    `line` is the line on which it begins; for XML, the position of the number in the text.
    """

    line: int
    cells: Sequence[str]
    number: str = ""
    deleted: bool = False
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class RegistryPreview:
    """The recognised format, and the first rows of the first text.

    `texts` is the number of texts, `size` their size in bytes. For CSV there are `headings`, and `chosen` has the
    positions, counted from 1, of the column `number` and, if it is a column of its own, `area`. `problem` says why the
    import cannot start; empty when it can.
    """

    form: Format
    format: str
    texts: int
    size: int
    rows: Sequence[RegistryRow]
    headings: Sequence[str] = ()
    chosen: Mapping[str, str] | None = None
    problem: str = ""

    @property
    def column(self) -> str | None:
        """The columns as `Reading` takes them; None when there are no columns to choose."""
        if not self.chosen:
            return None
        return JOINED.join(self.chosen[what] for what in ("area", "number") if self.chosen.get(what))

    @property
    def choices(self) -> Sequence[tuple[str, str]]:
        """The columns as choices of a form: position and label."""
        return [(str(place), f"{place}: {heading}") for place, heading in enumerate(self.headings, start=1)]


def preview(source: Source, reading: Reading) -> RegistryPreview:
    """Read the first rows as the import would. Raises NotASheet, OSError."""
    part = source.parts[0]
    text = _whole_lines(source.start(part))
    form, size = reading.form, source.size or 0
    if form is CSV:
        return _columns(source, reading, text)
    rows = _tags(text, reading) if form is XML else _lines(text, reading)
    return RegistryPreview(form, form.title, len(source.parts), size, list(islice(rows, SHOWN)))


def _whole_lines(text: bytes) -> bytes:
    """Drop the last line if the start of the text ends in the middle of it."""
    end = text.rfind(b"\n") + 1
    return text[:end] if end and len(text) >= LONGEST_LINE // 2 else text


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
    headings = next((row.cells for row in sample if row.cells), [])[:MOST_COLUMNS]
    parts, size = len(source.parts), source.size or 0
    if not headings:
        return RegistryPreview(CSV, said, parts, size, [], problem="The file contains no readable rows.")
    shown = [[row.text] if row.cells is None else row.cells for row in sample[:SHOWN]]
    try:
        cells = Cells.found(sample, reading.column, reading.region)
    except NoColumn as error:
        rows = [RegistryRow(row.line, _short(given)) for row, given in zip(sample, shown, strict=False)]
        return RegistryPreview(CSV, said, parts, size, rows, headings, {}, error.fact)

    def read_of(place: int) -> Callable[[Piece, Odd], None]:
        return lambda piece, _: piece.numbers.append(cells.read(sample[place]))

    rows = [
        _seen(Odd(sample[place].line, sample[place].text), given, read_of(place)) for place, given in enumerate(shown)
    ]
    *area, number = (str(place + 1) for place in cells.places)
    return RegistryPreview(CSV, said, parts, size, rows, headings, {"number": number, "area": "".join(area[:1])})


def _seen(odd: Odd, cells: Sequence[str], read: Callable[[Piece, Odd], None]) -> RegistryRow:
    piece = Piece()
    read_each(piece, [odd], read)
    if piece.rejected:
        return RegistryRow(odd.line, _short(cells), why_not=piece.rejected[0].explanation)
    number = next(iter(piece.listed + piece.deleted), "")
    return RegistryRow(odd.line, _short(cells), number, deleted=bool(piece.deleted))


def _short(cells: Sequence[str]) -> list[str]:
    shown = map(visible, cells[:MOST_COLUMNS])
    return [cell if len(cell) <= LONGEST_CELL else f"{cell[:LONGEST_CELL]}…" for cell in shown]
