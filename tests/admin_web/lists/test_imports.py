"""An import records or reports every row. If it is cut short at any moment, another run finishes it."""

import csv
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from hashlib import sha256
from pathlib import Path
from traceback import walk_tb

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.lists.imports import Intake, NothingTaken, UntilRefused
from admin_web.lists.lead_import import LeadColumns, import_leads
from admin_web.lists.number_import import import_numbers
from admin_web.lists.progress import Progress
from admin_web.lists.report import RejectedRows
from admin_web.lists.sheet import NotASheet, Sheet
from admin_web.queries.lists import ListFilter, entries
from admin_web.record.changes import NotInForce, Records
from admin_web.record.lead_numbers import numbers_of
from admin_web.record.models import (
    AuditEvent,
    DoNotCallRequest,
    Job,
    Lead,
    OutboxRow,
    SuppressionEntry,
    Webhook,
    WebhookDelivery,
)
from admin_web.services.importing import ENTRIES_AT_ONCE, end_abandoned
from admin_web.services.leads import add_lead
from admin_web.services.suppression import CHUNK, suppress
from admin_web.webhooks.events import Event
from compliance.database_url import driven
from compliance.numbers import E164, LeadId
from tests.support.records import ADMIN, AT, LEAD, NUMBER, OTHER, Clock, FakeProjector, rows


class CutShort(Exception):
    """Stops the import in the middle of a transaction."""


class Importer:
    """Imports into the records of a test, and reads the report."""

    def __init__(self, records: Records, directory: Path) -> None:
        self.records, self.path = records, directory / "rejected.csv"
        self.progress: list[Progress] = []
        self.warned: list[str] = []

    async def numbers(self, content: str | bytes, *columns: str, region: str = "US") -> Progress:
        with RejectedRows(self.path) as report:
            return await import_numbers(self.into(), sheet(content), report, region=region, columns=columns)

    async def leads(self, content: str, **columns: str) -> Progress:
        with RejectedRows(self.path) as report:
            chosen = LeadColumns(**columns)
            return await import_leads(self.into(), sheet(content), report, region="US", columns=chosen)

    def into(self) -> Intake:
        return Intake(self.records, ADMIN, self.progress.append, warn=self.warned.append)

    def rejected(self) -> list[tuple[str, str]]:
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return [(row["line"], row["reason"]) for row in csv.DictReader(file)]


def sheet(content: str | bytes) -> Sheet:
    raw = content.encode() if isinstance(content, str) else content
    return Sheet(io.BufferedReader(io.BytesIO(raw)), "list.csv", len(raw))


@pytest.fixture
def importer(records: Records, tmp_path: Path) -> Importer:
    return Importer(records, tmp_path)


async def listed(records: Records) -> list[str]:
    return [entry.number for entry in await rows(records, SuppressionEntry)]


async def test_every_row_is_recorded_or_reported(importer: Importer):
    done = await importer.numbers(
        "Name,Phone,Note\n"
        "A,(415) 555-0100,\n"
        'B,+1 415-555-0101,"two\nlines"\n'
        "C,1 415 555 0100,the same\n"
        "D,,no number\n"
        "E,call me,letters\n"
        'F,"open\n'
        "G,415-555-0102,x,y\n"
        "H,555-0103,seven digits\n"
        "\n"
        "I,4155550104\n"
    )
    assert await listed(importer.records) == ["+14155550100", "+14155550101", "+14155550104"]
    assert (done.rows, done.added, done.already, done.rejected) == (9, 3, 1, 5)
    lines = [line for line, _ in importer.rejected()]
    assert lines == ["6", "7", "8", "9", "10"]
    assert [reason for _, reason in importer.rejected()][:4:2] == ["no-number", "malformed"]
    assert importer.rejected()[3] == ("9", "too-many-cells")
    first = (await entries(importer.records.database, ListFilter())).rows[-1]
    assert (first.source, first.note, first.added_by) == ("import", "from list.csv", "admin")


