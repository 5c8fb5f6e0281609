"""Recognition of the columns of a sheet, by their headings, their positions and their content."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from admin_web.lists.headings import is_telephone_heading
from admin_web.lists.sheet import NotASheet

SAMPLE = 50
"""Rows examined to recognise the columns."""

FEW = 0.1
"""Minimum share of numbers among a column's filled cells. A message names such a column if it is not read."""

LONGEST_PLACE = 6
NANP_AREA = 3
"""Digits of an area code in the North American plan."""

MOST_JOINED = 3
"""Maximum number of columns over which a number is split: area code, exchange and line."""

NUMBER_NAMES = {
    "number", "numbers", "phone", "phonenumber", "phonenumbers", "telephone", "telephonenumber", "tel", "mobile",
    "mobilenumber", "cell", "cellphone", "msisdn", "e164", "dialed", "dialled",
}  # fmt: skip
AREA_NAMES = {"area", "areacode", "ac", "npa", "citycode", "dialingcode", "prefix", "ndc", "vorwahl", "indicatif"}
COUNTRY_NAMES = {"countrycode", "cc", "callingcode", "countrycallingcode", "phonecountrycode", "phonecode"}
LEAD_NAMES = {"lead", "leadid", "crmid"}
PERSON_NAMES = {"name", "fullname", "leadname"}

_AREA = re.compile(r"\(?[0-9]{2,5}\)?")
_COUNTRY = re.compile(r"(?:\+|00)?[1-9][0-9]{0,2}")
_REST = re.compile(r"[0-9][0-9 ./-]{1,11}")

Reads = Callable[[str], bool]
"""Returns whether a cell contains a telephone number."""


class NoColumn(NotASheet):
    """A column cannot be recognised.

    The message says how to name it with an option; `fact` is the message without that advice.
    """

    def __init__(self, message: str, fact: str = "") -> None:
        super().__init__(message)
        self.fact = fact or message


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """Where a row has one number: in one cell, or in several whose digits are joined. `places` count from 0.

    With `international` the first of them is the country code.
    """

    places: tuple[int, ...]
    international: bool = False

    def text(self, cells: Sequence[str]) -> str:
        """Return the number's text in a row; empty if the row has none."""
        if len(self.places) == 1:
            return cells[self.places[0]] if len(cells) > self.places[0] else ""
        parts = [cells[place] if len(cells) > place else "" for place in self.places]
        if not self.international:
            return "".join(parts)
        return f"+{parts[0].removeprefix('+').removeprefix('00')}{''.join(parts[1:])}" if any(parts[1:]) else ""

    def __str__(self) -> str:
        """Return the positions, counted from 1, as `--column` takes them."""
        return "+".join(str(place + 1) for place in self.places)


def number_columns(
    rows: Sequence[Sequence[str]],
    headings: Sequence[str],
    wanted: Sequence[str],
    reads: Reads,
    *,
    several: bool = False,
) -> tuple[NumberColumn, ...]:
    """Return the number columns: the `wanted` ones, else the one with a usual name, else the only one with numbers.

    `rows` are some rows without the headings. Each item of `wanted` is a heading or a position counted from 1.
    Commas separate several columns. A plus joins columns that make a number together. With `several`, every column
    whose heading and cells are those of telephone numbers is returned if none is `wanted`. Raises NoColumn.
    """
    if wanted:
        found = [one for given in wanted for one in _wanted_columns(headings, given)]
        return tuple(dict.fromkeys(found))
    named = [index for index, heading in enumerate(headings) if plain(heading) in NUMBER_NAMES]
    joined = joined_column(rows, headings, named, reads)
    if several and (all_of_them := telephone_columns(rows, headings, named, joined, reads)):
        return all_of_them
    if joined is not None:
        return (joined,)
    if not named and len(headings) <= 1:
        return (NumberColumn((0,)),)
    return (NumberColumn((_only(named or holding(rows, len(headings), reads), headings),)),)


