"""Rows of a registry's file: those of a known layout are parsed thousands at a time, the others one by one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from admin_web.lists.registries.formats import Layout
from admin_web.lists.registries.gathered import SIX_DIGITS, Ints
from admin_web.lists.sheet import LONGEST_LINE, NotASheet
from admin_web.record.lines import Bytes
from compliance.numbers import E164

_ZERO, _NINE = ord("0"), ord("9")


class Rejected(NamedTuple):
    """A row that is not a number: its line (from 1), the reason as a slug and in words, and its text."""

    line: int
    reason: str
    explanation: str
    text: str


@dataclass(slots=True)
class Piece:
    """Some rows: numbers as arrays of exchanges and lines, single numbers, and rejected rows.

    `changed` is for files of changes: whether the last row of each number lists it. `rows` is the number of rows,
    `line` the line of the last one. The last piece of a text says in `not_read` what was not read of the text.
    """

    rows: int = 0
    line: int = 0
    arrays: list[tuple[Ints, Ints]] = field(default_factory=list)
    numbers: list[E164] = field(default_factory=list)
    changed: dict[E164, bool] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    not_read: str = ""

    @property
    def listed(self) -> list[E164]:
        """The listed numbers among those that were read one by one."""
        return self.numbers + [number for number, stands in self.changed.items() if stands]

    @property
    def deleted(self) -> list[E164]:
        """The numbers that were deleted from the registry."""
        return [number for number, stands in self.changed.items() if not stands]


class Odd(NamedTuple):
    """A line without a known layout: its line number in the file, from 1, and its text."""

    line: int
    text: str


def read_block(block: bytes, layouts: Sequence[Layout], before: int, name: str) -> tuple[Piece, list[Odd]]:
    """Parse a block of complete lines that follow `before` lines. Return the numbers and the lines to read one by one.

    Raises NotASheet when a line is too long.
    """
    text = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts
    if lengths.max() > LONGEST_LINE:
        raise NotASheet(f"{name}: a line is longer than {LONGEST_LINE} characters; this is not a list.")
    lengths -= (lengths > 0) & (text[ends - 1] == ord("\r"))
    piece = Piece(line=before + len(ends))
    odd = np.ones(len(ends), np.bool_)
    for layout in layouts:
        places = np.flatnonzero(lengths == layout.width)
        if len(places):
            rows = _rows(text, starts[places], layout.width)
            exchanges, lines, good = _numbers(rows, layout)
            piece.arrays.append((exchanges[good], lines[good]))
            odd[places[good]] = False
    piece.rows = len(ends) - int(np.count_nonzero(odd))
    return piece, list(_left(block, starts, ends, np.flatnonzero(odd), before))


def _rows(text: Bytes, starts: Ints, width: int) -> Bytes:
    """Return the lines at these offsets as the rows of a 2-D array."""
    steps = np.diff(starts)
    step = int(steps[0]) if len(steps) else width
    if (steps == step).all() and starts[0] + len(starts) * step <= len(text):
        return text[starts[0] : starts[0] + len(starts) * step].reshape(-1, step)[:, :width]
    gathered: Bytes = text[starts[:, None] + np.arange(width)]
    return gathered


def _numbers(rows: Bytes, layout: Layout) -> tuple[Ints, Ints, npt.NDArray[np.bool_]]:
    """Return exchange and line of every row, and which rows are valid numbers of the layout's country."""
    good = np.ones(len(rows), np.bool_)
    for place, character in layout.fixed:
        good &= rows[:, place] == ord(character)
    six = _decimal(rows, layout.six, good)
    line = _decimal(rows, range(layout.line, layout.line + 4), good)
    good &= _in_plan(six, layout.code)
    return six.astype(np.int64) + layout.code * SIX_DIGITS, line.astype(np.int64), good


def _decimal(rows: Bytes, places: Sequence[int], good: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    value = np.zeros(len(rows), np.int32)
    for place in places:
        digit = rows[:, place] - np.uint8(_ZERO)
        good &= digit <= _NINE - _ZERO
        value *= 10
        value += digit
    return value


def _in_plan(six: npt.NDArray[np.int32], code: int) -> npt.NDArray[np.bool_]:
    """Return which exchanges can exist.

    For +1 the rule is that of `compliance.numbers`; for +44 no exchange begins with 0.
    """
    area, exchange = six // 1000, six % 1000
    there_is: npt.NDArray[np.bool_] = (area >= 200) & (area % 100 != 11) & (exchange >= 200)
    return there_is if code == 1 else area >= 100


def _left(block: bytes, starts: Ints, ends: Ints, odd: Ints, before: int) -> Iterator[Odd]:
    for place in odd.tolist():
        line = block[starts[place] : ends[place]].decode("utf-8", "replace").rstrip("\r")
        if line.strip():
            yield Odd(before + place + 1, line)
