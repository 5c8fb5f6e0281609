"""The column of a file of changes that says what was done to a number: A for added, D for deleted."""

from collections.abc import Collection, Sequence

from admin_web.lists.columns import NoColumn, plain, shown

ADDED = {"a", "add", "added", "addition", "insert", "inserted", "new", "+"}
DELETED = {"d", "del", "delete", "deleted", "deletion", "remove", "removed", "-"}

DEED_NAMES = {
    "change", "changes", "changetype", "changeflag", "changecode", "action", "actioncode", "operation", "op",
    "adddelete", "adddel", "ad", "transaction", "transactiontype", "transactioncode",
}  # fmt: skip


def is_added(cell: str) -> bool | None:
    """Return whether a cell says that the number was added (True) or deleted (False); None if it says neither."""
    word = cell.strip().casefold()
    return True if word in ADDED else False if word in DELETED else None


def deed_column(rows: Sequence[Sequence[str]], headings: Sequence[str], read: Collection[int]) -> int | None:
    """Return the index of the column that says A or D in each row; None if there is none.

    `rows` are some rows without the headings, `read` the columns of the numbers. Raises NoColumn if it is unclear.
    """
    width = max(map(len, rows), default=0)
    cells = {
        index: [row[index] for row in rows if len(row) > index and row[index]]
        for index in range(width)
        if index not in read
    }
    found = [index for index, some in cells.items() if some and None not in map(is_added, some)]
    if len(found) > 1:
        raise NoColumn(f"Several columns say A or D, for added or deleted: {shown(_heads(found, headings))}.")
    if not found:
        _require_no_other(cells, headings)
    return found[0] if found else None


def _require_no_other(cells: dict[int, list[str]], headings: Sequence[str]) -> None:
    """Raise NoColumn if a heading promises a column of changes whose cells are not understood."""
    for index, some in cells.items():
        if some and index < len(headings) and plain(headings[index]) in DEED_NAMES:
            odd = next(cell for cell in some if is_added(cell) is None)
            raise NoColumn(
                f"Column {index + 1} {headings[index]!r} says what happened to each number, but {odd[:40]!r} is not "
                "understood. Write A for added and D for deleted, or remove the column."
            )


def _heads(found: Sequence[int], headings: Sequence[str]) -> list[str]:
    return [headings[index] if index < len(headings) else "" for index in found]