def telephone_columns(
    rows: Sequence[Sequence[str]],
    headings: Sequence[str],
    named: Sequence[int],
    joined: NumberColumn | None,
    reads: Reads,
) -> tuple[NumberColumn, ...]:
    """Return the columns whose heading is that of telephone numbers and whose cells contain some, and the joined ones.

    If there is one column with a usual name, it is returned whatever its cells contain. A column of country codes
    belongs to each column of numbers.
    """  # fmt: skip
    first = () if joined is None else (joined,)
    country, some = country_column(rows, headings), holding(rows, len(headings), reads, FEW)
    found: list[NumberColumn] = []
    for place, heading in enumerate(headings):
        if place == country or any(place in column.places for column in first):
            continue
        if place in named or is_telephone_heading(heading):
            with_country = None if country is None else _with_country(rows, country, place, reads)
            if with_country is not None or place in some or [place] == [*named]:
                found.append(with_country or NumberColumn((place,)))
    return *first, *found


def country_column(rows: Sequence[Sequence[str]], headings: Sequence[str]) -> int | None:
    """Return the index of the column of country codes; None if there is none."""
    return next((index for index in range(len(headings)) if _is_country(rows, headings, index)), None)


def holding(rows: Sequence[Sequence[str]], width: int, reads: Reads, least: float = 0.5) -> list[int]:
    """Return the columns that contain numbers: in at least the share `least` of their filled cells."""
    cells = [[row[index] for row in rows if _filled(row, index)] for index in range(width)]
    return [index for index, some in enumerate(cells) if some and sum(map(reads, some)) >= least * len(some)]


def joined_column(
    rows: Sequence[Sequence[str]], headings: Sequence[str], named: Sequence[int], reads: Reads
) -> NumberColumn | None:
    """Return the column that makes numbers only together with the columns before it; None if there is none.

    Raises NoColumn if there are several.
    """
    width = len(headings)
    country = country_column(rows, headings)
    if country is not None and len(rest := [*named] or holding(rows, width, reads)) == 1 and rest[0] != country:
        return _with_country(rows, country, rest[0], reads)
    whole = holding(rows, width, reads)
    found = [one for one in split_columns(rows, headings, reads) if not named or set(one.places) & set(named)]
    if not found or set(named) & set(whole):
        return None
    if len(found) > 1 or (whole and not named):
        raise _doubt("Several columns contain numbers, some of them only together", headings)
    return found[0]


def split_columns(rows: Sequence[Sequence[str]], headings: Sequence[str], reads: Reads) -> list[NumberColumn]:
    """Return the neighbouring columns, none of which contains numbers by itself, that make numbers together.

    The first of them has the heading of an area code or, without headings, looks like one. Pairs are tried first.
    """
    width, whole = len(headings), set(holding(rows, len(headings), reads, FEW))
    for many in range(2, MOST_JOINED + 1):
        runs = [
            range(first, first + many)
            for first in range(width - many + 1)
            if whole.isdisjoint(range(first, first + many))
        ]
        found = [
            NumberColumn(tuple(run))
            for run in runs
            if _is_area(rows, headings, run[0]) and _make_numbers(rows, run, reads)
        ]
        if found:
            return found
    return []


def has_number(cells: Sequence[str], reads: Reads) -> bool:
    """Return whether a row contains a number, in one cell or in neighbours that are joined."""
    many = range(2, MOST_JOINED + 1)
    runs = [range(first, first + size) for size in many for first in range(len(cells) - size + 1)]
    return any(map(reads, cells)) or any(_make_numbers([cells], run, reads) for run in runs)


def chosen_column(headings: Sequence[str], wanted: str | None, names: Collection[str]) -> int | None:
    """Return the index of the `wanted` column, else of the column with one of these names; None if there is none.

    Raises NoColumn.
    """
    return _wanted(headings, wanted) if wanted is not None else named_column(headings, names)


def named_column(headings: Sequence[str], names: Collection[str]) -> int | None:
    """Return the index of the column with one of these names; None when there is none. Raises NoColumn for several."""
    found = [index for index, heading in enumerate(headings) if plain(heading) in names]
    return _only(found, headings) if found else None


COUNTING_DIGITS = 2
"""Maximum number of digits in the heading of one of several columns of telephone numbers."""


def is_heading(cell: str) -> bool:
    """Return whether the first cell of a number column is its heading.

    It has letters and no digits, or it names telephones and counts them: Phone 2.
    """
    digits = sum(map(str.isdigit, cell))
    if plain(cell) in NUMBER_NAMES or (digits <= COUNTING_DIGITS and is_telephone_heading(cell)):
        return True
    return digits == 0 and any(map(str.isalpha, cell))


