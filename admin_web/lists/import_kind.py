"""What the kinds of imports differ in: how a row is read, and how its items are recorded."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from admin_web.lists.layout import RowRejected
from admin_web.lists.progress import Progress
from admin_web.record.changes import Change
from admin_web.services.suppression import CHUNK

Item = TypeVar("Item")


class Recorded(NamedTuple):
    """How many items of a chunk were new or changed, and the numbers that stay because the person asked."""

    new: int
    kept: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Import(Generic[Item]):
    """The kind of an import: `read` converts a row's cells into items, `put` records a chunk of items in a change.

    `read` also returns why the row is rejected, if anything in it cannot be taken. A row has at most `most` items.
    `put` also gets the id of the import, and returns what became of the items. `begin` records the import in the
    transaction of its first items, and returns its id. `count` records the progress of the import in each
    transaction.

    A window is the rows with up to `window` items, which are read at a time. `arrange` may put the items of a window
    into another order and drop duplicates. A transaction records up to `chunk` of them.
    """

    read: Callable[[Sequence[str]], tuple[Sequence[Item], RowRejected | None]]
    put: Callable[[Change, Sequence[Item], int], Awaitable[Recorded]]
    most: int = 1
    begin: Callable[[Change], Awaitable[int]] | None = None
    count: Callable[[Change, Progress], Awaitable[None]] | None = None
    window: int = CHUNK
    chunk: int = CHUNK
    arrange: Callable[[list[Item]], list[Item]] = list
