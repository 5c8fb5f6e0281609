"""Who called: the agent of a call, or the person whose telephone it was at that moment."""

from datetime import timedelta

import pytest

from admin_web.queries.call import decided_call, lone_record
from admin_web.queries.call_filter import UNSCREENED, CallFilter
from admin_web.queries.call_totals import totals
from admin_web.queries.calls import call_page, decision_page
from admin_web.queries.dashboard import dials_of
from admin_web.queries.telephones import telephone_page, unassigned_telephones
from admin_web.record.changes import Records
from admin_web.record.database import Database
from admin_web.record.models import Telephone
from admin_web.services.telephones import UnknownTelephone, assign_telephone, end_telephone
from compliance.refusal import NotPermitted, Unwritable
from tests.support.call_log import SECOND, decision, put, record
from tests.support.records import ADMIN, AT, SUPERVISOR, Clock, rows

DESK = "PJSIP/desk"
MINUTE = timedelta(minutes=1)


def period(person: str, since: int, until: int | None, channel: str = DESK) -> Telephone:
    """Return a period of a telephone, in seconds after AT."""
    return Telephone(
        channel=channel, person=person, since=AT + since * SECOND, until=None if until is None else AT + until * SECOND,
        assigned_at=AT, assigned_by="admin",
    )  # fmt: skip


async def callers(database: Database) -> dict[int, str]:
    page = await call_page(database, CallFilter())
    return {int((call.at - AT).total_seconds()): call.agent for call in page.rows}


async def test_a_telephone_names_its_person_of_that_moment_and_an_agent_outranks_it(database: Database):
    await put(
        database,
        period("alice", 2, 4), period("bob", 4, None), period("carol", 0, None, "PJSIP/other"),
        *(decision(at, telephone=DESK) for at in range(1, 6)),
        decision(6, telephone=DESK, agent="dora"), decision(7), decision(8, telephone="PJSIP/nobody"),
        record(9, unscreened=True, telephone=DESK), record(10, unscreened=True, telephone=DESK, agent="erin"),
    )  # fmt: skip
    assert await callers(database) == {
        1: "", 2: "alice", 3: "alice", 4: "bob", 5: "bob", 6: "dora", 7: "", 8: "", 9: "bob", 10: "erin",
    }  # fmt: skip


FILTERS = [
    (CallFilter(agent="alice"), [1, 3, 5, 7]),
    (CallFilter(agent="bob"), [2, 4]),
    (CallFilter(agent="alice", lead="L-1"), [5]),
    (CallFilter(agent="alice", reason="internal-dnc"), [3]),
    (CallFilter(agent="alice", verdict="BLOCK"), [3]),
    (CallFilter(agent="alice", verdict=UNSCREENED), [7]),
    (CallFilter(agent="alice", override="12"), [5]),
    (CallFilter(agent="alice", since=AT + 3 * SECOND, until=AT + 7 * SECOND), [3, 5]),
    (CallFilter(agent="nobody"), []),
]


@pytest.mark.parametrize(("wanted", "expected"), FILTERS, ids=lambda value: repr(value)[:60])
async def test_the_calls_of_a_person_are_those_of_their_name_and_of_their_telephones(
    database: Database, wanted: CallFilter, expected: list[int]
):
    await put(
        database,
        period("alice", 0, 4), period("bob", 4, 5), period("alice", 5, None), period("alice", 0, None, "SIP/7"),
        decision(1, agent="alice"), decision(2, telephone=DESK, agent="bob"),
        decision(3, telephone=DESK, verdict="BLOCK", reason="internal-dnc"), decision(4, telephone=DESK),
        decision(5, telephone="SIP/7", lead="L-1", override="12", reason="override"), decision(6),
        record(7, unscreened=True, telephone=DESK), record(8, unscreened=True, telephone=DESK, agent="dora"),
    )  # fmt: skip
    found = [int((call.at - AT).total_seconds()) for call in (await call_page(database, wanted)).rows]
    assert sorted(found) == expected
    assert found == sorted(found, reverse=True)
    decided = [place for place in expected if place < 7]
    page = await decision_page(database, wanted)
    assert sorted(int((call.at - AT).total_seconds()) for call in page.rows) == decided
    if wanted.verdict != UNSCREENED:
        counted = (await totals(database, wanted)).verdicts
        assert counted is not None
        assert sum(counted.values()) == len(decided)


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_the_pages_of_a_person_s_calls_show_each_call_once(database: Database, size: int):
    calls = [
        decision(at, telephone=(DESK, "SIP/7", "")[at % 3], agent="" if at % 3 != 2 else "alice") for at in range(9)
    ]
    await put(database, period("alice", 0, 5), period("alice", 5, None), period("alice", 0, None, "SIP/7"), *calls)
    seen, behind = [], None
    while True:
        page = await call_page(database, CallFilter(agent="alice"), behind, size)
        seen += page.rows
        if not page.next_key:
            break
        behind = page.rows[-1].place
    assert [call.decision for call in seen] == [call.id for call in reversed(calls)]
    assert {call.agent for call in seen} == {"alice"}