@pytest.mark.parametrize(
    "content",
    [
        "4155550100\n4155550101",
        "number\n4155550100\n4155550101\n",
        "4155550101;x\n4155550100;y\n",
        "id\tRufnummer\nx\t4155550100\ny\t4155550101\n".encode("utf-16"),
        b"\xef\xbb\xbfPhone,Name\r\n4155550100,Caf\xe9\r\n4155550101,\r\n",
    ],
)
async def test_lists_with_and_without_headings_in_many_spellings_are_the_same(importer: Importer, content):
    done = await importer.numbers(content)
    assert (done.added, done.rejected) == (2, 0)
    assert sorted(await listed(importer.records)) == [NUMBER, OTHER]


async def test_a_column_may_be_named(importer: Importer):
    await importer.numbers("his,hers\n4155550100,4155550101\n", "hers")
    assert await listed(importer.records) == [OTHER]
    with pytest.raises(NotASheet, match="Several columns"):
        await importer.numbers("his,hers\n4155550100,4155550101\n")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of 2,000 rows and transactions of 500 numbers."""
    monkeypatch.setattr("admin_web.lists.number_import.WINDOW", 2000)
    monkeypatch.setattr("admin_web.lists.number_import.ENTRIES_AT_ONCE", 500)


@pytest.mark.usefixtures("small")
async def test_one_chunk_is_one_transaction_whose_outbox_row_names_the_range_of_its_entries(importer: Importer):
    await importer.numbers("\n".join(f"415555{line:04d}" for line in reversed(range(1010))))
    outbox = await rows(importer.records, OutboxRow)
    assert [(row.numbers, row.first_entry, row.last_entry) for row in outbox] == [
        ([], 1, 500), ([], 501, 1000), ([], 1001, 1010),
    ]  # fmt: skip
    assert [(one.rows, one.added) for one in importer.progress] == [(500, 500), (1000, 1000), (1010, 1010)]
    assert await listed(importer.records) == [f"+1415555{line:04d}" for line in range(1010)]


@pytest.mark.usefixtures("small")
async def test_one_audit_event_names_the_file_its_digest_and_the_counts(importer: Importer):
    await suppress(importer.records, ADMIN, NUMBER, source="phone")
    content = "".join(f"415555{line:04d}\n" for line in range(2500)) + "oops\n4155550101\n"
    done = await importer.numbers(content)
    (event,) = [event for event in await rows(importer.records, AuditEvent) if event.action != "suppress"]
    assert (event.action, event.subject_kind, event.subject_id) == ("import-numbers", "import", str(done.import_id))
    assert event.particulars == {
        "list": "internal", "file": "list.csv", "sha256": sha256(content.encode()).hexdigest(),
        "note": "from list.csv", "rows": 2502, "added": 2499, "already": 2, "rejected": 1, "outcome": "whole",
    }  # fmt: skip


async def test_requests_from_a_file_have_one_audit_event_too(importer: Importer):
    content = "\n".join(f"415555{line:04d}" for line in range(CHUNK + 1))
    with RejectedRows(importer.path) as report:
        day = date(2026, 2, 1)
        await import_numbers(importer.into(), sheet(content), report, region="US", asked_on=day)
    (event,) = await rows(importer.records, AuditEvent)
    assert (event.action, event.particulars["added"]) == ("import-numbers", CHUNK + 1)
    assert len(await rows(importer.records, DoNotCallRequest)) == CHUNK + 1


async def test_webhooks_are_sent_every_number_that_an_import_adds(importer: Importer):
    async with importer.records.database.write() as session:
        session.add(Webhook(url="https://x.test", secret="x", events=[Event.SUPPRESS], created_at=AT, created_by="x"))
    await suppress(importer.records, ADMIN, NUMBER, source="phone")
    await importer.numbers("\n".join(f"415555{line:04d}" for line in range(100, 1200)))
    sent = [delivery.body["data"]["numbers"] for delivery in await rows(importer.records, WebhookDelivery)]
    assert [len(some) for some in sent] == [1, CHUNK, 99]
    assert sorted(number for some in sent for number in some) == [f"+1415555{line:04d}" for line in range(100, 1200)]


async def test_a_second_run_finds_everything_there(importer: Importer):
    content = "4155550100\noops\n4155550101\n"
    await importer.numbers(content)
    again = await importer.numbers(content)
    assert (again.added, again.already, again.rejected) == (0, 2, 1)
    assert len(await listed(importer.records)) == 2
    assert importer.rejected() == [("2", "letters")]


async def test_while_redis_is_away_everything_is_recorded_and_redis_asked_twice(
    importer: Importer, projector: FakeProjector
):
    projector.broken = "no Redis"
    done = await importer.numbers("\n".join(f"415555{line:04d}" for line in range(3 * CHUNK)))
    assert done.added == 3 * CHUNK
    assert str(done.standing) == "recorded, not yet in force: no Redis"
    assert projector.drains == 2


async def test_a_long_import_without_redis_keeps_no_chunk_in_a_traceback():
    projector = FakeProjector()
    projector.broken = "no Redis"
    once = UntilRefused(projector)
    depths = set()
    for _ in range(5):
        with pytest.raises(NotInForce) as refused:
            await once.drain({E164(NUMBER)})
        depths.add(len([*walk_tb(refused.value.__traceback__)]))
    assert max(depths) <= 3
    assert projector.drains == 1


async def test_redis_that_comes_back_meanwhile_puts_the_import_in_force(importer: Importer, projector: FakeProjector):
    projector.broken = "no Redis"

    def mend(_: Progress) -> None:
        projector.broken = ""

    with RejectedRows(importer.path) as report:
        into = Intake(importer.records, ADMIN, mend)
        done = await import_numbers(into, sheet("4155550100"), report, region="US")
    assert done.standing.in_force


async def test_leads_too_are_in_force_when_redis_comes_back_meanwhile(importer: Importer, projector: FakeProjector):
    projector.broken = "no Redis"

    def mend(_: Progress) -> None:
        projector.broken = ""

    leads = sheet("lead,number\nL-1,4155550100\n")
    with RejectedRows(importer.path) as report:
        done = await import_leads(Intake(importer.records, ADMIN, mend), leads, report, region="US")
    assert done.standing.in_force


TWO_PHONES = (
    "name,phone,home phone,work phone\n"
    "A. Sample,+14155550116,+14155550117,+14155550118\n"
    "B. Sample,,+14155550119,\n"
    "C. Sample,,,\n"
    "D. Sample,+14155550120,oops,\n"
)
TWO_READ = "Numbers are read from column 2 'phone' and column 3 'home phone' and column 4 'work phone'."


async def test_without_a_choice_every_column_of_telephone_numbers_is_read_and_said(importer: Importer):
    done = await importer.numbers(TWO_PHONES)
    assert importer.warned == [TWO_READ]
    assert (done.not_read, done.unread) == ("", False)
    assert sorted(await listed(importer.records)) == [f"+1415555{line:04}" for line in (116, 117, 118, 119, 120)]
    assert importer.rejected() == [("4", "no-number"), ("5", "letters")]


@pytest.mark.parametrize("columns", [(), ("phone",)])
async def test_columns_with_numbers_that_are_not_read_are_said_before_and_after(
    importer: Importer, columns: tuple[str, ...]
):
    done = await importer.numbers("phone,account\n4155550116,4155550117\n,4155550119\n", *columns)
    said = "Column 2 'account' contains numbers and is not read."
    assert (importer.warned, done.not_read, done.unread) == ([said], said, True)
    assert await listed(importer.records) == ["+14155550116"]
    assert importer.rejected() == [("3", "number-elsewhere")]
    assert "column 2 'account', which is not read, contains a number" in importer.path.read_text()


@pytest.mark.parametrize(
    "columns", [("phone", "home phone", "work phone"), ("2,3,4",), ("phone, home phone", "4"), ("4", "HOME PHONE", "2")]
)
async def test_several_columns_are_taken_in_one_go_and_a_row_needs_a_number_in_one_of_them(
    importer: Importer, columns: tuple[str, ...]
):
    done = await importer.numbers(TWO_PHONES, *columns)
    assert sorted(await listed(importer.records)) == [f"+1415555{line:04}" for line in (116, 117, 118, 119, 120)]
    assert (done.rows, done.added, done.rejected, done.not_read) == (4, 5, 2, "")
    assert importer.rejected() == [("4", "no-number"), ("5", "letters")]
    assert "column 3 'home phone': " in importer.path.read_text()
    assert importer.warned == []


async def test_a_column_whose_first_number_stands_far_down_is_said_afterwards(importer: Importer):
    rows = [f"415555{line:04},,x" for line in range(100)] + ["4155550199,4155550198,x"]
    done = await importer.numbers("phone,mobile 2,note\n" + "\n".join(rows))
    said = "Column 2 'mobile 2' contains numbers and is not read."
    assert (importer.warned, done.not_read, done.unread) == ([], said, True)


@pytest.mark.usefixtures("small")
async def test_a_chunk_of_several_columns_has_no_more_numbers_than_one_of_one(importer: Importer):
    lines = [f"415555{line:04},415556{line:04},415557{line:04}" for line in range(CHUNK)]
    done = await importer.numbers("\n".join(lines), "1,2,3")
    assert (done.rows, done.added) == (CHUNK, 3 * CHUNK)
    spans = [(row.last_entry or 0) - (row.first_entry or 0) for row in await rows(importer.records, OutboxRow)]
    assert max(spans) < 500


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("List as of 29 November 2026\nname,phone,added\nA,+14155550100,2026-01-02\nB,4155550101,\n", "Line 1"),
        ("Acme\n\nList, of us\nname;phone\nA;+14155550100\nB;4155550101\n", "Lines 1 to 3"),
        ("Numbers of our company\n4155550100\n4155550101\n", "Line 1"),
    ],
)  # fmt: skip
async def test_titles_above_the_headings_are_skipped_and_said(importer: Importer, content: str, line: str):
    done = await importer.numbers(content)
    assert (await listed(importer.records), done.rejected) == ([NUMBER, OTHER], 0)
    assert done.not_read.startswith(line)
    assert importer.warned == [done.not_read]


@pytest.mark.parametrize(
    "content",
    [
        "sep=;\nname;phone;city\nA;+14155550100;Springfield\nB;4155550101;\n",
        "name,phone\nA,'+14155550100\nB,'4155550101\n",
        'name,phone\nA,"=""4155550100"""\nB,="4155550101"\n',
        "415,5550100\n415,5550101\n",
        '"415","5550100"\n"415","5550101"\n',
        "name;area code;phone\nA;415;555-0100\nB;415;555-0101\n",
        "415\t555\t0100\n415\t555\t0101\n",
        "number,change\n4155550100,A\n4155550101,A\n",
    ],
)
async def test_what_spreadsheets_and_authorities_write_is_read_whole(importer: Importer, content: str):
    done = await importer.numbers(content)
    assert (sorted(await listed(importer.records)), done.rejected) == ([NUMBER, OTHER], 0)


