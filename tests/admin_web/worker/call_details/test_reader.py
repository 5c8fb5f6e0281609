"""The PBX's CDR file in SQL: every record once, despite restarts, rotation, other workers and bad data."""

import asyncio
import os
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.changes import Records
from admin_web.record.database import Database, DatabaseUnavailable
from admin_web.record.models import CallDetail, CdrFile
from admin_web.worker.call_details import reader
from admin_web.worker.call_details.places import CdrFileUnreadable
from admin_web.worker.call_details.reader import CallDetails, put
from admin_web.worker.call_details.rows import DetailColumns
from tests.support.cdr import ALLOWED, BLOCKED, line, lines
from tests.support.records import rows

TRUNK = "PJSIP/trunk-00000002"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "DncGate.csv"


class Reading:
    """A worker's reader, which a test can restart."""

    def __init__(self, records: Records, path: Path) -> None:
        self.records, self.path = records, path
        self.restart()

    def restart(self) -> None:
        self.details = CallDetails(self.records.database, self.path, ("PJSIP/trunk-*",), self.records.now)

    async def to_the_end(self) -> list[CallDetail]:
        while await self.details.step() == 0.0:
            pass
        return await rows(self.records, CallDetail)

    async def ids(self) -> list[str]:
        return [row.channel for row in await self.to_the_end()]

    async def stored(self) -> CdrFile | None:
        async with self.records.database.read() as session:
            return await session.get(CdrFile, str(self.path))

    def add(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)


@pytest.fixture
def reading(records: Records, path: Path) -> Reading:
    return Reading(records, path)


async def test_without_a_file_nothing_is_read_and_nothing_fails(reading: Reading):
    assert await reading.to_the_end() == []


async def test_a_record_names_the_decision_the_agent_and_how_the_call_ended(reading: Reading):
    reading.add(line(**ALLOWED, dnc_lead="L-1", dnc_agent="agent"))
    (row,) = await reading.to_the_end()
    assert (row.decision_id, row.agent, row.lead, row.trunk) == (ALLOWED["dnc_decision"], "agent", "L-1", TRUNK)
    assert (row.verdict, row.disposition, row.seconds_billed, row.unscreened) == ("ALLOW", "ANSWERED", 11, False)


async def test_a_restarted_worker_goes_on_where_the_last_one_was(reading: Reading):
    reading.add(lines(3, linkedid="a"))
    await reading.to_the_end()
    reading.add(lines(3, linkedid="b"))
    reading.restart()
    assert await reading.ids() == ["a.0", "a.1", "a.2", "b.0", "b.1", "b.2"]
    stored = await reading.stored()
    assert (stored.position, stored.unreadable) == (reading.path.stat().st_size, 0)


async def test_a_half_written_record_is_taken_when_it_is_whole(reading: Reading):
    record = line(uniqueid="whole", **ALLOWED)
    reading.add(line(uniqueid="first") + record[:100])
    assert await reading.ids() == ["first"]
    reading.add(record[100:])
    assert await reading.ids() == ["first", "whole"]


async def test_reading_again_from_the_beginning_adds_nothing(reading: Reading):
    reading.add(lines(5))
    before = await reading.ids()
    async with reading.records.database.write() as session:
        await session.execute(text("DELETE FROM cdr_files"))
    reading.restart()
    assert await reading.ids() == before


async def test_one_channel_may_have_several_records_and_one_record_is_known_by_its_sequence(reading: Reading):
    reading.add(line(sequence="1") + line(sequence="2") + line(sequence="1") + line(sequence="2", linkedid="other"))
    assert [(row.linked_channel, row.sequence) for row in await reading.to_the_end()] == [
        ("1795495769.1", 1),
        ("1795495769.1", 2),
        ("other", 2),
    ]


async def test_two_workers_write_each_record_once(reading: Reading, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reader, "AT_ONCE", 2_000)
    reading.add(lines(40))
    rival = Reading(reading.records, reading.path)
    await asyncio.gather(reading.to_the_end(), rival.to_the_end())
    assert await reading.ids() == [f"call.{number}" for number in range(40)]
    stored = await reading.stored()
    assert stored.position == reading.path.stat().st_size


async def test_a_worker_that_another_has_overtaken_writes_nothing(reading: Reading):
    reading.add(line(uniqueid="1") + b"rubbish\n" + line(uniqueid="2"))
    late = Reading(reading.records, reading.path)
    place = await late.details._stored_place()
    batch = late.details._read(place)
    reading.add(line(uniqueid="3"))
    assert await reading.ids() == ["1", "2", "3"]
    assert not await late.details._put(batch, place)
    stored = await reading.stored()
    assert (stored.position, stored.unreadable) == (reading.path.stat().st_size, 1)


async def test_place_and_rows_are_committed_together_or_not_at_all(reading: Reading, monkeypatch: pytest.MonkeyPatch):
    reading.add(lines(3))

    async def fail_late(session: AsyncSession, rows: Sequence[DetailColumns]) -> None:
        await put(session, rows)
        raise DatabaseUnavailable("gone")

    with monkeypatch.context() as broken:
        broken.setattr(reader, "put", fail_late)
        with pytest.raises(DatabaseUnavailable):
            await reading.to_the_end()
        assert await rows(reading.records, CallDetail) == []
        assert await reading.stored() is None
    assert len(await reading.to_the_end()) == 3


async def test_a_rotated_file_is_finished_first_and_a_torn_end_of_it_is_counted(reading: Reading):
    reading.add(line(uniqueid="1"))
    await reading.to_the_end()
    reading.add(line(uniqueid="2") + b'"1795495769.220612","torn')
    rotated = reading.path.rename(f"{reading.path}.1")
    os.utime(rotated, (time.time() - 60,) * 2)
    reading.add(line(uniqueid="3"))
    assert await reading.ids() == ["1", "2", "3"]
    stored = await reading.stored()
    assert stored.unreadable == 1


