"""Numbers of a file are lifted; what is kept because the person asked, and what was not listed, is said apart."""

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from admin_web.lists.import_kind import Import
from admin_web.lists.imports import Intake
from admin_web.lists.lift_import import lift_numbers, preview_lift
from admin_web.lists.progress import Progress
from admin_web.lists.report import RejectedRows
from admin_web.lists.sheet import Sheet
from admin_web.record.changes import Records
from admin_web.record.models import AuditEvent
from admin_web.services.requests import record_requests, withdraw_request
from admin_web.services.suppression import suppress_many
from admin_web.worker.jobs.imports import LIFTS
from compliance.numbers import E164
from tests.support.records import ADMIN, rows

LISTED, ASKED, ABSENT = E164("+14155550100"), E164("+14155550101"), E164("+14155550102")
FILES = [
    ([LISTED, ASKED, ABSENT], (1, 1, 1)),
    ([ABSENT, ABSENT], (0, 2, 0)),
    ([ASKED, ASKED, ASKED], (0, 0, 3)),
    ([LISTED, LISTED, ASKED], (1, 1, 1)),
    ([LISTED], (1, 0, 0)),
]
"""The rows of a file, and how many of them are lifted, not on the list (any more), and kept."""


def sheet(numbers: Sequence[str]) -> Sheet:
    return Sheet(io.BufferedReader(io.BytesIO("\n".join(numbers).encode())), "list.csv")


@pytest.fixture
async def listed(records: Records) -> Records:
    """LISTED is on the list by an import, ASKED by its owner's request."""
    await suppress_many(records, ADMIN, [LISTED], source="import")
    await record_requests(records, ADMIN, [ASKED], source="ivr")
    return records


async def lifted(records: Records, path: Path, numbers: Sequence[str]) -> Progress:
    with RejectedRows(path / "rejected.csv") as report, sheet(numbers) as opened:
        into = Intake(records, ADMIN, lambda done: None)
        return await lift_numbers(into, opened, report, region="US", reason="Sold the business.")


@pytest.mark.parametrize(("numbers", "counts"), FILES)
async def test_each_row_is_counted_as_lifted_not_listed_or_kept(
    listed: Records, tmp_path: Path, numbers: Sequence[E164], counts: tuple[int, int, int]
):
    done = await lifted(listed, tmp_path, numbers)
    assert (done.added, done.already, done.kept) == counts
    assert done.such_as == ([ASKED] if counts[2] else [])
    said = LIFTS.counted(done)
    assert said.startswith(
        f"{counts[0]} lifted, {counts[1]} not on the list, {counts[2]} kept because the person asked"
    )
    assert (ASKED in said) is bool(counts[2])
    (event,) = [one for one in await rows(listed, AuditEvent) if one.action == "lift"]
    found = event.particulars
    assert found["lifted"] + found["kept"] + found["not_listed"] == len(set(numbers))
    assert found["not_listed"] == (ABSENT in numbers)


async def test_a_withdrawn_request_keeps_nothing_on_the_list(listed: Records, tmp_path: Path):
    await withdraw_request(listed, ADMIN, 1, reason="a wrong button")
    done = await lifted(listed, tmp_path, [ASKED])
    assert (done.added, done.already, done.kept) == (1, 0, 0)


@pytest.mark.parametrize(("most", "more"), [(None, False), (3, False), (2, True), (1, True)])
async def test_the_preview_says_whether_it_has_counted_every_number(listed: Records, most: int | None, more: bool):
    with sheet([LISTED, ASKED, LISTED, ABSENT]) as opened:
        would = await preview_lift(listed.database, opened, region="US", most=most)
    assert would.more is more
    assert would.lifted + would.kept + would.absent == min(most or 3, 3)
    if not more:
        assert str(would) == (
            "1 would be lifted, 1 would stay because the person asked not to be called, such as +14155550101, and 1 is "
            "not on the list."
        )


async def test_what_each_chunk_keeps_is_added_up(listed: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("admin_web.lists.lift_import.Import", partial(Import, chunk=1))
    done = await lifted(listed, tmp_path, [ASKED, LISTED, ABSENT, ASKED])
    assert (done.rows, done.added, done.already, done.kept, list(done.such_as)) == (4, 1, 1, 2, [ASKED])
