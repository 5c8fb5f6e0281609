"""Archiving of decisions from the stream to SQL: each exactly once, whatever is killed, and nothing blocks it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from sqlalchemy import select, text

from admin_web.projection.store import Store
from admin_web.projection.wire import RedisUnavailable
from admin_web.record.changes import utc_now
from admin_web.record.database import Database, DatabaseUnavailable
from admin_web.record.models import CallRequest, DecisionRecord, DecisionTotal, Lead
from admin_web.record.models.suppression import NEVER
from admin_web.record.schema import go_back, migrate
from admin_web.worker.decision_archive import ARCHIVE_GROUP, BATCH, DecisionArchive
from admin_web.worker.decision_rows import put, row_of
from compliance import verdict
from compliance.redis_records import decision_fields
from compliance.redis_schema import DECISIONS, UNREADABLE_DECISIONS
from compliance.verdict import Decision, allow, block
from compliance.zones import QUARTER, quarter_of
from lab.redis import RedisServer
from tests.support.faults import Fuse, Killed, MortalDatabase, MortalStore
from tests.support.projection import GateView

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

Totals = Counter[tuple[datetime, str, str]]


def decision(number: int) -> Decision:
    return Decision(
        id=f"019ab3c4d5e6-9f3a1c22-{number:08x}", at=AT, ruling=allow(verdict.NOT_LISTED), dialed="4155550100",
        number="+14155550100", lead="", channel=f"pbx-1.{number}", generation=7, gate="gate-1",
    )  # fmt: skip


def blocked(number: int, reason: str = "internal-dnc") -> Decision:
    return decision(number)._replace(ruling=block(verdict.Reason(reason)))


def fields(one: Decision) -> dict[bytes, bytes]:
    return {name.encode(): value.encode() for name, value in decision_fields(one).items()}


class Stream:
    """The stream with decisions as gates write them, and an archive that the test drives."""

    def __init__(self, database: Database, server: RedisServer) -> None:
        self.database, self.server = database, server
        self.redis = GateView(server).redis
        self.store = Store(server.url)
        self.archive = DecisionArchive(database, self.store, utc_now)

    def append(self, *decisions: Decision) -> None:
        pipe = self.redis.pipeline(transaction=False)
        for one in decisions:
            pipe.xadd(DECISIONS, decision_fields(one))
        pipe.execute()

    async def archive_all(self) -> None:
        await self.archive.archive_left(0)
        while await self.archive.archive_new():
            continue

    async def archived(self) -> dict[str, str]:
        """Return the reason of each decision in SQL, by id. Asserts that the totals agree."""
        async with self.database.read() as session:
            rows = (await session.execute(select(DecisionRecord.id, DecisionRecord.reason))).all()
        assert len({row[0] for row in rows}) == len(rows)
        assert await totals(self.database) == await sums(self.database)
        return {row[0]: row[1] for row in rows}

    def left(self) -> tuple[int, int]:
        """Return the number of entries on the stream, and how many of them are unacknowledged."""
        return self.redis.xlen(DECISIONS), self.redis.xpending(DECISIONS, ARCHIVE_GROUP)["pending"]


async def totals(database: Database) -> Totals:
    """Return the totals that the archive keeps, except those that are zero."""
    async with database.read() as session:
        rows = (await session.scalars(select(DecisionTotal))).all()
    return Totals({(row.began_at, row.verdict, row.reason): row.decisions for row in rows if row.decisions})


async def sums(database: Database) -> Totals:
    """Return the same totals, counted from the decisions."""
    async with database.read() as session:
        rows = await session.execute(select(DecisionRecord.at, DecisionRecord.verdict, DecisionRecord.reason))
        return Totals((quarter_of(row[0]), row[1], row[2]) for row in rows)


@pytest.fixture
async def stream(database: Database, redis_server: RedisServer, monkeypatch) -> AsyncIterator[Stream]:
    monkeypatch.setattr("admin_web.worker.decision_archive.BLOCK_MS", 50)
    monkeypatch.setattr("admin_web.worker.decision_archive.READ_WITHIN_S", 30.0)
    stream = Stream(database, redis_server)
    yield stream
    await stream.store.close()
    stream.redis.close()


async def test_decisions_go_to_sql_and_leave_the_stream(stream: Stream):
    decisions = [decision(number) for number in range(2500)]
    stream.append(*decisions)
    await stream.archive_all()
    assert set(await stream.archived()) == {one.id for one in decisions}
    assert stream.left() == (0, 0)


async def test_a_record_is_kept_as_it_was_made(stream: Stream):
    made = blocked(1)._replace(lead="lead-1", campaign="spring")
    stream.append(made)
    await stream.archive_all()
    async with stream.database.read() as session:
        row = (await session.scalars(select(DecisionRecord))).one()
    assert (row.id, row.at, row.verdict, row.reason) == (made.id, made.at, "BLOCK", "internal-dnc")
    assert (row.number, row.dialed, row.lead, row.channel) == (made.number, made.dialed, made.lead, made.channel)
    assert (row.generation, row.gate, row.campaign) == (7, "gate-1", "spring")
    assert utc_now() >= row.archived_at > AT


async def test_a_decision_bears_the_agent_who_clicked_the_call_and_no_other(stream: Stream):
    async with stream.database.write() as session:
        session.add(Lead(id="lead-1", number="+14155550100", created_at=AT, created_by="test"))
        await session.flush()
        for channel, agent in (("pbx-1.1", "agent1"), ("pbx-1.9", "agent9")):
            asked = CallRequest(channel=channel, lead_id="lead-1", number="+14155550100", asked_at=AT, asked_by=agent)
            session.add(asked)
    stream.append(decision(1), decision(2))
    await stream.archive_all()
    async with stream.database.read() as session:
        rows = await session.execute(select(DecisionRecord.channel, DecisionRecord.agent))
        assert {row[0]: row[1] for row in rows} == {"pbx-1.1": "agent1", "pbx-1.2": ""}


async def test_every_allowed_call_with_a_lead_moves_the_lead_in_the_queue(stream: Stream):
    before, after = AT - HOUR, AT + HOUR
    async with stream.database.write() as session:
        for number, called in enumerate([NEVER, NEVER, before, after, NEVER]):
            session.add(
                Lead(id=f"L-{number}", number="+14155550100", created_at=AT, created_by="test", last_called_at=called)
            )
    allowed = [decision(number)._replace(lead=f"L-{lead}") for number, lead in enumerate([0, 2, 3])]
    again = decision(3)._replace(lead="L-0", at=AT + timedelta(minutes=1))
    stream.append(*allowed, again, blocked(4)._replace(lead="L-1"), decision(5)._replace(lead="unknown"), decision(6))
    await stream.archive_all()
    async with stream.database.read() as session:
        called = {row[0]: row[1] for row in await session.execute(select(Lead.id, Lead.last_called_at))}
    assert called == {"L-0": again.at, "L-1": NEVER, "L-2": AT, "L-3": after, "L-4": NEVER}


async def test_archives_at_once_move_the_same_leads_without_a_deadlock(stream: Stream):
    async with stream.database.write() as session:
        for lead in range(30):
            session.add(Lead(id=f"L-{lead}", number="+14155550100", created_at=AT, created_by="test"))

    async def one(first: int) -> None:
        made = [decision(first + place)._replace(lead=f"L-{(first * 7 + place) % 30}") for place in range(30)]
        async with stream.database.write() as session:
            await put(session, [row_of(fields(one), AT) for one in sorted(made, key=lambda one: one.id)])

    await asyncio.gather(*(one(batch * 100) for batch in range(8)))
    async with stream.database.read() as session:
        assert set(await session.scalars(select(Lead.last_called_at))) == {AT}


async def test_the_archive_waits_a_moment_for_the_next_decision(stream: Stream, monkeypatch: pytest.MonkeyPatch):
    await stream.archive_all()
    monkeypatch.setattr("admin_web.worker.decision_archive.BLOCK_MS", 20_000)
    waiting = asyncio.create_task(stream.archive.archive_new())
    while not any("b" in one["flags"] for one in stream.redis.client_list()):  # noqa: ASYNC110 - no event to wait for
        await asyncio.sleep(0.005)
    stream.append(decision(1))
    assert await waiting == 1


ORDERS = [
    (["allow", "deadline"], "deadline"),
    (["deadline", "allow"], "deadline"),
    (["allow", "internal-dnc"], "internal-dnc"),
    (["internal-dnc", "allow"], "internal-dnc"),
    (["allow", "internal-dnc", "deadline"], "deadline"),
    (["internal-dnc", "deadline", "allow"], "deadline"),
    (["deadline", "allow", "internal-dnc"], "deadline"),
]


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize(("order", "last_word"), ORDERS)
async def test_a_block_corrects_an_allow_in_whatever_order_and_batch_they_come(stream: Stream, order, last_word, apart):
    for reason in order:
        stream.append(decision(1) if reason == "allow" else blocked(1, reason))
        if apart:
            await stream.archive_all()
    await stream.archive_all()
    assert await stream.archived() == {decision(1).id: last_word}
    assert stream.left() == (0, 0)


async def test_what_is_read_again_changes_nothing(stream: Stream):
    stream.append(decision(1))
    await stream.archive_all()
    async with stream.database.read() as session:
        before = (await session.execute(select(DecisionRecord.__table__))).one()
    stream.append(decision(1))
    await stream.archive_all()
    async with stream.database.read() as session:
        assert (await session.execute(select(DecisionRecord.__table__))).one() == before


@pytest.mark.exhaustive
async def test_an_archive_killed_at_any_step_leaves_each_decision_once(stream: Stream):
    wanted = set()
    for step in range(60):
        stream.append(decision(2 * step), decision(2 * step + 1), blocked(2 * step))
        wanted |= {decision(2 * step).id, decision(2 * step + 1).id}
        fuse = Fuse(step)
        store = MortalStore(stream.server.url, fuse)
        mortal = DecisionArchive(MortalDatabase(stream.database, fuse), store, utc_now)
        try:
            await mortal.archive_left(0)
            while await mortal.archive_new():
                continue
        except Killed:
            assert set(await stream.archived()) <= wanted
            await stream.archive_all()
        else:
            break
        finally:
            await store.close()
        assert set(await stream.archived()) == wanted
        assert stream.left() == (0, 0)
    assert 8 < step < 60
    archived = await stream.archived()
    assert all((archived[one] == "internal-dnc") == (int(one[-8:], 16) % 2 == 0) for one in archived)


async def test_what_a_dead_worker_had_read_is_archived_by_the_next(stream: Stream):
    await stream.archive_all()
    stream.append(*(decision(number) for number in range(2500)))
    stream.redis.xreadgroup(ARCHIVE_GROUP, "somebody-else", {DECISIONS: ">"}, count=2500)
    assert await stream.archive.archive_left(60_000) == 0
    assert await stream.archive.archive_left(0) == 2500
    assert len(await stream.archived()) == 2500
    assert stream.left() == (0, 0)


async def test_an_emptied_redis_gets_its_group_again(stream: Stream):
    await stream.archive_all()
    stream.redis.flushall()
    stream.append(decision(1))
    with suppress(RedisUnavailable):
        await stream.archive.archive_new()
    await stream.archive_all()
    assert len(await stream.archived()) == 1


async def test_decisions_that_were_made_before_there_was_a_group_are_archived(stream: Stream):
    stream.append(decision(1), decision(2))
    await stream.archive.archive_new()
    await stream.archive.archive_new()
    assert len(await stream.archived()) == 2


async def test_redis_restarted_with_its_data_loses_and_repeats_nothing(stream: Stream):
    stream.append(*(decision(number) for number in range(100)))
    await stream.archive.archive_left(0)
    await stream.archive.archive_new()
    stream.append(*(decision(number) for number in range(100, 200)))
    await asyncio.to_thread(stream.server.restart)
    await asyncio.sleep(0.01)
    await stream.archive_all()
    assert len(await stream.archived()) == 200


RUBBISH = [
    {"id": "x"},
    {"anything": b"\xff\x00\xfe"},
    decision_fields(decision(900)) | {"verdict": "MAYBE"},
    decision_fields(decision(901)) | {"channel": "x" * 1000},
    decision_fields(decision(901)) | {"campaign": "x" * 65},
    decision_fields(decision(902)) | {"generation": str(2**80)},
    decision_fields(decision(903)) | {"at": "now"},
]


@pytest.mark.parametrize("rubbish", RUBBISH)
async def test_what_cannot_be_read_is_kept_aside_whole_and_holds_up_nothing(stream: Stream, rubbish):
    stream.append(decision(1))
    entry = stream.redis.xadd(DECISIONS, rubbish)
    stream.append(decision(2))
    await stream.archive_all()
    assert set(await stream.archived()) == {decision(1).id, decision(2).id}
    assert stream.left() == (0, 0)
    ((_, kept),) = stream.redis.xrange(UNREADABLE_DECISIONS)
    assert kept.pop(b"entry") == entry
    assert kept.pop(b"why")
    assert kept == {
        name.encode(): value if isinstance(value, bytes) else value.encode() for name, value in rubbish.items()
    }


async def test_a_record_that_sql_refuses_for_what_is_in_it_is_kept_aside_alone(stream: Stream, monkeypatch):
    def lenient(fields, archived_at):
        """Return a row that only the database rejects."""
        row = row_of(fields, archived_at)
        return row | {"verdict": "MAYBE"} if row["id"] == decision(500).id else row

    monkeypatch.setattr("admin_web.worker.decision_archive.row_of", lenient)
    stream.append(*(decision(number) for number in range(900)))
    await stream.archive_all()
    assert set(await stream.archived()) == {decision(number).id for number in range(900)} - {decision(500).id}
    ((_, kept),) = stream.redis.xrange(UNREADABLE_DECISIONS)
    assert kept[b"id"] == decision(500).id.encode()
    assert stream.left() == (0, 0)


async def test_what_is_read_while_sql_is_away_waits_for_it(stream: Stream):
    stream.append(*(decision(number) for number in range(10)))
    away = DecisionArchive(Database("postgresql://nobody@127.0.0.1:1/none"), stream.store, utc_now)
    await away.archive_left(0)
    with pytest.raises(DatabaseUnavailable):
        await away.archive_new()
    assert stream.left() == (10, 10)
    await stream.archive_all()
    assert len(await stream.archived()) == 10


@pytest.mark.exhaustive
async def test_two_archives_at_once_share_the_work_and_do_each_decision_once(stream: Stream):
    random, wanted = Random(7), set()
    others = [DecisionArchive(stream.database, stream.store, utc_now) for _ in range(3)]
    over = False

    async def work(archive: DecisionArchive) -> None:
        while not over:
            with suppress(DatabaseUnavailable):
                await archive.archive_left(random.choice([0, 10]))
                await archive.archive_new()

    tasks = [asyncio.create_task(work(archive)) for archive in others]
    for first in range(0, 6000, 200):
        some = [decision(number) for number in range(first, first + 200)]
        wanted |= {one.id for one in some}
        stream.append(*some, *(blocked(number) for number in range(first, first + 200, 2)))
        await asyncio.sleep(0.005)
    over = True
    await asyncio.gather(*tasks)
    await stream.archive_all()
    archived = await stream.archived()
    assert set(archived) == wanted
    assert sum(reason == "internal-dnc" for reason in archived.values()) == 3000
    assert stream.left() == (0, 0)
    assert stream.redis.xlen(UNREADABLE_DECISIONS) == 0


async def test_a_batch_is_bounded(stream: Stream):
    stream.append(*(decision(number) for number in range(BATCH + 1)))
    await stream.archive.archive_left(0)
    assert await stream.archive.archive_new() == BATCH
    assert await stream.archive.archive_new() == 1


async def test_decisions_are_counted_by_quarter_of_an_hour_verdict_and_reason(stream: Stream):
    late = timedelta(minutes=14, seconds=59, milliseconds=999)
    stream.append(decision(1), decision(2)._replace(at=AT + late), decision(3)._replace(at=AT + QUARTER), blocked(4))
    await stream.archive_all()
    assert await totals(stream.database) == {
        (AT, "ALLOW", "not-listed"): 2,
        (AT + QUARTER, "ALLOW", "not-listed"): 1,
        (AT, "BLOCK", "internal-dnc"): 1,
    }


async def test_two_corrections_at_once_take_what_stood_there_out_of_the_totals_once(stream: Stream):
    stream.append(decision(1))
    await stream.archive_all()

    async def correct(reason: str) -> None:
        async with stream.database.write() as session:
            await put(session, [row_of(fields(blocked(1, reason)), AT)])
            await asyncio.sleep(0.1)  # The other task is here too, or waits for this transaction.

    async with stream.database.read() as one, stream.database.read() as other:
        await asyncio.gather(one.connection(), other.connection())  # Open both first: that is slow.
    await asyncio.gather(correct("internal-dnc"), correct("deadline"))
    assert await stream.archived() == {decision(1).id: "deadline"}


async def test_a_correction_moves_its_decision_from_one_total_to_another(stream: Stream):
    stream.append(decision(1), decision(2))
    await stream.archive_all()
    stream.append(blocked(1)._replace(at=AT + HOUR))
    await stream.archive_all()
    assert await totals(stream.database) == {
        (AT, "ALLOW", "not-listed"): 1,
        (AT + HOUR, "BLOCK", "internal-dnc"): 1,
    }


async def test_decisions_from_before_there_were_totals_are_counted_by_the_migration(stream: Stream):
    stream.append(*(decision(number)._replace(at=AT + number * HOUR) for number in range(10)), blocked(10))
    await stream.archive_all()
    counted = await totals(stream.database)
    await go_back(stream.database, "0001")
    async with stream.database.write() as session:
        assert (await session.execute(text("SELECT count(*) FROM decisions"))).scalar_one() == 11
    await migrate(stream.database)
    assert await totals(stream.database) == counted == await sums(stream.database)
