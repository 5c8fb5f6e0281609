"""CSV exports of the list and of verdicts: harmless in a spreadsheet, and ready for another import."""

import csv
import io
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from admin_web.lists.export import export_numbers
from admin_web.lists.imports import Intake
from admin_web.lists.number_import import import_numbers
from admin_web.lists.report import RejectedRows
from admin_web.lists.scrub import scrub
from admin_web.lists.sheet import Sheet
from admin_web.record.changes import Records
from admin_web.record.database import Database
from admin_web.services.importing import add_entries_within, begin_import
from admin_web.services.leads import add_lead
from admin_web.services.overrides import grant_override
from admin_web.services.revocation import revoke_override
from admin_web.services.suppression import lift, suppress, suppress_many
from compliance.numbers import E164
from tests.support.records import ADMIN, AT, CONSENT, LEAD, NUMBER, OTHER, SECOND, SUPERVISOR, Clock


async def exported(database: Database, *, lifted: bool = False) -> list[dict[str, str]]:
    out = io.StringIO(newline="")
    count = await export_numbers(database, out, lifted=lifted)
    found = list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))
    assert len(found) == count
    return found


async def test_the_list_is_written_with_who_when_and_why(records: Records):
    await add_lead(records, ADMIN, LEAD, NUMBER)
    await suppress(records, ADMIN, NUMBER, source="phone", note='=cmd, "quoted"\nsecond line', lead=LEAD)
    assert await exported(records.database) == [
        {
            "number": NUMBER,
            "source": "phone",
            "note": '\'=cmd, "quoted"\nsecond line',
            "lead": LEAD,
            "added_at": "2026-03-01 12:00:00+00:00",
            "added_by": "admin",
            "ends_at": "",
        }
    ]


async def test_a_number_is_written_as_it_is_and_a_full_width_formula_is_defused(records: Records):
    await suppress(records, ADMIN, NUMBER, source="phone", note="＝1+1")
    ((number, note),) = [(row["number"], row["note"]) for row in await exported(records.database)]
    assert (number, note) == ("+14155550100", "'＝1+1")


async def test_an_imported_entry_has_the_note_of_its_import_and_another_entry_its_own(records: Records):
    async with records.change(ADMIN) as change:
        await add_entries_within(change, await begin_import(change, "list.csv", "from the old dialer"), [NUMBER])
    await suppress(records, ADMIN, OTHER, source="phone", note="called us")
    await suppress(records, ADMIN, E164("+14155550177"), source="phone")
    assert {row["number"]: row["note"] for row in await exported(records.database)} == {
        NUMBER: "from the old dialer",
        OTHER: "called us",
        E164("+14155550177"): "",
    }


async def test_lifted_entries_are_written_when_asked_for(records: Records):
    await suppress_many(records, ADMIN, [NUMBER, OTHER], source="import")
    await lift(records, ADMIN, NUMBER, reason="wrong number")
    assert [row["number"] for row in await exported(records.database)] == [OTHER]
    everything = await exported(records.database, lifted=True)
    assert [(row["number"], row["lift_reason"], row["lifted_by"]) for row in everything] == [
        (NUMBER, "wrong number", "admin"),
        (OTHER, "", ""),
    ]


async def test_what_was_exported_can_be_imported_again(records: Records, tmp_path: Path):
    numbers = [E164(f"+1415555{line:04d}") for line in range(3000)]
    for start in range(0, 3000, 1000):
        await suppress_many(records, ADMIN, numbers[start : start + 1000], source="import", note="+1 note")
    out = io.StringIO(newline="")
    await export_numbers(records.database, out)
    raw = out.getvalue().encode()
    with RejectedRows(tmp_path / "rejected.csv") as report:
        sheet = Sheet(io.BufferedReader(io.BytesIO(raw)), "export.csv", len(raw))
        done = await import_numbers(Intake(records, ADMIN, lambda _: None), sheet, report, region="GB")
    assert (done.rows, done.already, done.rejected) == (3000, 3000, 0)


async def scrubbed(records: Records, content: str) -> list[tuple[str, ...]]:
    raw, out = content.encode(), io.StringIO(newline="")
    sheet = Sheet(io.BufferedReader(io.BytesIO(raw)), "ask.csv", len(raw))
    done = await scrub(records.database, sheet, out, region="US", at=records.now())
    found = list(csv.reader(io.StringIO(out.getvalue(), newline="")))
    assert found[0] == ["row", "number", "lead", "verdict", "reason", "detail"]
    assert done.rows == len(found) - 1
    assert done.allowed == sum(row[3] == "ALLOW" for row in found)
    return [tuple(row) for row in found[1:]]


async def test_a_list_is_judged_by_the_rule_of_a_call(records: Records):
    await suppress(records, ADMIN, NUMBER, source="phone")
    for lead in (LEAD, SECOND):
        await add_lead(records, ADMIN, lead, NUMBER)
    await grant_override(records, SUPERVISOR, CONSENT)
    asked = "number,lead\n4155550100,L-1\n4155550100,L-2\n4155550100,\n4155550101,L-1\n"
    assert await scrubbed(records, asked) == [
        ("4155550100,L-1", NUMBER, "L-1", "ALLOW", "override", ""),
        ("4155550100,L-2", NUMBER, "L-2", "BLOCK", "internal-dnc", ""),
        ("4155550100,", NUMBER, "", "BLOCK", "internal-dnc", ""),
        ("4155550101,L-1", OTHER, "L-1", "ALLOW", "not-listed", ""),
    ]


async def test_a_row_that_is_no_number_is_blocked_and_defused(records: Records):
    ((row, number, _, verdict, reason, detail),) = await scrubbed(records, "number,lead\n=cmd,\n")
    assert (row, number, verdict, reason, detail) == ("'=cmd,", "", "BLOCK", "invalid-number", "letters")


async def test_a_revoked_or_expired_override_opens_nothing(records: Records, clock: Clock):
    await suppress(records, ADMIN, NUMBER, source="phone")
    for lead in (LEAD, SECOND):
        await add_lead(records, ADMIN, lead, NUMBER)
    granted = await grant_override(records, SUPERVISOR, CONSENT)
    await grant_override(records, SUPERVISOR, replace(CONSENT, lead=SECOND, expires_at=AT + timedelta(hours=1)))
    asked = "number,lead\n4155550100,L-1\n4155550100,L-2\n"
    assert [row[3] for row in await scrubbed(records, asked)] == ["ALLOW", "ALLOW"]
    await revoke_override(records, ADMIN, granted.override_id, reason="test")
    clock.move(hours=1)
    assert [row[3] for row in await scrubbed(records, asked)] == ["BLOCK", "BLOCK"]


async def test_a_long_list_keeps_its_order(records: Records):
    await suppress_many(records, ADMIN, [E164(f"+1415555{line:04d}") for line in range(0, 2500, 3)], source="import")
    found = await scrubbed(records, "\n".join(f"415555{line:04d}" for line in range(2500)))
    assert [row[1] for row in found] == [f"+1415555{line:04d}" for line in range(2500)]
    assert [row[3] for row in found] == ["BLOCK" if line % 3 == 0 else "ALLOW" for line in range(2500)]


@pytest.mark.parametrize("content", ["", "\n\n"])
async def test_an_empty_list_has_no_verdicts(records: Records, content: str):
    assert await scrubbed(records, content) == []