def shown(headings: Sequence[str]) -> str:
    """Return the positions, counted from 1, and the cells of a row of headings, for a message."""
    return ", ".join(f"{place} {heading[:40]!r}" for place, heading in enumerate(headings[:20], start=1))


def plain(heading: str) -> str:
    """Return a heading without case, spaces and dashes, for comparison with the usual names."""
    return "".join(character for character in heading.casefold() if character.isalnum())


def _wanted_columns(headings: Sequence[str], wanted: str) -> Iterator[NumberColumn]:
    """Yield the columns of one `--column`. A heading that contains a comma or a plus is taken as it is."""
    place = _place(headings, wanted)
    if place is not None:
        yield NumberColumn((place,))
    elif "," in wanted:
        for part in wanted.split(","):
            yield from _wanted_columns(headings, part.strip())
    else:
        places = tuple(_wanted(headings, part.strip()) for part in wanted.split("+"))
        yield NumberColumn(places, len(places) > 1 and plain(headings[places[0]]) in COUNTRY_NAMES)


def _wanted(headings: Sequence[str], wanted: str) -> int:
    place = _place(headings, wanted)
    if place is None:
        raise NoColumn(f"There is no column {wanted!r}. The columns of the first row are {shown(headings)}.")
    return place


def _place(headings: Sequence[str], wanted: str) -> int | None:
    if wanted.isdecimal() and len(wanted) < LONGEST_PLACE and 1 <= int(wanted) <= len(headings):
        return int(wanted) - 1
    return next((index for index, heading in enumerate(headings) if heading.casefold() == wanted.casefold()), None)


def _is_area(rows: Sequence[Sequence[str]], headings: Sequence[str], index: int) -> bool:
    """Return whether a column may contain area codes. Postal codes would also make numbers with many other columns."""
    if any(map(str.isalpha, headings[index])):
        return plain(headings[index]) in AREA_NAMES or "area" in plain(headings[index])
    cells = [row[index].strip("()") for row in rows if _filled(row, index)]
    return all(cell.startswith("0") for cell in cells) or {len(cell) for cell in cells} == {NANP_AREA}


def _make_numbers(rows: Sequence[Sequence[str]], places: Sequence[int], reads: Reads) -> bool:
    """Return whether these columns make a number in nine of ten rows: an area code and the rest of the number.

    Nine of ten are required, because two columns with other content often happen to make a number in some rows.
    """
    whole = [[row[place] for place in places] for row in rows if all(_filled(row, place) for place in places)]
    areas = [parts[0] for parts in whole]
    if not whole or not all(map(_AREA.fullmatch, areas)):
        return False
    if not all(_REST.fullmatch(part) for parts in whole for part in parts[1:]):
        return False
    return 10 * sum(reads("".join(parts)) for parts in whole) >= 9 * len(whole)


def _is_country(rows: Sequence[Sequence[str]], headings: Sequence[str], index: int) -> bool:
    cells = [row[index] for row in rows if _filled(row, index)]
    return plain(headings[index]) in COUNTRY_NAMES and bool(cells) and all(map(_COUNTRY.fullmatch, cells))


def _with_country(rows: Sequence[Sequence[str]], country: int, rest: int, reads: Reads) -> NumberColumn | None:
    """Return the column of numbers joined with their country codes; None if the numbers have them already."""
    column = NumberColumn((country, rest), international=True)
    cells = [row for row in rows if _filled(row, country) and _filled(row, rest)]
    if all(row[rest].startswith(("+", "00")) for row in cells):
        return None
    return column if _mostly([column.text(row) for row in cells], reads) else None


def _filled(row: Sequence[str], index: int) -> bool:
    return len(row) > index and bool(row[index])


def _mostly(cells: Sequence[str], reads: Reads) -> bool:
    return bool(cells) and 2 * sum(map(reads, cells)) >= len(cells)


def _only(found: Sequence[int], headings: Sequence[str]) -> int:
    if len(found) == 1:
        return found[0]
    raise _doubt("Several columns contain numbers" if found else "No column contains numbers", headings)


def _doubt(what: str, headings: Sequence[str]) -> NoColumn:
    said = f"The columns of the first row are {shown(headings)}."
    return NoColumn(f"{what}; choose with --column, one or several. {said}", f"{what}. {said}")