async def test_joined_columns_are_said(importer: Importer):
    await importer.numbers("415,5550100\n")
    assert importer.warned == ["The numbers are joined from column 1 with column 2."]


@pytest.mark.parametrize(
    "content",
    [
        "4155550178,A\n4155550158,D\n",
        "415,5550178,A\n415,5550158,D\n",
        "name;phone;status\nA;4155550178;added\nB;4155550158;deleted\n",
    ],
)
async def test_a_file_of_deletions_is_refused_for_a_list_that_is_only_added_to(importer: Importer, content: str):
    with pytest.raises(NotASheet, match="says A or D, for added and deleted numbers"):
        await importer.numbers(content)
    assert await listed(importer.records) == []


async def test_a_deletion_far_down_is_rejected_and_lists_nothing(importer: Importer):
    content = "".join(f"415555{line:04},A\n" for line in range(100)) + "4155559999,D\n4155559998,?\n"
    done = await importer.numbers(content)
    assert (done.added, importer.rejected()) == (100, [("101", "deleted"), ("102", "no-change")])


async def test_a_column_of_changes_that_is_not_understood_is_a_question(importer: Importer):
    with pytest.raises(NotASheet, match="Column 2 'action' says what happened to each number, but 'X' is not"):
        await importer.numbers("phone,action\n4155550100,A\n4155550101,X\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "contains no rows"),
        ("\n \n", "contains no rows"),
        ("phone,name\n", "contains no rows"),
        ("phone\noops\n", r"its only row was not taken.* one number per line: one column.* line 2: 'oops'"),
        (
            "name;phone\nA;1234\nB;x\n",
            r"none of its 2 rows was taken.* separated by semicolons: columns 1 'name', 2 'phone'.* column 2 'phone'",
        ),
        ("name,phone\nA,4155550100,x\n", "this row has 3 cells, but the first row has 2"),
    ],
)
async def test_an_import_of_which_nothing_was_taken_fails_and_says_what_the_file_looks_like(
    importer: Importer, content: str, said: str
):
    with pytest.raises(NothingTaken, match=said):
        await importer.numbers(content)
    assert await rows(importer.records, OutboxRow) == []


