"""Scrubbing: judge a list of numbers by the gate's rule, from the data in SQL.

SQL is the source that Redis copies, so a scrub needs no Redis and sees every change as soon as it is recorded. Long
lists are judged window by window: each exchange of a registry is read once for many rows, and memory holds one window.
Meanwhile the other columns of the rows are kept pickled, which takes a quarter of the memory.
"""

import csv
import pickle
import re
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice
from typing import NamedTuple, TextIO

import numpy as np

from admin_web.judging.listing import Numbers
from admin_web.judging.rulings import Rulings, integers, rulings_on_record
from admin_web.lists.scrub_input import ScrubRow, asked_of_sheet
from admin_web.lists.sheet import Sheet
from admin_web.lists.spreadsheet import defused
from admin_web.lists.threads import in_thread
from admin_web.record.database import Database
from compliance.numbers import E164, InvalidNumber, LeadId
from compliance.verdict import Reason, Ruling, Verdict

COLUMNS = ("row", "number", "lead", "verdict", "reason", "detail")

PIECE = 2_000
"""Rows that are read, pickled and yielded together."""

_QUOTED = re.compile('[,"\r\n]')


class Window(NamedTuple):
    """Size of a window: at most this many rows, or about this many bytes of pickled rows."""

    rows: int
    size: int


WHOLE = Window(1_000_000, 100_000_000)
"""The window for a process that does nothing else."""

SHARED = Window(100_000, 20_000_000)
"""The window for a process that serves other requests as well."""


class Judged(NamedTuple):
    """Some rows of a list, in order and as columns, each with its ruling."""

    lines: Sequence[int]
    texts: Sequence[str]
    numbers: Sequence[E164 | InvalidNumber]
    leads: Sequence[LeadId | None]
    rulings: Sequence[Ruling]


@dataclass(slots=True)
class Scrubbed:
    """The number of rows that were judged, by verdict and reason. `not_read` says what was not read of the sheet."""

    reasons: Counter[tuple[Verdict, Reason]] = field(default_factory=Counter)
    not_read: str = ""

    @property
    def rows(self) -> int:
        """How many rows were judged."""
        return self.reasons.total()

    @property
    def allowed(self) -> int:
        """How many of the judged rows may be dialled."""
        return sum(rows for (verdict, _), rows in self.reasons.items() if verdict is Verdict.ALLOW)

    @property
    def blocked(self) -> list[tuple[Reason, int]]:
        """The reasons of the blocked rows with the number of rows for each, the most frequent first."""
        return [(reason, rows) for (verdict, reason), rows in self.reasons.most_common() if verdict is Verdict.BLOCK]

    def count(self, rulings: Sequence[Ruling]) -> None:
        """Count the rulings on some rows. Most rows share a ruling object, so rulings are counted by identity."""
        rows = Counter(map(id, rulings))
        for ruling in distinct(rulings):
            self.reasons[ruling.verdict, ruling.reason] += rows[id(ruling)]


async def scrub(
    database: Database,
    sheet: Sheet,
    out: TextIO,
    *,
    region: str,
    column: str | None = None,
    at: datetime,
    campaign: str = "",
) -> Scrubbed:
    """Write a verdict for each row of a sheet, in order, as of one snapshot at `at` (aware UTC), for a campaign.

    If there is a column named lead, overrides of that lead apply. Raises NotASheet, DatabaseUnavailable.
    """
    csv.writer(out).writerow(COLUMNS)
    done, not_read = Scrubbed(), list[str]()
    asked = asked_of_sheet(sheet, region, column, not_read.append)
    async with aclosing(judged(database, asked, at, WHOLE, campaign)) as pieces:
        async for piece in pieces:
            out.write(spelled(piece))
            done.count(piece.rulings)
    done.not_read = " ".join(not_read)
    return done


async def judged(
    database: Database, asked: Iterator[ScrubRow], at: datetime, most: Window = SHARED, campaign: str = ""
) -> AsyncGenerator[Judged]:
    """Yield the rows with their rulings, in pieces, as of one snapshot at `at` (aware UTC), for a campaign.

    Slow work is done in a thread, so that other requests are not delayed. It is a single thread, because every thread
    that allocates much memory keeps much of it (malloc(3), M_ARENA_MAX).
    """
    with ThreadPoolExecutor(1, "scrub") as pool:
        aside = partial(in_thread, pool=pool)
        async with database.read() as session:
            while (window := await aside(_read_window, asked, most)).pieces:
                rulings = await rulings_on_record(session, np.concatenate(window.numbers), at, aside, campaign)
                for first in range(0, len(rulings.groups.kinds), PIECE):
                    yield await aside(_unpacked, window.pieces.popleft(), rulings, first)


class _Window(NamedTuple):
    """A window of rows: their numbers, and their pickled columns."""

    numbers: list[Numbers]
    pieces: deque[bytes]


def _read_window(asked: Iterator[ScrubRow], most: Window) -> _Window:
    window, rows, size = _Window([], deque()), 0, 0
    while rows < most.rows and size < most.size and (piece := list(islice(asked, PIECE))):
        columns = tuple(zip(*piece, strict=True))
        window.numbers.append(integers(columns[2]))
        window.pieces.append(pickle.dumps(columns, pickle.HIGHEST_PROTOCOL))
        rows, size = rows + len(piece), size + len(window.pieces[-1])
    return window


def _unpacked(packed: bytes, rulings: Rulings, first: int) -> Judged:
    lines, texts, numbers, leads = pickle.loads(packed)  # noqa: S301 - packed by ourselves, and never left the process
    return Judged(lines, texts, numbers, leads, rulings.of(numbers, leads, first))


def spelled(piece: Judged) -> str:
    """Format rows as CSV like `csv.writer`, but faster: only the row's own text can need quotation marks."""
    said = {id(one): f"{one.verdict},{one.reason},{one.detail}\r\n" for one in distinct(piece.rulings)}
    return "".join(
        f"{_cell(text)},{'' if isinstance(number, InvalidNumber) else number},{lead or ''},{said[id(ruling)]}"
        for text, number, lead, ruling in zip(piece.texts, piece.numbers, piece.leads, piece.rulings, strict=True)
    )


def distinct(rulings: Sequence[Ruling]) -> Iterable[Ruling]:
    """Return each distinct ruling object once; many rows share one."""
    return {id(ruling): ruling for ruling in rulings}.values()


def _cell(text: str) -> str:
    text = defused(text)
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text