async def test_a_person_s_own_dials_include_those_from_their_telephone(database: Database):
    await put(
        database, period("alice", 0, 4), decision(1, agent="alice"),
        decision(2, telephone=DESK, verdict="BLOCK", reason="internal-dnc"), decision(5, telephone=DESK), decision(6),
    )  # fmt: skip
    dials = await dials_of(database, "alice", AT)
    assert (dials.allowed, dials.blocked, dials.all) == (1, 1, 2)


async def test_the_page_of_a_call_knows_the_caller_of_each_call_on_it(database: Database):
    await put(
        database, period("alice", 0, 3), decision(1, telephone=DESK), decision(2, telephone=DESK),
        decision(4, telephone=DESK, channel="pbx-1.1"), record(5, unscreened=True, telephone="SIP/9"),
    )  # fmt: skip
    found = await decided_call(database, decision(1).id)
    assert (found.caller, found.telephone) == ("alice", DESK)
    assert [found.caller_of(one) for one in [*found.others, *found.later]] == ["", "alice", ""]
    alone = await lone_record(database, 1)
    assert (alone.caller, alone.telephone) == ("", "SIP/9")


async def spans(records: Records) -> list[tuple[str, float, float | None]]:
    return [
        (row.person, (row.since - AT).total_seconds(), (row.until - AT).total_seconds() if row.until else None)
        for row in await rows(records, Telephone)
    ]


async def test_a_telephone_passes_from_one_person_to_the_next_without_changing_earlier_calls(
    records: Records, clock: Clock
):
    await assign_telephone(records, ADMIN, DESK, "alice")
    clock.move(minutes=1)
    await assign_telephone(records, ADMIN, DESK, "bob")
    clock.move(minutes=1)
    await end_telephone(records, ADMIN, DESK)
    clock.move(minutes=1)
    await assign_telephone(records, ADMIN, DESK, "carol", earlier=True)
    assert await spans(records) == [("alice", 0, 60), ("bob", 60, 120), ("carol", 120, None)]
    page = await telephone_page(records.database)
    assert [(row.person, row.ended_by) for row in page.rows] == [("alice", "admin"), ("bob", "admin"), ("carol", None)]


async def test_a_first_assignment_covers_earlier_calls_only_when_asked_to(records: Records):
    await put(records.database, decision(-5, telephone=DESK), decision(-4, telephone="SIP/7"))
    await assign_telephone(records, ADMIN, DESK, "alice")
    await assign_telephone(records, ADMIN, "SIP/7", "bob", earlier=True)
    assert await callers(records.database) == {-5: "", -4: "bob"}
    assert [row.since for row in (await telephone_page(records.database)).rows] == [AT, None]


async def test_assigning_a_telephone_to_its_person_again_changes_nothing(records: Records, clock: Clock):
    await assign_telephone(records, ADMIN, DESK, "alice")
    clock.move(minutes=1)
    assert await assign_telephone(records, ADMIN, DESK, "alice") == AT
    assert await spans(records) == [("alice", 0, None)]


@pytest.mark.parametrize(
    ("channel", "person", "said"),
    [
        ("", "alice", "The telephone is missing"),
        ("alice", "alice", "such as PJSIP/alice"),
        ("Local/alice@agents", "alice", "such as PJSIP/alice"),
        ("PJSIP/a lice\x00", "", "The person is missing"),
        ("PJSIP/" + "x" * 80, "alice", "longer than 80"),
        ("PJSIP/alice-0000001f", "alice", r"appends for each call: PJSIP/alice\."),
        (DESK, " ", "The person is missing"),
        (DESK, "x" * 65, "longer than 64"),
    ],
)
async def test_a_telephone_that_cannot_occur_in_a_record_is_refused(records, channel: str, person: str, said: str):
    with pytest.raises(Unwritable, match=said):
        await assign_telephone(records, ADMIN, channel, person)
    assert await rows(records, Telephone) == []


async def test_only_admins_assign_and_nothing_ends_twice(records: Records):
    with pytest.raises(NotPermitted):
        await assign_telephone(records, SUPERVISOR, DESK, "alice")
    with pytest.raises(NotPermitted):
        await end_telephone(records, SUPERVISOR, DESK)
    with pytest.raises(UnknownTelephone):
        await end_telephone(records, ADMIN, DESK)
    await assign_telephone(records, ADMIN, DESK, "alice")
    await end_telephone(records, ADMIN, DESK)
    with pytest.raises(UnknownTelephone):
        await end_telephone(records, ADMIN, DESK)


async def test_telephones_that_called_lately_without_a_person_are_listed(database: Database):
    await put(
        database, period("alice", 0, None), decision(1, telephone=DESK), decision(2, telephone="SIP/7"),
        decision(3, telephone="SIP/8"), decision(4, telephone="SIP/8"), decision(5, telephone="SIP/9", agent="dora"),
        decision(6, at=AT - timedelta(days=8), telephone="SIP/10"), decision(7),
    )  # fmt: skip
    found = await unassigned_telephones(database, AT + MINUTE)
    assert [(one.channel, one.calls, one.last_at) for one in found] == [
        ("SIP/8", 2, AT + 4 * SECOND), ("SIP/7", 1, AT + 2 * SECOND),
    ]  # fmt: skip
