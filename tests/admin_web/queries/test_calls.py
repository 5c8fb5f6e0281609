"""The call log: its rows, their order, and the results of filters."""

from dataclasses import replace
from datetime import timedelta

import pytest

from admin_web.projection.store import Store
from admin_web.queries.call import UnknownCall, decided_call, lone_record
from admin_web.queries.call_coverage import Coverage, coverage
from admin_web.queries.call_filter import UNSCREENED, CallFilter, dialled_as
from admin_web.queries.call_totals import known_reasons, totals
from admin_web.queries.calls import call_page, every_call
from admin_web.record.database import Database
from admin_web.record.models import CallRequest, CdrFile, DecisionTotal, Lead
from compliance.redis_schema import DECISIONS, UNREADABLE_DECISIONS
from lab.redis import RedisServer
from tests.support.call_log import SECOND, decision, put, record
from tests.support.records import AT, NUMBER, OTHER

HOUR = timedelta(hours=1)


async def found(database: Database, wanted: CallFilter) -> list[str]:
    """Return the calls a filter finds, latest first: last digits of the decision, or `r` and those of the channel."""
    page = await call_page(database, wanted)
    return [call.decision[-2:] if call.decision else f"r{call.channel[-1]}" for call in page.rows]


async def test_decisions_and_records_without_one_stand_in_one_order_of_time(database: Database):
    await put(
        database,
        decision(1),
        record(2, unscreened=True),
        decision(3),
        record(4, verdict="BLOCK", reason="gate-unreachable"),
        record(3, decision_id=decision(3).id, verdict="ALLOW"),
    )
    assert await found(database, CallFilter()) == ["r4", "03", "r2", "01"]


async def test_a_call_that_left_although_its_decision_stopped_it_stands_beside_the_decision(database: Database):
    stopped = decision(1, verdict="BLOCK", reason="internal-dnc")
    left = record(1, AT + 2 * SECOND, decision_id=stopped.id, verdict="BLOCK", reason="internal-dnc", unscreened=True)
    await put(database, stopped, left)
    assert await found(database, CallFilter()) == ["r1", "01"]
    assert await found(database, CallFilter(verdict=UNSCREENED)) == ["r1"]
    assert (await totals(database, CallFilter())).unscreened == 1
    alone = await lone_record(database, left.id)
    assert [other.id for other in alone.others] == [stopped.id]


async def test_a_call_that_never_meant_to_leave_is_no_call_of_the_log(database: Database):
    await put(database, record(1, destination="200"))
    assert await found(database, CallFilter()) == []


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
async def test_paging_shows_each_call_once_even_when_all_began_in_one_moment(database: Database, rows: int):
    of_one_moment = [decision(number, AT) for number in range(5)]
    without = [record(number, AT, unscreened=True) for number in range(5)]
    await put(database, *of_one_moment, *without, decision(9), record(9, unscreened=True))
    seen, behind = [], None
    while True:
        page = await call_page(database, CallFilter(), behind, rows)
        seen += page.rows
        assert len(page.rows) <= rows
        if not page.next_key:
            break
        behind = page.rows[-1].place
    whole = (await call_page(database, CallFilter())).rows
    assert len(whole) == 12
    assert [call.place for call in seen] == [call.place for call in whole]
    assert [call.place for call in whole] == sorted((call.place for call in whole), reverse=True)
    assert [call.place async for call in every_call(database, CallFilter(), rows)] == [call.place for call in whole]