async def test_leads_of_which_none_was_taken_fail_too(importer: Importer):
    with pytest.raises(NothingTaken, match="none of its 2 rows was taken"):
        await importer.leads("lead,number\nL-1,oops\nL 2,4155550100\n")
    with pytest.raises(NothingTaken, match="contains no rows"):
        await importer.leads("lead,number\n")


async def test_the_other_numbers_of_leads_are_said_to_be_not_read(importer: Importer):
    done = await importer.leads("CRM export of November\nlead,number,home\nL-1,4155550100,4155550101\n")
    assert importer.warned == [done.not_read]
    assert done.not_read.endswith("Column 3 'home' contains numbers and is not read.")
    assert done.not_read.startswith("Line 1 is above the list and not read")


async def test_leads_are_added_and_changed(importer: Importer):
    await add_lead(importer.records, ADMIN, LEAD, NUMBER, "as it was")
    done = await importer.leads(
        "Lead ID,Phone,Name\nL-1,4155550101,\nL-2,4155550100,New\nL-3,oops,x\nbad id,4155550100,x\nL-2,4155550100,New\n"
    )
    assert (done.rows, done.added, done.already, done.rejected) == (5, 2, 1, 2)
    assert importer.rejected() == [("4", "letters"), ("5", "bad-lead")]
    found = {lead.id: (lead.number, lead.name) for lead in await rows(importer.records, Lead)}
    assert found == {"L-1": (OTHER, ""), "L-2": (NUMBER, "New")}


