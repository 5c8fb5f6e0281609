"""The delimiter of a sheet: declared in its first line, or judged by its first lines."""

import csv
import re
from collections import Counter
from collections.abc import Sequence

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""The usual delimiters and their names."""

_LIKE_A_NUMBER = re.compile(r"[+0-9() ./'=-]{7,}")
_SEVEN_DIGITS = re.compile(r"(?:[0-9][^0-9]*){7}")
_DECLARED = re.compile(r"""["']?sep=([^\w\s"']|\t)["']?[,;\t|]*""", re.IGNORECASE)


def declared_delimiter(line: str) -> str | None:
    """Return the delimiter that a line such as `sep=;` declares; None for any other line."""
    declared = _DECLARED.fullmatch(line.strip(" \r\n"))
    return declared[1] if declared else None


def delimiter_of(lines: Sequence[str]) -> str | None:
    """Return the delimiter that cuts most of these lines into the same number of cells.

    If two delimiters are equal, the one with more cells that look like telephone numbers is returned, and then the one
    with more cells. Return None if at least as many lines have the digits of a number and no delimiter at all.
    """
    best, rank, alone = None, (0, 0, 0), sum(map(_is_alone, lines))
    for delimiter in DELIMITERS:
        cut = [_cells(line, delimiter) for line in lines]
        width, rows = max(Counter(map(len, cut)).items(), key=lambda one: (one[0] > 1, one[1], one[0]), default=(1, 0))
        numbers = sum(_LIKE_A_NUMBER.fullmatch(cell) is not None for cells in cut for cell in cells)
        if width > 1 and rows > alone and (rows, numbers, width) > rank:
            best, rank = delimiter, (rows, numbers, width)
    return best


def _is_alone(line: str) -> bool:
    """Return whether a line may be a number by itself."""
    plain = "".join(line.split('"')[::2]) or line
    return _SEVEN_DIGITS.search(line) is not None and not any(delimiter in plain for delimiter in DELIMITERS)


def _cells(line: str, delimiter: str) -> list[str]:
    """Return the cells of a line, as far as they can be known without the lines after it."""
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))]
    except csv.Error:
        return [line]
