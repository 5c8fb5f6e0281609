"""Patterns of the own list: recorded, in force once reported, lifted and not deleted; and what they would block."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from admin_web.queries.patterns import pattern_effect, pattern_page
from admin_web.record.changes import Actor, Records
from admin_web.record.database import Database
from admin_web.record.lead_numbers import LabelledNumber
from admin_web.record.models import AuditEvent, DecisionTotal, OutboxRow, SuppressionPattern
from admin_web.services import patterns as service
from admin_web.services.leads import add_lead
from admin_web.services.overrides import grant_override
from admin_web.services.patterns import (
    PatternNotListed,
    PatternStands,
    TooManyPatterns,
    add_pattern,
    lift_pattern,
)
from admin_web.services.suppression import suppress
from compliance.consent import Role
from compliance.numbers import E164, LeadId
from compliance.patterns import Pattern
from compliance.redis_schema import STATE, TERMS, terms_key
from compliance.redis_terms import terms_digest, terms_value
from compliance.refusal import NotPermitted, Unwritable
from lab.redis import RedisServer
from tests.support.call_log import decision, put
from tests.support.projection import World, forces
from tests.support.records import ADMIN, CONSENT, LEAD, NUMBER, OTHER, SECOND, SUPERVISOR, rows

AREA, EXCHANGE = Pattern("1415"), Pattern("1415555")
OUTSIDE = E164("+12125550100")


@pytest.fixture
async def world(database: Database, redis_server: RedisServer) -> AsyncIterator[World]:
    async with World(database, redis_server) as world:
        await world.projection.rebuild()
        yield world


async def add(records: Records, pattern: Pattern = AREA) -> int:
    return (await add_pattern(records, ADMIN, pattern, reason="a court order", source="test")).pattern_id


async def test_a_pattern_blocks_once_the_service_says_so_and_until_it_is_lifted(world: World):
    done = await add_pattern(forces(world), ADMIN, AREA, reason="a court order", source="test")
    assert done.standing.in_force
    ruling = world.gate.rule(NUMBER, campaign="spring")
    assert (ruling.verdict, ruling.reason, ruling.detail) == ("BLOCK", "internal-pattern", "1415")
    assert world.gate.allows(OUTSIDE)
    (await add_pattern(forces(world), ADMIN, EXCHANGE, reason="x", source="test"))
    assert world.gate.rule(NUMBER).detail == "1415555"
    assert (await world.projection.verify()).clean
    for pattern in (AREA, EXCHANGE):
        assert (await lift_pattern(forces(world), ADMIN, pattern, reason="the order ended")).standing.in_force
    assert world.gate.rule(NUMBER).reason == "not-listed"
    assert (await world.projection.verify()).clean


async def test_a_pattern_that_cannot_reach_redis_is_recorded_and_not_in_force(world: World):
    world.redis.flushall()
    done = await add_pattern(forces(world), ADMIN, AREA, reason="x", source="test")
    assert not done.standing.in_force
    assert not world.gate.allows(NUMBER)
    await world.projection.rebuild()
    assert world.gate.rule(NUMBER).reason == "internal-pattern"
    assert (await world.projection.verify()).clean


async def test_patterns_that_redis_lacks_are_a_danger_that_a_comparison_finds(world: World):
    await add(forces(world))
    world.redis.set(terms_key(1), terms_value([]))
    world.redis.hset(STATE, TERMS, terms_digest(terms_value([])))
    assert world.gate.allows(NUMBER)
    drift = await world.projection.verify()
    assert drift.found == {"different in Redis and SQL": 1}
    assert any(line.startswith("DANGER: 1 different in Redis and SQL: the terms of") for line in drift.lines())
    await world.projection.rebuild()
    assert not world.gate.allows(NUMBER)


async def test_an_override_opens_one_lead_on_a_number_that_a_pattern_blocks(world: World):
    records = forces(world)
    await add(records)
    for lead in (LEAD, SECOND):
        await add_lead(records, ADMIN, lead, NUMBER)
    await grant_override(records, SUPERVISOR, replace(CONSENT, consented_on=world.now().date()))
    assert [world.gate.rule(NUMBER, lead).reason for lead in (LEAD, SECOND)] == ["override", "internal-pattern"]


async def test_a_pattern_stands_once_and_may_come_again_after_it_was_lifted(records: Records):
    first = await add(records)
    with pytest.raises(PatternStands):
        await add(records)
    await lift_pattern(records, ADMIN, AREA, reason="a mistake")
    with pytest.raises(PatternNotListed):
        await lift_pattern(records, ADMIN, AREA, reason="again")
    second = await add(records)
    found = await rows(records, SuppressionPattern)
    assert [(one.id, one.prefix, one.lifted_by, one.lift_reason) for one in found] == [
        (first, "1415", "admin", "a mistake"),
        (second, "1415", None, None),
    ]
    page, lifted = await pattern_page(records.database), await pattern_page(records.database, lifted=True)
    assert ([one.id for one in page.rows], [one.id for one in lifted.rows]) == ([second], [first])


async def test_each_change_has_an_audit_event_and_reaches_redis_by_the_outbox(records: Records):
    await add(records)
    await lift_pattern(records, ADMIN, AREA, reason="a mistake")
    events = await rows(records, AuditEvent)
    assert [(one.action, one.subject_kind, one.subject_id, one.done_by) for one in events] == [
        ("add-pattern", "pattern", "+1415", "admin"), ("lift-pattern", "pattern", "+1415", "admin"),
    ]  # fmt: skip
    assert [(one.list_name, one.numbers) for one in await rows(records, OutboxRow)] == [("internal", [])] * 2


@pytest.mark.parametrize("role", [Role.AGENT, Role.SUPERVISOR, Role.AUDITOR])
async def test_only_an_admin_blocks_area_codes_or_lifts_them(records: Records, role: Role):
    somebody = Actor("somebody", "", role)
    with pytest.raises(NotPermitted):
        await add_pattern(records, somebody, AREA, reason="x", source="test")
    await add(records)
    with pytest.raises(NotPermitted):
        await lift_pattern(records, somebody, AREA, reason="x")


async def test_a_change_has_a_reason_and_there_are_no_more_patterns_than_a_gate_can_hold(records: Records, monkeypatch):
    with pytest.raises(Unwritable, match="The reason is missing"):
        await add_pattern(records, ADMIN, AREA, reason=" ", source="test")
    monkeypatch.setattr(service, "MOST_PATTERNS", 1)
    await add(records)
    with pytest.raises(TooManyPatterns):
        await add(records, EXCHANGE)
    with pytest.raises(Unwritable, match="The reason is missing"):
        await lift_pattern(records, ADMIN, AREA, reason="")
    assert len(await rows(records, SuppressionPattern)) == 1


async def test_the_preview_counts_leads_and_the_share_of_last_weeks_allowed_calls(records: Records):
    at = records.now()
    for lead, number in {"L-1": NUMBER, "L-2": NUMBER, "L-3": OUTSIDE, "L-4": "+14160000000", "L-5": OTHER}.items():
        await add_lead(records, ADMIN, LeadId(lead), E164(number))
    await suppress(records, ADMIN, NUMBER, source="test")
    await grant_override(records, SUPERVISOR, CONSENT)
    hour = (at - timedelta(days=1)).replace(minute=0)
    await put(
        records.database,
        decision(1, at, number=NUMBER), decision(2, at, number=OTHER), decision(3, at, number=OUTSIDE),
        decision(4, at, number=OTHER, verdict="BLOCK"), decision(5, at - timedelta(days=8), number=NUMBER),
        decision(6, at, number=NUMBER, override="1", reason="override"), decision(7, at, number="+141"),
        DecisionTotal(began_at=hour, verdict="ALLOW", reason="not-listed", decisions=8),
        DecisionTotal(began_at=hour, verdict="BLOCK", reason="internal-dnc", decisions=90),
        DecisionTotal(began_at=hour - timedelta(days=9), verdict="ALLOW", reason="not-listed", decisions=90),
    )  # fmt: skip
    found = await pattern_effect(records.database, AREA, at)
    assert (found.leads, found.opened, found.calls, found.allowed, found.share) == (3, 1, 2, 8, 0.25)
    assert (found.standing, found.wider, found.in_plan, found.country) == (None, [], True, "US, AG, AI and others")
    assert found.sentence == (
        "It covers 3 leads (1 of them stay open by an override), and would have blocked "
        "2 of the 8 allowed calls of the last seven days (25.0 %)."
    )
    await add(records)
    assert (await pattern_effect(records.database, EXCHANGE, at)).wider == ["1415"]
    again = await pattern_effect(records.database, AREA, at)
    assert again.standing
    assert again.standing.reason == "a court order"
    nothing = await pattern_effect(records.database, "1911", at)
    assert nothing.sentence.startswith("It covers 0 leads, and would have blocked 0 of the 8")
    assert nothing.sentence.endswith("No number is known to begin with these digits.")


async def test_the_preview_counts_a_lead_once_whichever_of_its_numbers_are_covered(records: Records):
    several = [LabelledNumber(number) for number in (OUTSIDE, NUMBER, OTHER)]
    await add_lead(records, ADMIN, LEAD, OUTSIDE, numbers=several)
    await add_lead(records, ADMIN, SECOND, NUMBER, numbers=several[1:])
    await add_lead(records, ADMIN, LeadId("L-3"), OUTSIDE)
    assert (await pattern_effect(records.database, AREA, records.now())).leads == 2
    assert (await pattern_effect(records.database, "1212", records.now())).leads == 2


async def test_before_the_first_call_the_share_is_not_divided_by_nothing(records: Records):
    found = await pattern_effect(records.database, AREA, records.now())
    assert (found.share, found.sentence) == (
        0.0,
        "It covers 0 leads, and would have blocked 0 of the 0 allowed calls of the last seven days.",
    )
