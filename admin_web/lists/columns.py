"""Recognition of the columns of a sheet."""

from collections.abc import Callable, Collection, Sequence

from admin_web.lists.sheet import NotASheet, SheetRow

SAMPLE = 50
"""Rows examined to recognise the columns."""

LONGEST_PLACE = 6

NUMBER_NAMES = {
    "number", "numbers", "phone", "phonenumber", "phonenumbers", "telephone", "telephonenumber", "tel", "mobile",
    "mobilenumber", "cell", "cellphone", "msisdn", "e164", "dialed", "dialled",
}  # fmt: skip
LEAD_NAMES = {"lead", "leadid", "crmid"}
PERSON_NAMES = {"name", "fullname", "leadname"}


class NoColumn(NotASheet):
    """A column cannot be recognised.

    The message says how to name it with an option; `fact` is the message without that advice.
    """

    def __init__(self, message: str, fact: str = "") -> None:
        super().__init__(message)
        self.fact = fact or message


def number_column(sample: Sequence[SheetRow], wanted: str | None, reads: Callable[[str], bool]) -> int:
    """Return the index of the number column: the `wanted` one, the one named so, or the only one that contains numbers.

    `wanted` is a heading or a position counted from 1; `reads` returns whether a cell is a number. Raises NoColumn.
    """
    rows = [row.cells for row in sample if row.cells]
    if not rows:
        return 0
    if wanted is not None:
        return _wanted(rows[0], wanted)
    named = named_column(rows[0], NUMBER_NAMES)
    if named is not None:
        return named
    if len(rows[0]) == 1:
        return 0
    return _only([index for index in range(len(rows[0])) if _holds_numbers(rows, index, reads)], rows[0])


def chosen_column(headings: Sequence[str], wanted: str | None, names: Collection[str]) -> int | None:
    """Return the index of the `wanted` column, or of the one with one of these names; None when there is none.

    Raises NoColumn.
    """
    return _wanted(headings, wanted) if wanted is not None else named_column(headings, names)


def named_column(headings: Sequence[str], names: Collection[str]) -> int | None:
    """Return the index of the column with one of these names; None when there is none. Raises NoColumn for several."""
    found = [index for index, heading in enumerate(headings) if _plain(heading) in names]
    return _only(found, headings) if found else None


def is_heading(cell: str) -> bool:
    """Return whether the first cell of a number column is its heading: it has letters and no digits."""
    return _plain(cell) in NUMBER_NAMES or (any(map(str.isalpha, cell)) and not any(map(str.isdigit, cell)))


def _wanted(headings: Sequence[str], wanted: str) -> int:
    if wanted.isdecimal() and len(wanted) < LONGEST_PLACE and 1 <= int(wanted) <= len(headings):
        return int(wanted) - 1
    for index, heading in enumerate(headings):
        if heading.casefold() == wanted.casefold():
            return index
    raise NoColumn(f"There is no column {wanted!r}. The columns of the first row are {_shown(headings)}.")


def _holds_numbers(rows: Sequence[Sequence[str]], index: int, reads: Callable[[str], bool]) -> bool:
    cells = [row[index] for row in rows if len(row) > index and row[index]]
    return bool(cells) and 2 * sum(map(reads, cells)) >= len(cells)


def _only(found: Sequence[int], headings: Sequence[str]) -> int:
    if len(found) == 1:
        return found[0]
    what = "Several columns contain numbers" if found else "No column contains numbers"
    shown = f"The columns of the first row are {_shown(headings)}."
    raise NoColumn(f"{what}; choose one with --column. {shown}", f"{what}. {shown}")


def _shown(headings: Sequence[str]) -> str:
    return ", ".join(f"{place} {heading[:40]!r}" for place, heading in enumerate(headings[:20], start=1))


def _plain(heading: str) -> str:
    return "".join(character for character in heading.casefold() if character.isalnum())
