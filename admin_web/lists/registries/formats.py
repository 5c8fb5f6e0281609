"""The formats in which authorities publish their lists, and recognition of a file's format from its first lines."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from admin_web.lists.sheet import only_cell

SNIFFED = 200
"""Lines examined to recognise the format."""


class Layout(NamedTuple):
    """Positions in a line of fixed width.

    `six` has the positions of the six digits of the exchange, and `line` is the position of the first digit of the line
    number. `code` is the country code; `fixed` are the other characters, each with its position.
    """

    code: int
    width: int
    six: tuple[int, ...]
    line: int
    fixed: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Format:
    """One format: its slug, its title, and the pattern of its lines.

    `layouts` are the usual layouts of its lines, which are parsed thousands at a time.
    """

    name: str
    title: str
    pattern: re.Pattern[str] | None = None
    layouts: tuple[Layout, ...] = ()
    is_changes: bool = False


_TEN = Layout(1, 10, (0, 1, 2, 3, 4, 5), 6)
_ELEVEN = Layout(1, 11, (1, 2, 3, 4, 5, 6), 7, ((0, "1"),))
_PLUS = Layout(1, 12, (2, 3, 4, 5, 6, 7), 8, ((0, "+"), (1, "1")))
_FLAT = Layout(1, 11, (0, 1, 2, 4, 5, 6), 7, ((3, ","),))
_QUOTED_FLAT = Layout(
    1, 15, (1, 2, 3, 7, 8, 9), 10, ((0, '"'), (4, '"'), (5, ","), (6, '"'), (14, '"'))
)  # fmt: skip
_QUOTED_TEN = Layout(1, 12, (1, 2, 3, 4, 5, 6), 7, ((0, '"'), (11, '"')))
_BRITISH = Layout(44, 12, (1, 2, 3, 4, 5, 6), 7, ((0, "0"), (11, " ")))

XML = Format("xml", "XML with <ac> and <ph>")
CSV = Format("csv", "columns")
LINES = Format("lines", "one number per line", None, (_TEN, _ELEVEN, _PLUS, _QUOTED_TEN))

_BY_LINE = (
    Format("flat", "lines of area code, comma and seven digits", re.compile(r"\d{3}, ?\d{7}"), (_FLAT, _QUOTED_FLAT)),
    Format(
        "changes",
        "changes: number, with the area code in front or in a column of its own, and A or D for added or deleted",
        re.compile(r"(?:\d{3}, ?\d{7}|\+?\d{10,15}),(?:.*,)?\s*(?:a|d|add\w*|del\w*)\s*(?:,.*)?", re.IGNORECASE),
        is_changes=True,
    ),
    Format("fixed", "lines of twelve characters", re.compile(r"0\d{9,10} {1,2}"), (_BRITISH,)),
    Format("lines", "one number per line", re.compile(r"\+?\d{7,15}"), LINES.layouts),
)

FORMATS = {form.name: form for form in (*_BY_LINE, CSV, XML)}


def sniff(start: bytes) -> Format:
    """Return the format of a text from its first bytes."""
    text = start.decode("utf-8", "replace").lstrip()
    if text.startswith("<"):
        return XML
    lines = [line.rstrip("\r") for line in text.split("\n")[:-1] or [text]]
    some = [line for line in lines if line.strip()][:SNIFFED]
    return max((*_BY_LINE, *_plain(some)), key=lambda form: _share(form, some))


def _plain(lines: Sequence[str]) -> tuple[Format, ...]:
    """Return the fallback format, for texts that no authority's format fits better."""
    return (CSV,) if any(set(line) & set(",;\t|") for line in lines) else (LINES,)


def _share(form: Format, lines: Sequence[str]) -> float:
    """Return how many of the lines match a format. A format without a pattern counts as matching half of them.

    Quotation marks and a spreadsheet's apostrophe change no format.
    """
    pattern = form.pattern
    if pattern is None:
        return len(lines) / 2
    return sum(pattern.fullmatch(line if form.name == "fixed" else _bare(line)) is not None for line in lines)


def _bare(line: str) -> str:
    return ",".join(only_cell(cell) for cell in line.split(","))