async def test_a_lead_whose_name_is_too_long_is_reported_and_holds_nothing_up(importer: Importer):
    done = await importer.leads(f"lead,number,name\nL-1,4155550100,{'x' * 201}\nL-2,4155550101,New\n")
    assert (done.added, importer.rejected()) == (1, [("2", "bad-name")])


async def test_a_lead_that_is_given_twice_is_as_it_was_given_last(importer: Importer):
    done = await importer.leads("lead,number,name\nL-1,4155550100,First\nL-1,4155550101,\nL-1,4155550101,Last\n")
    assert (done.rows, done.added) == (3, 3)
    assert [(lead.number, lead.name) for lead in await rows(importer.records, Lead)] == [(OTHER, "Last")]


def with_faults(count: int) -> str:
    """Return a list with duplicates, numbers in no order, and a row without a number after each 500."""
    lines = [f"415555{line * 7 % 2400:04d}" if line % 500 else f"oops {line}" for line in range(count)]
    return "\n".join(lines)


async def cut_short(importer: Importer, content: str, chunks: int) -> Progress:
    """Stop an import in the transaction after `chunks` chunks, and return the last checkpoint."""
    kept: list[Progress] = []

    async def keep(_: AsyncSession, done: Progress) -> None:
        if len(kept) == chunks:
            raise CutShort
        kept.append(done)

    with pytest.raises(CutShort), RejectedRows(importer.path) as report:
        await import_numbers(replace(importer.into(), keep=keep), sheet(content), report, region="US")
    return kept[-1]