FILTERS = [
    (CallFilter(number=NUMBER, dialled=dialled_as(NUMBER, "9")), ["r6", "r5", "r3", "01"]),
    (CallFilter(lead="L-1"), ["r6", "01"]),
    (CallFilter(agent="agent1"), ["r6", "02"]),
    (CallFilter(verdict="ALLOW"), ["r7", "02", "01"]),
    (CallFilter(verdict="BLOCK"), ["r5", "04"]),
    (CallFilter(verdict=UNSCREENED), ["r6", "r3"]),
    (CallFilter(reason="not-listed"), ["01"]),
    (CallFilter(reason="gate-unreachable"), ["r5"]),
    (CallFilter(reason="internal-dnc"), ["04"]),
    (CallFilter(reason="not-listed", verdict="BLOCK"), []),
    (CallFilter(override="12"), ["02"]),
    (CallFilter(since=AT + 5 * SECOND), ["r7", "r6", "r5"]),
    (CallFilter(until=AT + 3 * SECOND), ["02", "01"]),
    (CallFilter(since=AT + 2 * SECOND, until=AT + 5 * SECOND), ["04", "r3", "02"]),
    (CallFilter(lead="L-1", verdict=UNSCREENED), ["r6"]),
    (CallFilter(agent="nobody"), []),
]


@pytest.mark.parametrize(("wanted", "calls"), FILTERS, ids=lambda value: repr(value)[:60])
async def test_a_filter_finds_what_it_says_and_nothing_else(database: Database, wanted: CallFilter, calls: list[str]):
    await put(
        database,
        decision(1, lead="L-1"),
        decision(2, number=OTHER, override="12", reason="override", agent="agent1"),
        record(3, unscreened=True, destination="94155550100"),
        decision(4, verdict="BLOCK", reason="internal-dnc", number=OTHER),
        record(5, verdict="BLOCK", reason="gate-unreachable"),
        record(6, unscreened=True, lead="L-1", agent="agent1"),
        record(7, verdict="ALLOW", reason="emergency", destination="911"),
    )
    assert await found(database, wanted) == calls
    assert await found(database, replace(wanted, since=wanted.since or AT, until=wanted.until or AT + HOUR)) == calls


async def test_a_call_that_left_although_it_was_blocked_is_found_as_unscreened_and_not_as_blocked(database: Database):
    await put(database, record(1, verdict="BLOCK", reason="gate-unreachable", unscreened=True))
    assert await found(database, CallFilter(verdict="BLOCK")) == []
    assert await found(database, CallFilter(verdict=UNSCREENED)) == ["r1"]


async def test_how_a_call_ended_is_told_by_all_its_records_together(database: Database):
    decided = {"decision_id": decision(1).id, "verdict": "ALLOW"}
    await put(
        database,
        Lead(id="L-1", name="Northwind Traders", number=NUMBER, created_at=AT, created_by="test"),
        decision(1, lead="L-1"),
        record(1, **decided, disposition="NO ANSWER", ended_at=AT + 9 * SECOND),
        record(
            2, AT + 9 * SECOND, **decided, disposition="ANSWERED", answered_at=AT + 11 * SECOND,
            ended_at=AT + 71 * SECOND, seconds_billed=60,
        ),
    )  # fmt: skip
    (call,) = (await call_page(database, CallFilter())).rows
    assert call.lead_name == "Northwind Traders"
    assert call.outcome is not None
    assert (call.outcome.disposition, call.outcome.seconds_billed, call.outcome.records) == ("ANSWERED", 60, 2)
    assert (call.outcome.answered_at, call.outcome.ended_at) == (AT + 11 * SECOND, AT + 71 * SECOND)


@pytest.mark.parametrize(
    "dialled", ["+14155550100", "14155550100", "4155550100", "94155550100", "9011" + "14155550100"]
)
def test_a_number_is_known_in_every_spelling_that_a_pbx_may_dial(dialled: str):
    assert dialled in dialled_as(NUMBER, "9")


async def test_a_decision_is_shown_with_all_that_belongs_to_it(database: Database):
    await put(
        database,
        Lead(id="L-1", number=NUMBER, created_at=AT, created_by="test"),
        decision(1, lead="L-1"),
        decision(2, channel="pbx-1.1"),
        decision(3, number=OTHER),
        record(1, decision_id=decision(1).id, verdict="ALLOW"),
        CallRequest(channel="pbx-1.1", lead_id="L-1", number=NUMBER, asked_at=AT, asked_by="agent1"),
    )
    whole = await decided_call(database, decision(1).id)
    assert whole.decision
    assert whole.request
    assert whole.lead
    assert (whole.decision.id, len(whole.records), whole.disagreeing) == (decision(1).id, 1, [])
    assert (whole.request.asked_by, whole.lead.id) == ("agent1", "L-1")
    assert [other.id for other in whole.others] == [decision(2).id]
    assert [later.id for later in whole.later] == [decision(2).id]


