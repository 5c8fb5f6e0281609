"""Parsing of registry files, format by format. Every row becomes a number or is rejected; none is skipped silently."""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from admin_web.lists.columns import SAMPLE, is_heading
from admin_web.lists.imports import RowRejected
from admin_web.lists.registries.cells import Cells
from admin_web.lists.registries.formats import CSV, FORMATS, XML, Format, sniff
from admin_web.lists.registries.rows import Odd, Piece, Rejected, read_block
from admin_web.lists.registries.source import Source, SourceText
from admin_web.lists.sheet import NotASheet, Sheet, SheetRow, only_cell
from compliance.numbers import InvalidNumber, normalize

ROWS_AT_ONCE = 20_000

_TAG = re.compile(rb"<\s*(ac|ph)\b([^<>]*)>", re.IGNORECASE)
_VALUE = re.compile(rb"\bval\s*=[^0-9]{0,6}([0-9-]+)", re.IGNORECASE)
_DELETED = re.compile(rb"\b(?:type|ch|change|op|action|status)\s*=[^a-z]{0,6}d", re.IGNORECASE)
_DEED = re.compile(r"a|d|add\w*|delete\w*", re.IGNORECASE)


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
        deeds = [cell[0].upper() for cell in cells[2:] if _DEED.fullmatch(cell)]
        if len(deeds) != 1:
            raise RowRejected("no-change", "the row has no A or D, for added or deleted")
        number = normalize("".join(cells[:2]), self.region)
        piece.changed[number] = deeds[0] == "A"

    def _columns(self, source: Source, part: SourceText) -> Iterator[Piece]:
        with Sheet(_stream(source, part), part.name) as sheet:
            rows = iter(sheet)
            sample = list(islice(rows, SAMPLE))
            cells = Cells.found(sample, self.column, self.region)
            rows = chain(sample, rows)
            while some := list(islice(rows, ROWS_AT_ONCE)):
                piece = Piece(line=some[-1].line)
                read_each(piece, [Odd(row.line, row.text) for row in some], _in_turn(some, cells))
                yield piece

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


def _in_turn(rows: Sequence[SheetRow], cells: Cells) -> Callable[[Piece, Odd], None]:
    turn = iter(rows)

    def read(piece: Piece, odd: Odd) -> None:
        del odd
        piece.numbers.append(cells.read(next(turn)))

    return read


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
