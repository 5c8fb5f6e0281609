"""Parsing of registry files, format by format. Every row becomes a number or is rejected; none is skipped silently."""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from admin_web.lists.columns import SAMPLE, is_heading
from admin_web.lists.deeds import is_added
from admin_web.lists.layout import Layout, RowRejected
from admin_web.lists.registries.formats import CSV, FORMATS, XML, Format, sniff
from admin_web.lists.registries.rows import Odd, Piece, Rejected, read_block
from admin_web.lists.registries.source import Source, SourceText
from admin_web.lists.sheet import LONGEST_LINE, NotASheet, Sheet, SheetRow, only_cell
from admin_web.lists.unread import Unread
from admin_web.lists.windows import MALFORMED
from compliance.numbers import InvalidNumber, normalize

ROWS_AT_ONCE = 20_000
FEWEST_DIGITS = 7
"""If the first cell of a change has at least this many digits, it is a whole number and not an area code."""

_TAG = re.compile(rb"<\s*(ac|ph)\b([^<>]*)>", re.IGNORECASE)
_VALUE = re.compile(rb"\bval\s*=[^0-9]{0,6}([0-9-]+)", re.IGNORECASE)
_DELETED = re.compile(rb"\b(?:type|ch|change|op|action|status)\s*=[^a-z]{0,6}d", re.IGNORECASE)
_DEED_OF_TAG = re.compile(rb"<\s*ph\b[^<>]*\b(?:type|ch|change|op|action|status)\s*=[^a-z<>]{0,6}[ad]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read texts: `region` is the registry's country (ISO 3166), `column` is as in `dnc-admin import`."""

    region: str
    form: Format
    column: str | None = None

    def pieces(self, source: Source) -> Iterator[Piece]:
        """Yield all rows of all texts, in pieces. Raises NotASheet, OSError."""
        read = {CSV.name: self._columns, XML.name: self._xml}.get(self.form.name, self._lines)
        for part in source.parts:
            yield from read(source, part)

    def _lines(self, source: Source, part: SourceText) -> Iterator[Piece]:
        line = 0
        for block in source.blocks(part):
            piece, odd = read_block(block, self.form.layouts, line, part.name)
            line = piece.line
            read_each(piece, odd, self.read_line)
            yield piece

    def read_line(self, piece: Piece, odd: Odd) -> None:
        """Add the number of a line to a piece. Raises RowRejected, InvalidNumber."""
        if self.form.name == "lines":
            piece.numbers.append(normalize(only_cell(odd.text), self.region))
            return
        cells = [only_cell(cell) for cell in odd.text.split(",")]
        if self.form.is_changes:
            self._read_change(piece, cells)
        else:
            piece.numbers.append(normalize("".join(cells), self.region))

    def _read_change(self, piece: Piece, cells: Sequence[str]) -> None:
        """Read a number, in one cell or two, and A or D in one of the cells after it."""
        parts = 1 if sum(map(str.isdigit, cells[0])) >= FEWEST_DIGITS else 2
        deeds = [added for added in map(is_added, cells[parts:]) if added is not None]
        if len(deeds) != 1:
            raise RowRejected("no-change", "the row has no A or D, for added or deleted")
        piece.changed[normalize("".join(cells[:parts]), self.region)] = deeds[0]

    def _columns(self, source: Source, part: SourceText) -> Iterator[Piece]:
        with Sheet(_stream(source, part), part.name) as sheet:
            rows = iter(sheet)
            sample = list(islice(rows, SAMPLE))
            layout = self.layout(sample)
            unread = Unread(layout)
            rows = unread.watched(chain(sample[layout.skipped :], rows))
            while some := list(islice(rows, ROWS_AT_ONCE)):
                piece = Piece(line=some[-1].line)
                read_each(piece, [Odd(row.line, row.text) for row in some], _in_turn(some, layout))
                yield piece
            yield Piece(line=sheet.line, not_read=unread.said())

    def layout(self, sample: Sequence[SheetRow]) -> Layout:
        """Recognise the layout of a text in columns by its first rows. Raises NoColumn."""
        return Layout.found(sample, (self.column,) if self.column else (), self.region)

    def warnings(self, source: Source) -> list[str]:
        """Return which columns of the texts are joined or not read, as sentences. Raises NotASheet, OSError."""
        layouts = [self.layout(_sample(source, part)) for part in source.parts] if self.form is CSV else []
        said = [each for one in layouts for each in (one.joined(), one.not_read(one.others)) if each]
        return list(dict.fromkeys(said))

    def says_deeds(self, source: Source) -> bool:
        """Return whether the files say which numbers were added and which deleted. Raises NotASheet, OSError."""
        if self.form is CSV:
            return any(self.layout(_sample(source, part)).deed is not None for part in source.parts)
        if self.form is XML:
            return any(_DEED_OF_TAG.search(source.start(part)) for part in source.parts)
        return self.form.is_changes

    def _xml(self, source: Source, part: SourceText) -> Iterator[Piece]:
        area, line = b"", 1
        for block in source.blocks(part, b">"):
            odd, area = tags(block, area, line)
            line += block.count(b"\n")
            piece = Piece(line=line)
            read_each(piece, odd, self.read_tag)
            yield piece

    def read_tag(self, piece: Piece, odd: Odd) -> None:
        """Add the number of a tag, in the form of `tags`, to a piece. Raises InvalidNumber."""
        number, _, deed = odd.text.partition(",")
        piece.changed[normalize(number, self.region)] = deed == "A"


def tags(block: bytes, area: bytes, line: int) -> tuple[list[Odd], bytes]:
    """Return the numbers in a block of XML, each with A or D, and the area code in effect at its end.

    Each number gets `line`, the line on which the block begins.
    """
    odd = []
    for tag in _TAG.finditer(block):
        found = _VALUE.search(tag[2])
        value = found[1] if found else b""
        if tag[1].lower() == b"ac":
            area = value
            continue
        number = (area + value if len(value) <= 7 else value).decode()
        odd.append(Odd(line, f"{number},{'D' if _DELETED.search(tag[2]) else 'A'}"))
    return odd, area


def found_format(source: Source, wanted: str | None) -> Format:
    """Return the `wanted` format, or recognise the format of the files, which must be the same in all of them.

    Raises NotASheet.
    """
    if wanted is not None:
        if wanted not in FORMATS:
            raise NotASheet(f"There is no format {wanted!r}; choose one of {', '.join(sorted(FORMATS))}.")
        return FORMATS[wanted]
    found = {part.name: sniff(source.start(part)) for part in source.parts}
    if len({form.name for form in found.values()}) > 1:
        said = "; ".join(f"{name}: {form.title}" for name, form in list(found.items())[:5])
        raise NotASheet(f"These files have different formats ({said}); import the files of each format separately.")
    return next(iter(found.values()))


def read_each(piece: Piece, odd: Sequence[Odd], read: Callable[[Piece, Odd], None]) -> None:
    """Read rows one by one. Add those that are not numbers to the rejected ones, with their reasons."""
    for row in odd:
        try:
            read(piece, row)
        except (RowRejected, InvalidNumber) as error:
            if row.line == 1 and is_heading(row.text):
                continue
            piece.rejected.append(Rejected(row.line, error.reason, str(error), row.text))
        piece.rows += 1


def read_row(piece: Piece, row: SheetRow, layout: Layout) -> None:
    """Add the numbers of a row of columns to a piece. Raises RowRejected."""
    if row.cells is None:
        raise RowRejected(MALFORMED.reason, str(MALFORMED))
    numbers, rejected = layout.read(row.cells)
    added = layout.added(row.cells)
    if layout.deed is None:
        piece.numbers.extend(numbers)
    else:
        piece.changed.update(dict.fromkeys(numbers, added))
    if rejected is not None:
        raise rejected


def _in_turn(rows: Sequence[SheetRow], layout: Layout) -> Callable[[Piece, Odd], None]:
    turn = iter(rows)

    def read(piece: Piece, odd: Odd) -> None:
        del odd
        read_row(piece, next(turn), layout)

    return read


def _sample(source: Source, part: SourceText) -> list[SheetRow]:
    start = whole_lines(source.start(part))
    with Sheet(io.BufferedReader(io.BytesIO(start)), part.name) as sheet:
        return list(islice(iter(sheet), SAMPLE))


def whole_lines(text: bytes) -> bytes:
    """Drop the last line of a text's start if the start may end in the middle of that line."""
    end = text.rfind(b"\n") + 1
    return text[:end] if end and len(text) >= LONGEST_LINE // 2 else text


def _stream(source: Source, part: SourceText) -> io.BufferedReader:
    return io.BufferedReader(_Blocks(source.blocks(part)))


class _Blocks(io.RawIOBase):
    """A raw stream over blocks of bytes."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._left = blocks, b""

    def readable(self) -> bool:
        return True

    def readinto(self, into: "memoryview") -> int:  # type: ignore[override]
        if not self._left:
            self._left = next(self._blocks, b"")
        taken = self._left[: len(into)]
        into[: len(taken)] = taken
        self._left = self._left[len(taken) :]
        return len(taken)