async def test_a_pbx_that_placed_a_blocked_call_is_told_of(database: Database):
    await put(
        database,
        decision(1, verdict="BLOCK", reason="internal-dnc"),
        record(1, decision_id=decision(1).id, verdict="ALLOW"),
        decision(2),
        record(2, decision_id=decision(2).id, verdict="BLOCK", reason="gate-silent"),
    )
    assert (await decided_call(database, decision(1).id)).placed_against_it
    late = await decided_call(database, decision(2).id)
    assert not late.placed_against_it
    assert [one.reason for one in late.disagreeing] == ["gate-silent"]


async def test_a_call_that_is_not_in_the_log_is_refused_in_words(database: Database):
    await put(database, record(1, decision_id="d"))
    with pytest.raises(UnknownCall, match="no decision nothing"):
        await decided_call(database, "nothing")
    for record_id in (1, 2):
        with pytest.raises(UnknownCall):
            await lone_record(database, record_id)


async def test_totals_are_told_where_that_is_quick_and_not_guessed_elsewhere(database: Database):
    hour = AT.replace(minute=0)
    await put(
        database, decision(1, lead="L-1"), decision(2, lead="L-1", verdict="BLOCK", reason="internal-dnc"),
        record(3, unscreened=True),
        DecisionTotal(began_at=hour, verdict="ALLOW", reason="not-listed", decisions=40),
        DecisionTotal(began_at=hour, verdict="BLOCK", reason="internal-dnc", decisions=2),
        DecisionTotal(began_at=hour + HOUR, verdict="ALLOW", reason="not-listed", decisions=5),
    )  # fmt: skip
    assert (await totals(database, CallFilter())).verdicts is None
    assert (await totals(database, CallFilter(lead="L-1"))).verdicts == {"ALLOW": 1, "BLOCK": 1}
    period = CallFilter(since=hour, until=hour + HOUR)
    assert (await totals(database, period)).verdicts == {"ALLOW": 40, "BLOCK": 2}
    assert (await totals(database, replace(period, reason="internal-dnc"))).verdicts == {"BLOCK": 2}
    assert (await totals(database, replace(period, since=hour + SECOND))).verdicts is None
    assert (await totals(database, period)).unscreened == 1
    assert (await totals(database, replace(period, since=hour - HOUR, until=hour))).unscreened == 0


async def test_calls_that_a_registry_cannot_tell_of_are_found_by_their_reason_allowed_and_blocked(
    database: Database,
):
    hour = AT.replace(minute=0)
    await put(
        database, decision(1, reason="registry-uncovered", detail="us-ftc"), decision(2),
        decision(3, verdict="BLOCK", reason="registry-uncovered", detail="us-tx"),
        decision(4, verdict="BLOCK", reason="registry-stale", detail="us-ftc"),
        DecisionTotal(began_at=hour, verdict="ALLOW", reason="registry-uncovered", decisions=40),
        DecisionTotal(began_at=hour, verdict="BLOCK", reason="registry-uncovered", decisions=2),
        DecisionTotal(began_at=hour, verdict="ALLOW", reason="not-listed", decisions=5),
    )  # fmt: skip
    uncovered = CallFilter(reason="registry-uncovered")
    assert [call.decision for call in (await call_page(database, uncovered)).rows] == [decision(3).id, decision(1).id]
    passed = await call_page(database, replace(uncovered, verdict="ALLOW"))
    assert [(call.decision, call.detail) for call in passed.rows] == [(decision(1).id, "us-ftc")]
    found = await totals(database, replace(uncovered, since=hour, until=hour + HOUR))
    assert found.verdicts == {"ALLOW": 40, "BLOCK": 2}


