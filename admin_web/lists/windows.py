"""The rows of a sheet, read window by window in a thread while the caller records the last one."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from itertools import islice
from time import sleep
from typing import Generic, NamedTuple
from zlib import crc32

from admin_web.lists.import_kind import Import, Item
from admin_web.lists.layout import RowRejected
from admin_web.lists.report import RejectedRows
from admin_web.lists.sheet import SheetRow
from admin_web.lists.threads import in_thread
from admin_web.services.suppression import CHUNK

YIELDS_AFTER = 200
"""Rows after which the reading thread lets the event loop run. Otherwise Python switches only after 5 ms, and each
statement of the transaction that is open meanwhile would wait that long.
"""

MALFORMED = RowRejected("malformed", "the quotation marks do not match")


class Window(NamedTuple, Generic[Item]):
    """Some rows that were read: the items to record, and the positions in sheet and report after these rows.

    `given` is how many items the rows have, duplicates included.
    """

    rows: int
    items: list[Item]
    given: int
    line: int
    rejected: int
    report_bytes: int

    @property
    def mark(self) -> int:
        """A checksum of the items, in their order."""
        return crc32("\n".join(map(str, self.items)).encode())


async def skip(rows: Iterator[SheetRow], many: int) -> None:
    """Read and drop the first `many` rows."""
    for first in range(0, many, CHUNK):
        await in_thread(_pass_over, rows, min(CHUNK, many - first))


def _pass_over(rows: Iterator[SheetRow], many: int) -> None:
    for _ in islice(rows, many):
        pass


async def read_ahead(
    rows: Iterator[SheetRow], work: Import[Item], report: RejectedRows
) -> AsyncGenerator[Window[Item]]:
    """Yield window after window. The next one is read while the caller records the last one."""
    reading = asyncio.ensure_future(in_thread(_read_window, rows, work, report))
    try:
        while (window := await reading).rows:
            reading = asyncio.ensure_future(in_thread(_read_window, rows, work, report))
            yield window
    finally:
        reading.cancel()
        await asyncio.wait({reading})


def _read_window(rows: Iterator[SheetRow], work: Import[Item], report: RejectedRows) -> Window[Item]:
    items: list[Item] = []
    count = line = 0
    for row in islice(rows, max(1, work.window // work.most)):
        count, line = count + 1, row.line
        if count % YIELDS_AFTER == 0:
            sleep(0)
        taken, rejected = work.read(row.cells) if row.cells is not None else ((), MALFORMED)
        items.extend(taken)
        if rejected is not None:
            report.add(row.line, rejected.reason, str(rejected), row.text)
    return Window(count, work.arrange(items), len(items), line, report.count, report.flush())