async def test_a_file_that_is_renamed_between_two_looks_loses_no_record(reading: Reading):
    reading.add(line(uniqueid="A"))
    await reading.to_the_end()
    reading.add(line(uniqueid="B"))
    rotated = reading.path.rename(f"{reading.path}-2026-11-29")
    os.utime(rotated, (time.time() - 60,) * 2)
    reading.add(line(uniqueid="C"))
    assert await reading.ids() == ["A", "B", "C"]
    assert (await reading.stored()).lost_at is None


@pytest.mark.parametrize("where", ["archive/DncGate.csv", "elsewhere.csv", ""])
async def test_a_file_that_is_gone_before_it_was_read_to_its_end_is_on_record(reading: Reading, where: str):
    reading.add(line(uniqueid="A"))
    await reading.to_the_end()
    if where:
        moved = reading.path.parent / where
        moved.parent.mkdir(exist_ok=True)
        reading.path.rename(moved)
    else:
        reading.path.unlink()
    reading.add(line(uniqueid="C") * 2)
    assert await reading.ids() == ["A", "C"]
    assert (await reading.stored()).lost_at == reading.records.now()


async def test_unreadable_lines_are_counted_and_told_of_without_what_stands_in_them(reading: Reading):
    secret = b'"1795495769.220612","+14155550100"\n'
    reading.add(line(uniqueid="1") + secret + b"\xff\xfe rubbish\n" + line(uniqueid="2") + line(uniqueid=""))
    with structlog.testing.capture_logs() as logs:
        assert await reading.ids() == ["1", "2"]
    stored = await reading.stored()
    assert stored.unreadable == 3
    (told,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert (told["lines"], told["why"]) == (3, "2 fields instead of 22")
    assert "4155550100" not in str(told)


async def test_hostile_fields_are_stored_as_text(reading: Reading):
    hostile = "'); DROP TABLE call_details; --\0\ud800\x1b"
    reading.add(line(src=hostile.encode("utf-8", "replace").decode() * 9, dnc_agent="=cmd|' /C calc'!A0", clid='"x\n"'))
    (row,) = await reading.to_the_end()
    assert row.source.startswith("'); DROP TABLE")
    assert (len(row.source), row.agent) == (80, "=cmd|' /C calc'!A0")


async def test_an_unscreened_call_stays_unscreened(reading: Reading):
    reading.add(line(dstchannel=TRUNK) + line(uniqueid="2", linkedid="2", **{**ALLOWED, "dstchannel": "PJSIP/trunk-9"}))
    assert [row.unscreened for row in await reading.to_the_end()] == [True, False]


@pytest.mark.parametrize("proof_first", [True, False])
@pytest.mark.parametrize("at_once", [True, False])
async def test_the_record_that_asterisk_adds_when_it_takes_a_local_channel_out_is_no_unscreened_call(
    reading: Reading, proof_first: bool, at_once: bool
):
    proof = line(channel="Local/1@dnc-screened-01;2", uniqueid="2", linkedid="1", sequence="2", **ALLOWED)
    added = line(channel="PJSIP/lab-00000000", uniqueid="1", linkedid="1", sequence="4", dstchannel=TRUNK)
    for record in (proof, added) if proof_first else (added, proof):
        reading.add(record)
        if not at_once:
            await reading.to_the_end()
    assert {row.channel: row.unscreened for row in await reading.to_the_end()} == {"1": False, "2": False}


@pytest.mark.parametrize(
    "proof",
    [
        {**ALLOWED, "linkedid": "another"},
        {**ALLOWED, "linkedid": "1", "dstchannel": "PJSIP/trunk-0000000f"},
        {**BLOCKED, "linkedid": "1", "dstchannel": TRUNK},
    ],
)
async def test_a_verdict_for_another_channel_of_the_trunk_proves_nothing(reading: Reading, proof: dict[str, str]):
    reading.add(line(uniqueid="1", linkedid="1", dstchannel=TRUNK) + line(uniqueid="2", **proof))
    assert (await reading.to_the_end())[0].unscreened


async def test_a_file_that_cannot_be_read_is_trouble_that_names_it(reading: Reading, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(reading.path))

    reading.add(lines(1))
    with monkeypatch.context() as refused, pytest.raises(CdrFileUnreadable, match="Permission denied"):
        refused.setattr(Path, "open", refuse)
        await reading.to_the_end()
    assert len(await reading.to_the_end()) == 1


@pytest.mark.exhaustive
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # The memory is that of the reader.
async def test_memory_stays_flat_over_a_long_file(reading: Reading):
    block = lines(2_000)
    with reading.path.open("wb") as file:
        for part in range(15):
            file.write(block.replace(b'"call.', b'"%d.' % part))
    await reading.details.step()
    tracemalloc.start()
    while await reading.details.step() == 0.0:
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12_000_000
    async with reading.records.database.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM call_details")) == 30_000


async def test_clearing_goes_by_the_index_and_never_through_the_whole_table(database: Database):
    async with database.write() as session:
        if not database.on_sqlite:
            await session.execute(text("SET LOCAL enable_seqscan = off"))
        dialect = session.get_bind().dialect
        sql = reader.clearing(session, {"1"}).compile(dialect=dialect, compile_kwargs={"literal_binds": True})
        explain = "EXPLAIN QUERY PLAN " if database.on_sqlite else "EXPLAIN "
        plan = str((await (await session.connection()).exec_driver_sql(explain + str(sql))).all())
    assert "SCAN call_details" not in plan
    assert "Seq Scan" not in plan
    assert "ix_call_details_linked_channel" in plan
