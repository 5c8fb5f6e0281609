"""Taking a sheet in, chunk by chunk: each row is recorded, or reported with its reason; none is lost.

Every chunk is one transaction, and what stands already is left alone: an import that was cut short, by whatever, is
finished by running it again.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from admin_web.report import RejectedRows
from admin_web.services.records import IN_FORCE, NotInForce, Projector, Standing
from admin_web.services.suppression import CHUNK
from admin_web.sheet import Row
from compliance.numbers import E164, InvalidNumber, normalize

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is: rows read so far, and what became of them."""

    rows: int = 0
    added: int = 0
    already: int = 0
    rejected: int = 0
    standing: Standing = IN_FORCE


class RowRejected(Exception):
    """A row cannot be accepted; `reason` is a slug, the message explains it."""

    def __init__(self, reason: str, explanation: str) -> None:
        super().__init__(explanation)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Import(Generic[Item]):
    """What an import does: `read` makes an item of a row's cells, `keep` records a chunk of them.

    `keep` gives how many were new (or changed), and whether they are in force.
    """

    read: Callable[[Sequence[str]], Item]
    keep: Callable[[Sequence[Item]], Awaitable[tuple[int, Standing]]]


def read_number(cells: Sequence[str], place: int, width: int, region: str) -> E164:
    """Read the number of a row. Raises RowRejected.

    A row with more cells than the first has an unquoted delimiter in one of them: the cell at `place` may be another
    than it seems.
    """
    if any(cells[width:]):
        raise RowRejected("too-many-cells", f"the first row has {width} cells, this one {len(cells)}")
    cell = cells[place] if len(cells) > place else ""
    if not cell:
        raise RowRejected("no-number", "the number's cell is empty")
    try:
        return normalize(cell, region)
    except InvalidNumber as error:
        raise RowRejected(error.reason, str(error)) from None


async def take_in(
    rows: Iterator[Row], work: Import[Item], report: RejectedRows, on_progress: Callable[[Progress], None]
) -> Progress:
    """Record chunk after chunk; memory holds one of them."""
    done = Progress()
    while chunk := list(islice(rows, CHUNK)):
        items: list[Item] = []
        for row in chunk:
            try:
                items.append(_read(row, work))
            except RowRejected as rejected:
                report.add(row.line, rejected.reason, str(rejected), row.text)
        report.flush()
        added, standing = await work.keep(items) if items else (0, done.standing)
        done = Progress(
            rows=done.rows + len(chunk),
            added=done.added + added,
            already=done.already + len(items) - added,
            rejected=report.count,
            standing=standing,
        )
        on_progress(done)
    return done


def _read(row: Row, work: Import[Item]) -> Item:
    if row.cells is None:
        raise RowRejected("malformed", "its quotation marks do not match")
    return work.read(row.cells)


def without_heading(rows: Iterator[Row], is_heading_row: Callable[[Sequence[str]], bool]) -> Iterator[Row]:
    """Leave out the first row if it is the heading."""
    for place, row in enumerate(rows):
        if place or row.cells is None or not is_heading_row(row.cells):
            yield row


def is_number(cell: str, region: str) -> bool:
    """Tell whether a cell reads as a number."""
    try:
        normalize(cell, region)
    except InvalidNumber:
        return False
    return True


class UntilRefused:
    """A projector that is not asked again once it failed: a long import would wait for Redis at each chunk."""

    def __init__(self, projector: Projector) -> None:
        self._projector = projector
        self._refused: NotInForce | None = None

    async def drain(self) -> None:
        """Apply every committed change, as long as that works. Raises NotInForce."""
        if self._refused is not None:
            raise NotInForce(str(self._refused))
        try:
            await self._projector.drain()
        except NotInForce as error:
            self._refused = error
            raise
