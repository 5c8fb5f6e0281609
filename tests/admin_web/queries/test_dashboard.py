"""Calls over time, from the totals, in steps of the reader's time zone; and the page that shows them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from admin_web.queries.dashboard import Dials, Span, dials_of, history
from admin_web.record.database import Database
from admin_web.record.models import DecisionRecord, DecisionTotal
from compliance import verdict
from compliance.consent import Role
from compliance.verdict import Verdict
from compliance.zones import QUARTER
from lab.redis import RedisServer
from tests.support.site import Site, settings_of

AT = datetime(2026, 3, 1, 12, 34, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOON = AT.replace(minute=0)


async def count(database: Database, hour: datetime, reason: str = verdict.NOT_LISTED, decisions: int = 1) -> None:
    ruled = Verdict.ALLOW if reason in {verdict.NOT_LISTED, verdict.OVERRIDE, verdict.EMERGENCY} else Verdict.BLOCK
    async with database.write() as session:
        session.add(DecisionTotal(began_at=hour, verdict=ruled, reason=reason, decisions=decisions))


async def test_allowed_blocked_and_overridden_dials_are_told_apart(database: Database):
    for reason, decisions in (
        ("not-listed", 5),
        ("emergency", 1),
        ("override", 3),
        ("internal-dnc", 7),
        ("deadline", 2),
    ):
        await count(database, NOON, reason, decisions)
    found = await history(database, Span.DAY, AT, UTC)
    assert found.total == Dials(allowed=6, override=3, blocked=9)
    assert found.total.all == 18
    assert found.steps[-1] == (NOON, found.total)


async def test_a_day_is_twenty_four_hours_and_the_last_is_under_way(database: Database):
    await count(database, NOON - 24 * HOUR)
    await count(database, NOON - 23 * HOUR)
    await count(database, NOON + HOUR)
    found = await history(database, Span.DAY, AT, UTC)
    assert len(found.steps) == 24
    assert found.steps[0] == (NOON - 23 * HOUR, Dials(allowed=1))
    assert found.total.all == 1


@pytest.mark.parametrize(("span", "steps", "size"), [(Span.WEEK, 29, 6), (Span.MONTH, 31, 24)])
async def test_longer_spans_have_longer_steps_and_the_first_is_whole(database: Database, span, steps, size):
    found = await history(database, span, AT, UTC)
    assert len(found.steps) in {steps - 1, steps}
    first = found.steps[0].at
    assert first.hour % size == 0
    assert first <= NOON - HOUR * (span.hours - 1)
    await count(database, first)
    await count(database, first - HOUR)
    assert (await history(database, span, AT, UTC)).steps[0] == (first, Dials(allowed=1))


async def test_days_are_those_of_the_readers_clocks(database: Database):
    await count(database, datetime(2026, 2, 27, 23, tzinfo=UTC))  # Midnight of the 28th in Berlin.
    berlin = ZoneInfo("Europe/Berlin")
    steps = (await history(database, Span.MONTH, AT, berlin)).steps
    (step,) = (step for step in steps if step.dials.all)
    assert step.at.isoformat() == "2026-02-28T00:00:00+01:00"


@pytest.mark.parametrize(
    ("day", "hours"), [(datetime(2026, 3, 29, tzinfo=UTC), 23), (datetime(2026, 10, 25, tzinfo=UTC), 25)]
)
async def test_no_hour_is_lost_or_counted_twice_where_clocks_change(database: Database, day, hours):
    for number in range(72):
        await count(database, day - 24 * HOUR + number * HOUR)
    for span in Span:
        found = await history(database, span, day + 47.5 * HOUR, ZoneInfo("Europe/Berlin"))
        assert found.total.all == sum(step.dials.all for step in found.steps)
        assert found.total.all == (24 if span is Span.DAY else 72)
    days = (await history(database, Span.MONTH, day + 47.5 * HOUR, ZoneInfo("Europe/Berlin"))).steps
    assert {step.at.day: step.dials.all for step in days}[day.day] == hours


@pytest.mark.parametrize(
    ("zone", "minutes"),
    [("Asia/Kolkata", 30), ("Asia/Kathmandu", 15), ("Australia/Eucla", 15), ("America/St_Johns", 30)],
)
async def test_days_begin_at_midnight_where_midnight_is_no_full_hour_of_utc(
    database: Database, zone: str, minutes: int
):
    midnight = datetime(2026, 2, 28, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    assert midnight.minute == minutes
    await count(database, midnight - QUARTER)
    await count(database, midnight, decisions=10)
    steps = (await history(database, Span.MONTH, AT, ZoneInfo(zone))).steps
    assert {step.at.day: step.dials.all for step in steps if step.dials.all} == {27: 1, 28: 10}
    assert all(step.at.hour == step.at.minute == 0 for step in steps)


@pytest.mark.parametrize("span", Span)
async def test_where_clocks_change_at_midnight_or_by_half_an_hour_no_call_is_lost(database: Database, span: Span):
    for zone, change in (
        ("America/Havana", datetime(2026, 11, 1, 5, tzinfo=UTC)),  # 01:00 becomes 00:00: midnight comes twice.
        ("Africa/Cairo", datetime(2026, 4, 23, 22, tzinfo=UTC)),  # 00:00 becomes 01:00: midnight does not come.
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),  # 02:00 becomes 01:30.
    ):
        for number in range(-8, 9):
            await count(database, change + number * QUARTER)
        found = await history(database, span, change + 3 * HOUR, ZoneInfo(zone))
        assert found.total.all == sum(step.dials.all for step in found.steps) == 17, zone


async def test_an_agent_counts_the_dials_of_their_own_clicks(database: Database):
    async with database.write() as session:
        for number, (agent, reason, at) in enumerate(
            (("agent", "not-listed", AT), ("agent", "override", AT), ("agent", "internal-dnc", AT),
             ("agent", "registry-uncovered", AT), ("agent", "registry-stale", AT),
             ("agent", "not-listed", AT - 25 * HOUR), ("somebody", "not-listed", AT), ("", "not-listed", AT))
        ):  # fmt: skip
            ruled = Verdict.BLOCK if reason in {"internal-dnc", "registry-stale"} else Verdict.ALLOW
            session.add(
                DecisionRecord(
                    id=str(number), at=at, verdict=ruled, reason=reason, detail="", override="", number="", dialed="",
                    lead="", channel="", generation=1, gate="", archived_at=at, agent=agent,
                )
            )  # fmt: skip
    assert await dials_of(database, "agent", AT - 24 * HOUR) == Dials(2, 1, 2)
    assert await dials_of(database, "nobody", AT - 24 * HOUR) == Dials()


@pytest.fixture
async def site(database_url: str, redis_server: RedisServer, tmp_path: Path) -> AsyncIterator[Site]:
    async with Site(settings_of(database_url, redis_server.url, tmp_path)) as site:
        await site.projection.rebuild()
        await count(site.database, site.now().replace(minute=0, second=0, microsecond=0), "internal-dnc", 1234)
        yield site


@pytest.mark.parametrize("role", [Role.SUPERVISOR, Role.ADMIN, Role.AUDITOR])
async def test_those_who_read_the_call_log_see_every_dial(site: Site, role: Role):
    page = await (await site.person(role)).page("/")
    assert page.count("1,234") >= 3  # A tile, and the table below the chart.
    assert "Awaiting review" in page
    assert "Every recorded change applies to calls." in page


async def test_an_agent_sees_their_own_dials_and_nothing_of_others(site: Site):
    page = await (await site.person(Role.AGENT)).page("/")
    assert "1,234" not in page
    for word in ("Awaiting review", "Enforcement", "uplot"):
        assert word not in page
    assert "Your dials" in page


async def test_the_span_is_taken_from_the_address_and_rubbish_is_a_day(site: Site):
    browser = await site.person(Role.AUDITOR)
    assert (await browser.page("/?span=24h")).count('<th scope="row"><time datetime') == 24
    page = await browser.page("/?span=%3Cscript%3E&zone=%3Cscript%3E")
    assert "<script>" not in page.replace("<script src", "")
    assert page.count('<th scope="row"><time datetime') == 24
