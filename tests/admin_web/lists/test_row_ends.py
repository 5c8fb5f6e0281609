"""An import lists numbers for a while: all of them, or each as its row says."""

import csv
import io
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from admin_web.lists.columns import NoColumn
from admin_web.lists.imports import Intake
from admin_web.lists.number_import import import_numbers
from admin_web.lists.progress import Progress
from admin_web.lists.report import RejectedRows
from admin_web.lists.row_ends import EndsAsked
from admin_web.lists.sheet import Sheet
from admin_web.record.changes import Records
from admin_web.record.database import Database
from admin_web.record.models import SuppressionEntry
from admin_web.services.requests import record_request
from admin_web.services.suppression import lift, suppress
from compliance.ends import EndPassed, EndRefused
from compliance.numbers import E164
from tests.support.plans import statements_of
from tests.support.records import ADMIN, AT, rows

LATE = datetime(2026, 7, 1, tzinfo=UTC)
THREE = "number,ends\n4155550100,2026-03-31\n4155550101,\n4155550102,2026-03-31T06:00:00-04:00\n"


class Importing:
    """Imports with ends, and keeps what was warned and reported."""

    def __init__(self, records: Records, directory: Path) -> None:
        self.records, self.path = records, directory / "rejected.csv"
        self.warned: list[str] = []

    async def take(self, content: str, **asked: object) -> Progress:
        into = Intake(self.records, ADMIN, lambda _: None, warn=self.warned.append)
        sheet = Sheet(io.BufferedReader(io.BytesIO(content.encode())), "list.csv", len(content))
        requested = asked.pop("asked_on", None)
        with RejectedRows(self.path) as report:
            return await import_numbers(into, sheet, report, region="US", ends=EndsAsked(**asked), asked_on=requested)

    async def ends(self) -> dict[str, datetime | None]:
        return {entry.number[-2:]: entry.ends_at for entry in await rows(self.records, SuppressionEntry)}

    def rejected(self) -> list[tuple[str, str]]:
        with self.path.open(newline="") as file:
            return [(row["line"], row["reason"]) for row in csv.DictReader(file)]


@pytest.fixture
def importing(records: Records, tmp_path: Path) -> Importing:
    return Importing(records, tmp_path)


async def test_all_entries_of_a_file_end_at_the_same_moment(importing: Importing):
    await importing.take("4155550100\n4155550101\n", until=LATE)
    assert await importing.ends() == {"00": LATE, "01": LATE}


async def test_each_row_moves_the_end_of_its_own_number_only_to_a_later_one(importing: Importing, records: Records):
    await importing.take("4155550100\n4155550101\n4155550102\n4155550103\n", until=LATE)
    await suppress(records, ADMIN, E164("+14155550104"), source="phone")
    await record_request(records, ADMIN, E164("+14155550105"), source="phone")
    await lift(records, ADMIN, E164("+14155550105"), reason="x")
    later = LATE + timedelta(seconds=1, microseconds=5)
    rows_ = (("0100", later.isoformat()), ("0101", "2026-06-30T23:59:59Z"), ("0102", ""), ("0104", "2026-09-01"))
    content = "".join(f"415555{line},{end}\n" for line, end in (*rows_, ("0105", "2026-09-01"), ("0106", "2026-09-01")))
    done = await importing.take(f"number,ends\n{content}", column="ends")
    assert (done.added, done.already) == (2, 4)
    entries = {one.number[-2:]: one for one in await rows(records, SuppressionEntry) if one.lifted_at is None}
    assert {number: one.ends_at for number, one in entries.items()} == {
        "00": later, "01": LATE, "02": None, "03": LATE, "04": None, "05": None,
        "06": datetime(2026, 9, 2, tzinfo=UTC),
    }  # fmt: skip
    assert {number: one.import_id for number, one in entries.items()} == {
        "00": None, "01": None, "02": None, "03": 1, "04": None, "05": 2, "06": 2
    }  # fmt: skip


async def test_a_file_with_many_ends_takes_no_more_statements_than_one_with_a_few(
    importing: Importing, database: Database
):
    """On SQLite, nobody else can block a number meanwhile."""
    counts = []
    for first, many in ((0, 3), (10, 60)):
        lines = [f"415555{first + at:04d},{(LATE + timedelta(seconds=at)).isoformat()}\n" for at in range(many)]
        take = partial(importing.take, f"number,ends\n{''.join(lines)}", column="ends")
        counts.append(len(await statements_of(database, take)))
    assert counts[0] == counts[1]
    assert len(await importing.ends()) == 63


async def test_each_row_ends_as_its_cell_says_and_an_empty_cell_as_the_file(importing: Importing):
    done = await importing.take(THREE, column="ends", until=LATE)
    first, third = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 3, 31, 10, tzinfo=UTC)
    assert await importing.ends() == {"00": first, "01": LATE, "02": third}
    assert (done.added, done.rejected, done.not_read) == (3, 0, "")


async def test_without_a_date_for_the_file_an_empty_cell_means_no_end(importing: Importing):
    await importing.take(THREE, column="2")
    assert (await importing.ends())["01"] is None


async def test_a_row_that_has_ended_is_not_listed_and_an_unreadable_end_lists_without_one(importing: Importing):
    """A number is never left off the list because of a date that cannot be read."""
    content = (
        "number,ends\n4155550100,2026-02-28\n4155550101,31.12.2026\n4155550102,03/04/2027\n4155550103,3026-01-01\n"
    )
    done = await importing.take(content, column="ends", until=LATE)
    assert await importing.ends() == {"01": None, "02": None, "03": None}
    assert importing.rejected() == [("2", "ended"), ("3", "bad-end"), ("4", "bad-end"), ("5", "bad-end")]
    assert (done.added, done.rejected) == (3, 4)


async def test_of_two_rows_with_one_number_the_later_end_holds(importing: Importing):
    await importing.take("number,ends\n4155550100,2026-05-01\n4155550100,2026-04-01\n", column="ends")
    assert (await importing.ends())["00"] == datetime(2026, 5, 2, tzinfo=UTC)


@pytest.mark.parametrize("heading", ["ends_at", "Valid until", "EXPIRY", "expires"])
async def test_a_column_that_may_be_an_end_is_not_read_unasked_and_the_import_says_so(importing: Importing, heading):
    done = await importing.take(f"number,{heading}\n4155550100,2026-03-31\n")
    assert await importing.ends() == {"00": None}
    said = f"Column 2 {heading!r} may say when entries end; it is not read, and they stay until they are lifted."
    assert (importing.warned, done.not_read) == ([said], said)


@pytest.mark.parametrize("asked", [{"until": LATE}, {"column": "ends"}])
async def test_a_file_of_requests_has_no_ends(importing: Importing, asked):
    with pytest.raises(EndRefused, match="never ends"):
        await importing.take(THREE, asked_on=AT.date(), **asked)
    assert await importing.ends() == {}


async def test_an_end_that_has_passed_when_the_import_begins_is_refused(importing: Importing):
    with pytest.raises(EndPassed):
        await importing.take("4155550100\n", until=AT - timedelta(days=1))


async def test_a_column_of_ends_that_is_not_there_is_refused(importing: Importing):
    with pytest.raises(NoColumn, match="There is no column 'until'"):
        await importing.take(THREE, column="until")