async def resumed(importer: Importer, content: str, begun: Progress) -> Progress:
    with RejectedRows(importer.path, begun.rejected, begun.report_bytes) as report:
        return await import_numbers(replace(importer.into(), begun=begun), sheet(content), report, region="US")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("chunks", [1, 2, 3, 4, 5])
async def test_an_import_that_was_cut_short_goes_on_where_it_was_and_counts_nothing_twice(
    importer: Importer, chunks: int
):
    content = with_faults(2600)
    done = await resumed(importer, content, await cut_short(importer, content, chunks))
    good = {row for row in content.split("\n") if row.isdigit()}
    assert (done.rows, done.added, done.rejected) == (2600, len(good), 6)
    assert done.added + done.already == 2594
    assert [line for line, _ in importer.rejected()] == [str(line) for line in range(1, 2600, 500)]
    assert sorted(await listed(importer.records)) == sorted(f"+1{row}" for row in good)
    events = [event.particulars for event in await rows(importer.records, AuditEvent)]
    assert [(one["rows"], one["added"], one["already"]) for one in events] == [(2600, len(good), done.already)]


@pytest.mark.usefixtures("small")
async def test_a_window_that_another_version_reads_otherwise_is_recorded_again_from_its_start(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
):
    content = with_faults(2600)
    begun = await cut_short(importer, content, 2)
    assert begun.taken == 1000
    monkeypatch.setattr("admin_web.lists.number_import.WINDOW", 2600)
    await resumed(importer, content, begun)
    assert sorted(await listed(importer.records)) == sorted(
        {f"+1{row}" for row in content.split("\n") if row.isdigit()}
    )


@pytest.mark.usefixtures("small")
async def test_an_interrupted_import_that_no_job_continues_gets_its_audit_event(importer: Importer, clock: Clock):
    begun = await cut_short(importer, with_faults(2600), 2)
    assert await end_abandoned(importer.records) == 0
    clock.move(minutes=16)
    assert await end_abandoned(importer.records) == 1
    assert await end_abandoned(importer.records) == 0
    (event,) = await rows(importer.records, AuditEvent)
    assert (event.subject_id, event.done_by) == (str(begun.import_id), "admin")
    assert (event.particulars["outcome"], event.particulars["added"]) == ("interrupted", begun.added)


@pytest.mark.usefixtures("small")
async def test_an_import_that_a_job_will_continue_is_not_over(importer: Importer, clock: Clock):
    begun = await cut_short(importer, with_faults(2600), 2)
    async with importer.records.database.write() as session:
        place = {"import_id": begun.import_id}
        job = Job(kind="import-numbers", particulars={}, progress={}, place=place, asked_at=clock(), asked_by="admin")
        session.add(job)
    clock.move(minutes=16)
    assert await end_abandoned(importer.records) == 0


async def test_leads_without_a_name_column_keep_their_names(importer: Importer):
    await add_lead(importer.records, ADMIN, LEAD, NUMBER, "as it was")
    await importer.leads("lead,number\nL-1,4155550101\n")
    assert [(lead.number, lead.name) for lead in await rows(importer.records, Lead)] == [(OTHER, "as it was")]


async def test_leads_need_headings(importer: Importer):
    with pytest.raises(NotASheet, match="lead, number"):
        await importer.leads("L-1,4155550101\n")


NUMBERS = 150_000