async def test_counting_ends_where_a_page_would_wait_for_it(database: Database, monkeypatch):
    monkeypatch.setattr("admin_web.queries.call_totals.MOST_COUNTED", 2)
    monkeypatch.setattr("admin_web.queries.call_coverage.MOST_COUNTED", 2)
    await put(database, *(decision(number) for number in range(5)), *(record(n, unscreened=True) for n in range(5)))
    told = await totals(database, CallFilter(number=NUMBER))
    assert told.more
    assert told.unscreened == 3


async def test_the_log_says_for_which_period_it_is_whole(database: Database, redis_server: RedisServer):
    now = AT + HOUR
    async with Store(redis_server.url) as store:
        nothing = await coverage(database, store, now)
        assert (nothing.since, nothing.until, nothing.waiting, nothing.records_read_at) == (None, now, 0, None)
        await put(
            database, decision(1), CdrFile(path="/cdr.csv", inode=1, position=9, head="", unreadable=2, read_at=AT)
        )
        waiting_since = AT + timedelta(minutes=5)
        async with store.wire() as wire:
            entry = f"{int(waiting_since.timestamp() * 1000)}-0"
            await wire.ask(("XADD", DECISIONS, entry, "id", "x"), ("XADD", DECISIONS, "*", "id", "y"))
            await wire.ask(("XADD", UNREADABLE_DECISIONS, "*", "id", "z"))
        told = await coverage(database, store, now)
        assert (told.since, told.until, told.waiting) == (AT + SECOND, waiting_since, 2)
        assert (told.unreadable, told.records_read_at, told.records_unreadable, told.doubt) == (1, AT, 2, "")


@pytest.mark.parametrize(("days", "shown"), [(0, True), (30, True), (32, False)])
async def test_a_lost_file_is_shown_for_a_month(database: Database, redis_server: RedisServer, days: int, shown: bool):
    lost = CdrFile(path="/cdr.csv", inode=1, position=9, head="", unreadable=0, read_at=AT, lost_at=AT)
    await put(database, lost, CdrFile(path="/b.csv", inode=1, position=9, head="", unreadable=0, read_at=AT))
    async with Store(redis_server.url) as store:
        told = await coverage(database, store, AT + timedelta(days=days))
    assert told.records_lost_at == (AT if shown else None)


@pytest.mark.parametrize(
    ("verdict", "minutes", "marked"),
    [("ALLOW", 1, True), ("ALLOW", 44, True), ("ALLOW", 46, False), ("ALLOW", -1, False), ("BLOCK", 1, False)],
)
def test_an_allowed_call_that_no_record_of_the_pbx_names_is_marked_once_the_record_is_due(
    verdict: str, minutes: int, marked: bool
):
    covered = Coverage(AT, AT, 0, 0, records_read_at=AT + HOUR, records_since=AT)
    assert covered.lacks_record(verdict, AT + timedelta(minutes=minutes)) is marked
    assert not replace(covered, records_read_at=None).lacks_record(verdict, AT + timedelta(minutes=minutes))
    assert not replace(covered, records_since=None).lacks_record(verdict, AT + timedelta(minutes=minutes))


async def test_without_redis_nobody_knows_until_when_the_log_is_whole(database: Database, short_path):
    async with Store(f"unix://{short_path}/none.sock") as store:
        told = await coverage(database, store, AT)
    assert told.until is None
    assert "Redis" in told.doubt


async def test_every_reason_that_a_call_may_bear_can_be_asked_for(database: Database):
    reasons = await known_reasons(database)
    assert {"not-listed", "override", "internal-dnc", "gate-unreachable", "deadline"} <= set(reasons)
    assert {"registry-uncovered", "registry-stale"} <= set(reasons)
    assert len(reasons) == len(set(reasons))
