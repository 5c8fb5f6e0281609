"""Decisions get the agent and the telephone of their call's PBX records, whichever of the two reaches SQL first."""

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text

from admin_web.record.database import Database
from admin_web.record.models import CallRequest, DecisionRecord, Lead
from admin_web.record.schema import go_back, migrate
from admin_web.worker import call_agents
from admin_web.worker.call_details.reader import put as put_records
from admin_web.worker.call_details.rows import DetailColumns, Trunks, row_of
from admin_web.worker.decision_rows import put as put_decisions
from admin_web.worker.decision_rows import row_of as decision_row
from compliance import verdict
from compliance.redis_records import decision_fields
from compliance.verdict import Decision, allow, block
from tests.support.call_log import decision as stored
from tests.support.call_log import put, record
from tests.support.cdr import fields
from tests.support.plans import by_index
from tests.support.records import AT, NUMBER

MADE = Decision(
    id="019ab3c4d5e6-9f3a1c22-0000001a", at=datetime(2026, 3, 1, 12, tzinfo=UTC), ruling=allow(verdict.NOT_LISTED),
    dialed="4155550100", number="+14155550100", lead="", channel="pbx-1.1", generation=7, gate="gate-1",
)  # fmt: skip
LOCAL = "Local/4155550100@dnc-screened-0000001f;2"


def detail(**given: str) -> DetailColumns:
    """Return a record of the call as the reader parses it."""
    call = {"uniqueid": "pbx-1.1", "linkedid": "pbx-1.1", "channel": "PJSIP/alice-0000001f"}
    return row_of(fields(**{**call, "dnc_decision": MADE.id, **given}), Trunks(["PJSIP/trunk-*"]))


async def archive(database: Database, decision: Decision = MADE) -> None:
    columns = {name.encode(): value.encode() for name, value in decision_fields(decision).items()}
    async with database.write() as session:
        await put_decisions(session, [decision_row(columns, AT)])


async def read(database: Database, *details: DetailColumns) -> None:
    async with database.write() as session:
        await put_records(session, details)


async def named(database: Database) -> tuple[str, str]:
    async with database.read() as session:
        (row,) = await session.scalars(select(DecisionRecord))
    return row.agent, row.telephone


@pytest.mark.parametrize("records_first", [True, False])
@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ([detail(dnc_agent="alice")], ("alice", "PJSIP/alice")),
        ([detail()], ("", "PJSIP/alice")),
        ([detail(channel="SIP/desk-12-00000a01")], ("", "SIP/desk-12")),
        ([detail(channel="PJSIP/trunk-0000001f", src="+14155550111")], ("", "")),
        ([detail(channel=LOCAL)], ("", "")),
        # A transfer: the first record counts.
        (
            [detail(dnc_agent="alice"), detail(dnc_agent="bob", sequence="1", start="1795495770.000000")],
            ("alice", "PJSIP/alice"),
        ),
        # The telephone has called through a Local channel.
        (
            [
                detail(channel=LOCAL, linkedid="pbx-1.0", dstchannel="PJSIP/trunk-00000002", dnc_verdict="ALLOW"),
                detail(uniqueid="pbx-1.0", linkedid="pbx-1.0", dnc_decision="", dnc_agent="carol"),
            ],
            ("carol", "PJSIP/alice"),
        ),
        # So it has for a call that was blocked, which reached no trunk.
        (
            [
                detail(channel=LOCAL, linkedid="pbx-1.0", dnc_verdict="BLOCK"),
                detail(uniqueid="pbx-1.0", linkedid="pbx-1.0", dnc_decision=""),
            ],
            ("", "PJSIP/alice"),
        ),
        # The agent of the screened channel outranks that of the first one.
        (
            [
                detail(channel=LOCAL, linkedid="pbx-1.0", dnc_verdict="BLOCK", dnc_agent="bob"),
                detail(uniqueid="pbx-1.0", linkedid="pbx-1.0", dnc_decision="", dnc_agent="carol"),
            ],
            ("bob", "PJSIP/alice"),
        ),
        # A trunk began it: nobody's telephone.
        (
            [
                detail(channel=LOCAL, linkedid="pbx-1.0", dnc_verdict="BLOCK"),
                detail(uniqueid="pbx-1.0", linkedid="pbx-1.0", dnc_decision="", channel="PJSIP/trunk-00000001",
                       src="+14155550111"),
            ],
            ("", ""),
        ),
        # Another person's call was linked to this one.
        (
            [
                detail(linkedid="pbx-1.0"),
                detail(uniqueid="pbx-1.0", linkedid="pbx-1.0", dnc_decision="", dnc_agent="bob", channel="PJSIP/b-01"),
            ],
            ("", "PJSIP/alice"),
        ),
    ],
)  # fmt: skip
async def test_a_decision_is_joined_with_its_records_in_either_order(
    database: Database, details: list[DetailColumns], expected: tuple[str, str], records_first: bool
):
    if records_first:
        await read(database, *details)
    await archive(database)
    if not records_first:
        for one in details:
            await read(database, one)
    assert await named(database) == expected