class Shell:
    """Imports a file of `count` numbers by `dnc-admin`, and counts database rows over a connection of its own."""

    def __init__(self, database_url: str, directory: Path, count: int) -> None:
        content = directory / "list.txt"
        content.write_text("".join(f"+1415{line + 5_550_000}\n" for line in range(count)))
        self.command = [sys.executable, "-m", "admin_web", "import", "internal", str(content)]
        self.environment = {**os.environ, "DNC_DATABASE_URL": database_url, "DNC_DATA_DIR": str(directory)}
        url = driven(database_url)
        self.engine = create_engine(url.set(drivername=url.drivername.replace("+aiosqlite", "")))

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_hear_ctrl_c,  # noqa: PLW1509 - this process has no other threads
        )

    def count(self, table: str) -> int:
        with self.engine.connect() as connection:
            return int(connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


def _hear_ctrl_c() -> None:
    """Handle SIGINT as in a terminal. Tests that run in the background ignore it, and their children would too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def shell(database_url: str, tmp_path: Path) -> Iterator[Shell]:
    opened = Shell(database_url, tmp_path, NUMBERS)
    yield opened
    opened.engine.dispose()


def test_an_import_killed_at_any_moment_has_whole_chunks_and_is_finished_by_a_second_run(shell: Shell):
    with shell.start() as killed:
        deadline = time.monotonic() + 60
        while shell.count("outbox") < 3:
            assert time.monotonic() < deadline
            assert killed.poll() is None, "the import ended before it could be killed"
        killed.send_signal(signal.SIGKILL)
    chunks = shell.count("outbox")
    assert 3 <= chunks < NUMBERS / ENTRIES_AT_ONCE
    assert (shell.count("audit_events"), shell.count("list_imports")) == (0, 1)
    listed = shell.count("suppression_entries")
    assert listed == chunks * ENTRIES_AT_ONCE
    with shell.start() as second:
        said, complained = second.communicate(timeout=120)
    assert second.returncode == 3, complained  # There is no Redis.
    assert f"{NUMBERS - listed} added to the list, {listed} already listed, 0 rejected" in said
    assert shell.count("suppression_entries") == NUMBERS
    assert shell.count("audit_events") == 1


def test_an_interrupted_import_says_so_and_leaves_whole_chunks(shell: Shell):
    with shell.start() as interrupted:
        while shell.count("outbox") < 2:
            assert interrupted.poll() is None
        interrupted.send_signal(signal.SIGINT)
        _, complained = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130
    assert complained.strip().splitlines()[-1].startswith("dnc-admin: stopped; what was recorded so far stays")
    assert shell.count("suppression_entries") == shell.count("outbox") * ENTRIES_AT_ONCE


def test_two_imports_of_one_list_at_once_make_one_entry_per_number(shell: Shell):
    with shell.start() as first, shell.start() as second:
        said = [process.communicate(timeout=120) for process in (first, second)]
    assert [first.returncode, second.returncode] == [3, 3], said  # There is no Redis.
    assert shell.count("suppression_entries") == NUMBERS


async def test_several_columns_are_all_numbers_of_a_lead_and_one_is_its_first(importer: Importer):
    content = "lead,home,Mobile phone,name\nL-1,4155550100,4155550101,One\nL-2,,4155550102,\nL-3,oops,4155550103,\n"
    done = await importer.leads(content, number="2,3")
    assert (done.added, done.rejected) == (2, 1)
    async with importer.records.database.read() as session:
        one, two = await numbers_of(session, LeadId("L-1")), await numbers_of(session, LeadId("L-2"))
    assert one == (("+14155550100", "home"), ("+14155550101", "mobile"))
    assert two == (("+14155550102", "mobile"),)
    await importer.leads("lead,phone\nL-1,4155550109\n")
    async with importer.records.database.read() as session:
        assert [one.number for one in await numbers_of(session, LeadId("L-1"))] == ["+14155550109", "+14155550101"]
