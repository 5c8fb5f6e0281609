"""An import in windows and chunks records what reading row by row finds, wherever it is killed and resumed."""

import asyncio
import io
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from admin_web.lists.import_kind import Import, Recorded
from admin_web.lists.imports import Intake, take_in
from admin_web.lists.layout import Layout
from admin_web.lists.number_import import in_order, read_row
from admin_web.lists.progress import Progress
from admin_web.lists.report import RejectedRows
from admin_web.lists.sheet import Sheet
from admin_web.record.changes import IN_FORCE, Change, Records, Standing
from compliance.numbers import E164, InvalidNumber, normalize
from tests.support.records import ADMIN

FIRST = "4155550199"
CELLS = [
    *(f"415555{line:04}" for line in range(100, 112)), "(415) 555-0101", "+1 415 555 0102", "=\"4155550103\"", "oops",
    "555-0100", "+442079460000", "'4155550104", "1e10", "4155550105.0", "+1 (415) 555-0106 ext 7",
]  # fmt: skip


class Killed(Exception):
    """Stops the import in a transaction, which is rolled back."""


@dataclass
class Kept:
    """What the transactions of an import have committed."""

    numbers: list[E164] = field(default_factory=list)
    place: Progress = field(default_factory=Progress)
    commits: int = 0
    dies_after: int | None = None

    @asynccontextmanager
    async def change(self, _: object) -> AsyncIterator[Change]:
        ours, place = list(self.numbers), self.place
        try:
            yield cast("Change", SimpleNamespace(session=None))
        except Killed:
            self.numbers, self.place = ours, place
            raise
        self.commits += 1

    async def standing(self) -> Standing:
        return IN_FORCE

    async def put(self, _: Change, numbers: Sequence[E164], __: int) -> Recorded:
        new = [number for number in numbers if number not in self.numbers]
        self.numbers += new
        return Recorded(len(new))

    async def keep(self, _: Any, done: Progress) -> None:
        if self.commits == self.dies_after:
            raise Killed
        self.place = done


def imported(kept: Kept, content: str, window: int, chunk: int, path: Path) -> Progress:
    raw = content.encode()
    sheet = Sheet(io.BufferedReader(io.BytesIO(raw)), "list.txt", len(raw))
    rows = list(sheet)
    layout = Layout.found(rows, ("1",), "US")
    work = Import(lambda cells: read_row(layout, cells), kept.put, window=window, chunk=chunk, arrange=in_order)
    records = SimpleNamespace(change=kept.change, standing=kept.standing, projector=None)
    begun = kept.place
    into = Intake(cast("Records", _Replaceable(records)), ADMIN, lambda _: None, kept.keep, begun)
    with RejectedRows(path, begun.rejected, begun.report_bytes) as report:
        return asyncio.run(take_in(iter(rows), work, report, into))


@dataclass
class _Replaceable:
    """Records whose projector can be replaced, as an import does."""

    real: Any
    projector: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def by_rows(content: str) -> tuple[set[str], list[int]]:
    """Return the numbers that are found row by row, and the lines without one."""
    numbers, rejected = set(), []
    for line, cell in enumerate(content.splitlines(), start=1):
        try:
            numbers.add(normalize(cell, "US"))
        except InvalidNumber:
            rejected.append(line)
    return numbers, rejected


@pytest.mark.exhaustive
@given(
    cells=st.lists(st.sampled_from(CELLS), max_size=30), window=st.integers(1, 12), chunk=st.integers(1, 5),
    deaths=st.lists(st.integers(0, 6), max_size=3),
)  # fmt: skip
@example(cells=["4155550101"] * 12, window=12, chunk=1, deaths=[])
@example(cells=CELLS, window=12, chunk=5, deaths=[1, 1, 0])
def test_windows_record_what_reading_row_by_row_finds_wherever_they_are_killed(cells, window, chunk, deaths):
    content, kept = "\n".join([FIRST, *cells]), Kept()
    numbers, rejected = by_rows(content)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "rejected.csv"
        for more in deaths:
            kept.dies_after = kept.commits + more
            try:
                imported(kept, content, window, chunk, path)
            except Killed:
                continue
        kept.dies_after = None
        done = imported(kept, content, window, chunk, path)
        report = path.read_text().splitlines()[1:] if path.exists() else []
    assert sorted(kept.numbers) == sorted(numbers)
    assert (done.rows, done.added, done.rejected) == (len(cells) + 1, len(numbers), len(rejected))
    assert done.added + done.already == len(cells) + 1 - len(rejected)
    assert [int(line.split(",")[0]) for line in report] == rejected