async def test_a_telephone_that_is_recorded_last_is_named_whatever_became_of_the_call(database: Database):
    """Asterisk writes the record of the first channel last."""
    await archive(database, MADE._replace(ruling=block(verdict.DEADLINE)))
    await read(database, detail(channel=LOCAL, linkedid="pbx-1.0", dnc_verdict="BLOCK"))
    assert await named(database) == ("", "")
    await read(database, detail(uniqueid="pbx-1.0", linkedid="pbx-1.0", dnc_decision=""))
    assert await named(database) == ("", "PJSIP/alice")


async def test_calls_that_a_channel_began_are_found_by_an_index(database: Database):
    async with database.write() as session:
        if not database.on_sqlite:
            await session.execute(text("SET LOCAL enable_seqscan = off"))
        query = call_agents.decisions_on(session, ["pbx-1.0"])
        sql = query.compile(dialect=session.get_bind().dialect, compile_kwargs={"literal_binds": True})
        explain = "EXPLAIN QUERY PLAN " if database.on_sqlite else "EXPLAIN "
        plan = str((await (await session.connection()).exec_driver_sql(explain + str(sql))).all())
    assert "SCAN call_details" not in plan
    assert "Seq Scan" not in plan
    assert by_index(plan, "ix_call_details_begun")


@pytest.mark.parametrize("records_first", [True, False])
async def test_who_clicked_outranks_the_agent_that_the_pbx_names(database: Database, records_first: bool):
    await put(
        database,
        Lead(id="L-1", number=NUMBER, created_at=AT, created_by="test"),
        CallRequest(channel="pbx-1.1", lead_id="L-1", number=NUMBER, asked_at=AT, asked_by="dora"),
    )
    steps = [lambda: archive(database), lambda: read(database, detail(dnc_agent="alice"))]
    for step in reversed(steps) if records_first else steps:
        await step()
    assert await named(database) == ("dora", "PJSIP/alice")


async def test_a_correction_of_a_decision_keeps_its_agent(database: Database):
    await archive(database)
    await read(database, detail(dnc_agent="alice"))
    await archive(database, MADE._replace(ruling=block(verdict.DEADLINE)))
    assert await named(database) == ("alice", "PJSIP/alice")


@pytest.mark.parametrize("records_first", [True, False])
async def test_two_transactions_at_once_do_not_miss_each_other(database: Database, records_first: bool):
    columns = {name.encode(): value.encode() for name, value in decision_fields(MADE).items()}
    async with database.write() as session:
        if records_first:
            await put_records(session, [detail(dnc_agent="alice")])
            other = asyncio.create_task(archive(database))
        else:
            await put_decisions(session, [decision_row(columns, AT)])
            other = asyncio.create_task(read(database, detail(dnc_agent="alice")))
        done, _ = await asyncio.wait({other}, timeout=0.3)
        assert not done
    await other
    assert await named(database) == ("alice", "PJSIP/alice")


@pytest.mark.parametrize("given", ["x" * 200, "a\nb", "<b>", "=1+1", "shell:root"])
async def test_an_agent_of_the_pbx_is_bounded_and_printable(database: Database, given: str):
    await read(database, detail(dnc_agent=given))
    await archive(database)
    agent, _ = await named(database)
    assert agent == given[:64].replace("\n", "\ufffd")


async def test_decisions_of_before_get_the_agents_that_their_records_name(database: Database):
    await put(
        database, stored(1), stored(2), stored(3, agent="dora"),
        record(1, decision_id=stored(1).id, agent="alice"), record(3, decision_id=stored(3).id, agent="alice"),
    )  # fmt: skip
    await go_back(database, "0006")
    await migrate(database)
    async with database.read() as session:
        rows = await session.scalars(select(DecisionRecord).order_by(DecisionRecord.id))
        assert [row.agent for row in rows] == ["alice", "", "dora"]
