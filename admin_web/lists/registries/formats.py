"""The formats in which authorities publish their lists, and how a file's format is told from its beginning."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

SNIFFED = 200
"""Lines that are looked at."""


class Layout(NamedTuple):
    """Where in a line of fixed width the digits stand: `six` name the exchange within a country, `line` the line.

    `fixed` are the other characters, by place.
    """

    code: int
    width: int
    six: tuple[int, ...]
    line: int
    fixed: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Format:
    """One format: its slug, what to call it, and which lines are in it.

    `layouts` are what most of its lines look like: those are read thousands at a time. `region` is where a number
    without a country code belongs, unless the registry's own country says it.
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
_BRITISH = Layout(44, 12, (1, 2, 3, 4, 5, 6), 7, ((0, "0"), (11, " ")))

XML = Format("xml", "XML with <ac> and <ph>")
CSV = Format("csv", "columns")
LINES = Format("lines", "one number a line", None, (_TEN, _ELEVEN, _PLUS))

_BY_LINE = (
    Format("flat", "area code, comma and seven digits a line", re.compile(r"\d{3}, ?\d{7}"), (_FLAT,)),
    Format(
        "changes",
        "changes: area code, number, and A or D for added or deleted",
        re.compile(r"\d{3}, ?\d{7},(?:.*,)?\s*\"?(?:[AaDd]|add|delete)\w*\"?\s*(?:,.*)?", re.IGNORECASE),
        is_changes=True,
    ),
    Format("fixed", "twelve characters a line", re.compile(r"0\d{9,10} {1,2}"), (_BRITISH,)),
    Format("lines", "one number a line", re.compile(r"\+?\d{7,15}"), LINES.layouts),
)

FORMATS = {form.name: form for form in (*_BY_LINE, CSV, XML)}


def sniff(start: bytes) -> Format:
    """Tell the format of a text that begins so."""
    text = start.decode("utf-8", "replace").lstrip()
    if text.startswith("<"):
        return XML
    lines = [line.rstrip("\r") for line in text.split("\n")[:-1] or [text]]
    some = [line for line in lines if line.strip()][:SNIFFED]
    return max((*_BY_LINE, *_plain(some)), key=lambda form: _share(form, some))


def _plain(lines: Sequence[str]) -> tuple[Format, ...]:
    """Give what the lines are if no format of an authority fits better."""
    return (CSV,) if any(set(line) & set(",;\t|") for line in lines) else (LINES,)


def _share(form: Format, lines: Sequence[str]) -> float:
    """Give how many of the lines are in a format; what has no pattern fits a half of any."""
    pattern = form.pattern
    if pattern is None:
        return len(lines) / 2
    return sum(pattern.fullmatch(line if form.name == "fixed" else line.strip()) is not None for line in lines)
