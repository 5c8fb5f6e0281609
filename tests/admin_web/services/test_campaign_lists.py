"""Campaign lists: they add blocks for their campaigns, spare no list, and are the same for gate, queue and record."""

import random
from collections.abc import AsyncIterator

import pytest

from admin_web.judging.facts import campaigns_blocked, facts_on_record
from admin_web.judging.rulings import integers, rulings_on_record
from admin_web.queries.campaign_lists import all_campaign_lists, one_campaign_list
from admin_web.record.changes import Actor, Records
from admin_web.record.database import Database
from admin_web.record.models import AuditEvent, DoNotCallRequest
from admin_web.services.campaign_lists import (
    ListExists,
    UnfitCampaigns,
    UnknownList,
    add_campaign_list,
    add_many_to_list,
    add_to_list,
    lift_from_list,
    set_campaigns,
)
from admin_web.services.patterns import add_pattern
from admin_web.services.registries import EditedTerms, RegistryExists, add_registry
from admin_web.services.suppression import NotListed, suppress
from compliance.consent import Role
from compliance.numbers import E164, LeadId
from compliance.patterns import Pattern
from compliance.refusal import NotPermitted, Refused
from compliance.rule import decide
from lab.redis import RedisServer
from tests.support.projection import World, forces
from tests.support.records import ADMIN, LEAD, NUMBER, OTHER, rows


@pytest.fixture
async def world(database: Database, redis_server: RedisServer) -> AsyncIterator[World]:
    async with World(database, redis_server) as world:
        await world.projection.rebuild()
        yield world


def reasons(world: World, number: E164 = NUMBER) -> list[str]:
    return [world.gate.rule(number, campaign=name).reason for name in ("", "spring-26", "Spring-26", "autumn")]


FREE = ["not-listed"] * 4
SPRING = ["not-listed", "spring-dnc", "not-listed", "not-listed"]


async def test_its_numbers_are_blocked_for_its_campaigns_once_it_says_so_and_no_list_is_spared(world: World):
    records = forces(world)
    assert (await add_campaign_list(records, ADMIN, "spring", ["spring-26", "spring-27"])).in_force
    assert reasons(world) == FREE
    done = await add_to_list(records, ADMIN, "spring", NUMBER, source="test")
    assert (done.added, done.standing.in_force) == (True, True)
    assert reasons(world) == SPRING
    assert reasons(world, OTHER) == FREE
    await suppress(records, ADMIN, NUMBER, source="test")
    assert reasons(world) == ["internal-dnc"] * 4
    await world.lift(NUMBER)
    await world.projection.drain()
    assert (await set_campaigns(records, ADMIN, "spring", ["autumn"])).in_force
    assert reasons(world) == ["not-listed", "not-listed", "not-listed", "spring-dnc"]
    assert (await world.projection.verify()).clean
    await world.projection.rebuild()
    assert reasons(world) == ["not-listed", "not-listed", "not-listed", "spring-dnc"]
    assert (await world.projection.verify()).clean
    assert (await lift_from_list(records, ADMIN, "spring", NUMBER, reason="x")).standing.in_force
    assert reasons(world) == FREE


async def test_a_list_without_terms_blocks_every_call_and_cannot_become_a_campaign_list(world: World):
    await suppress(forces(world), ADMIN, NUMBER, source="test", list_name="partners")
    assert reasons(world) == ["partners-dnc"] * 4
    with pytest.raises(ListExists, match="blocked in every call"):
        await add_campaign_list(forces(world), ADMIN, "partners", ["spring-26"])
    assert reasons(world) == ["partners-dnc"] * 4


async def test_terms_that_redis_lacks_block_every_call_rather_than_none(world: World):
    """The numbers of a new list reach Redis before its terms."""
    await add_campaign_list(world.records, ADMIN, "spring", ["spring-26"])
    await world.suppress(NUMBER, "spring")
    await world.projection.drain()
    assert reasons(world) == SPRING


async def test_a_number_on_it_is_no_request_not_to_be_called_and_ends_no_override(world: World):
    records = forces(world)
    await world.suppress(NUMBER)
    await world.grant(NUMBER, LEAD, days=30)
    await add_campaign_list(records, ADMIN, "spring", ["spring-26"])
    await add_to_list(records, ADMIN, "spring", NUMBER, source="test")
    assert await rows(records, DoNotCallRequest) == []
    assert world.gate.rule(NUMBER, LEAD, "spring-26").reason == "override"


async def test_names_are_those_of_no_other_list_and_of_no_registry(records: Records):
    await add_registry(records, ADMIN, "de-own", "DE", EditedTerms())
    await add_campaign_list(records, ADMIN, "spring", ["spring-26"])
    for name in ("spring", "de-own", "us-ftc"):
        with pytest.raises(ListExists):
            await add_campaign_list(records, ADMIN, name, ["x"])
    for name in ("internal", "leads", "override", "terms", "Spring", "a b", "", "x" * 33):
        with pytest.raises(Refused, match="cannot be the name of a campaign list"):
            await add_campaign_list(records, ADMIN, name, ["x"])
    with pytest.raises(RegistryExists):
        await add_registry(records, ADMIN, "spring", "US", EditedTerms())


@pytest.mark.parametrize("campaigns", [[], ["a b"], [""], ["x" * 65], [f"c{n}" for n in range(101)], ["caf\u00e9"]])
async def test_it_has_campaigns_as_the_dialplan_names_them(records: Records, campaigns: list[str]):
    with pytest.raises(UnfitCampaigns):
        await add_campaign_list(records, ADMIN, "spring", campaigns)
    await add_campaign_list(records, ADMIN, "spring", ["b", "a", "b"])
    with pytest.raises(UnfitCampaigns):
        await set_campaigns(records, ADMIN, "spring", campaigns)
    assert (await one_campaign_list(records.database, "spring")).campaigns == ["a", "b"]


async def test_what_is_no_campaign_list_takes_no_number(records: Records):
    for name in ("internal", "spring"):
        with pytest.raises(UnknownList):
            await add_to_list(records, ADMIN, name, NUMBER, source="test")
        with pytest.raises(UnknownList):
            await add_many_to_list(records, ADMIN, name, [NUMBER], source="test")
        with pytest.raises(UnknownList):
            await lift_from_list(records, ADMIN, name, NUMBER, reason="x")
        with pytest.raises(UnknownList):
            await set_campaigns(records, ADMIN, name, ["x"])
    await add_campaign_list(records, ADMIN, "spring", ["x"])
    with pytest.raises(NotListed):
        await lift_from_list(records, ADMIN, "spring", NUMBER, reason="x")
    done = await add_many_to_list(records, ADMIN, "spring", [NUMBER, OTHER, NUMBER], source="test")
    assert (done.added, done.already) == (2, 0)
    assert [(one.name, one.numbers) for one in await all_campaign_lists(records.database)] == [("spring", 2)]


@pytest.mark.parametrize("role", [Role.AGENT, Role.SUPERVISOR, Role.AUDITOR])
async def test_only_an_admin_makes_and_changes_lists_and_takes_numbers_off(records: Records, role: Role):
    somebody = Actor("somebody", "", role)
    with pytest.raises(NotPermitted):
        await add_campaign_list(records, somebody, "spring", ["x"])
    await add_campaign_list(records, ADMIN, "spring", ["x"])
    await add_to_list(records, ADMIN, "spring", NUMBER, source="test")
    with pytest.raises(NotPermitted):
        await set_campaigns(records, somebody, "spring", ["y"])
    with pytest.raises(NotPermitted):
        await lift_from_list(records, somebody, "spring", NUMBER, reason="x")


async def test_each_change_has_an_audit_event(records: Records):
    await add_campaign_list(records, ADMIN, "spring", ["a"])
    await set_campaigns(records, ADMIN, "spring", ["b"])
    assert [(one.action, one.subject_id, one.particulars) for one in await rows(records, AuditEvent)] == [
        ("add-campaign-list", "spring", {"campaigns": "a"}),
        ("set-campaigns", "spring", {"campaigns": "b", "was": "a"}),
    ]


NUMBERS = [E164(f"+1{area}555{line:04d}") for area in (415, 212) for line in (100, 101, 102)] + [E164("+442079460000")]
CAMPAIGNS = ["", "spring-26", "autumn", "unheard-of"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(4))
async def test_gate_queue_and_record_say_the_same_of_patterns_and_campaign_lists(world: World, seed: int):
    chance = random.Random(seed)
    await add_registry(world.records, ADMIN, "us-ftc", "", EditedTerms(when_uncovered="block", spared=("autumn",)))
    for name, campaigns in {"spring": ["spring-26"], "both": ["spring-26", "autumn"]}.items():
        await add_campaign_list(world.records, ADMIN, name, campaigns)
        for number in chance.sample(NUMBERS, 3):
            await world.suppress(number, name)
    for pattern in chance.sample(["1415", "1415555", "44207"], 2):
        await add_pattern(world.records, ADMIN, Pattern(pattern), reason="x", source="test")
    for number in chance.sample(NUMBERS, 2):
        await world.suppress(number)
    await world.grant(NUMBERS[-1], LEAD, days=30) if not world.gate.allows(NUMBERS[-1]) else None
    await (world.projection.rebuild() if chance.random() < 0.5 else world.projection.drain())
    at, asked = world.now(), [(number, lead) for number in NUMBERS for lead in (None, LEAD)]
    numbers, leads = zip(*asked, strict=True)
    async with world.database.read() as session:
        for campaign in CAMPAIGNS:
            found = await rulings_on_record(session, integers(numbers), at, campaign=campaign)
            scrubbed = [(one.verdict, one.reason, one.override) for one in found.of(numbers, leads)]
            facts = await facts_on_record(session, asked, at, campaign)
            recorded = [decide(one.number, one, at) for one in facts]
            gate = [world.gate.rule(number, lead or "", campaign) for number, lead in asked]
            assert recorded == gate
            assert scrubbed == [(one.verdict, one.reason, one.override) for one in gate]
        shown = await campaigns_blocked(session, NUMBERS)
    for number in NUMBERS:
        if world.gate.allows(number):
            blocked = {name for name in CAMPAIGNS if world.gate.rule(number, campaign=name).verdict != "ALLOW"}
            assert blocked == {name for campaigns in shown[number].values() for name in campaigns}
    queued = await world.projection.facts([(number, LeadId("nobody")) for number in NUMBERS])
    assert [decide(one.number, one, at) for one in queued] == [world.gate.rule(number) for number in NUMBERS]


async def test_a_scrub_names_the_other_campaigns_for_which_an_allowed_number_is_blocked(records: Records):
    await add_campaign_list(records, ADMIN, "spring", ["spring-26", "spring-27"])
    await add_campaign_list(records, ADMIN, "both", ["spring-26", "autumn"])
    for name in ("spring", "both"):
        await add_to_list(records, ADMIN, name, NUMBER, source="test")
    await add_to_list(records, ADMIN, "both", OTHER, source="test")
    said = {}
    async with records.database.read() as session:
        for campaign in ("", "autumn", "spring-27"):
            found = await rulings_on_record(session, integers([NUMBER, OTHER]), records.now(), campaign=campaign)
            said[campaign] = [(one.verdict, one.reason, one.detail) for one in found.of([NUMBER, OTHER], [None, None])]
    free = "not-listed"
    assert said == {
        "": [
            ("ALLOW", free, "blocked-for autumn spring-26 spring-27"),
            ("ALLOW", free, "blocked-for autumn spring-26"),
        ],
        "autumn": [("BLOCK", "both-dnc", ""), ("BLOCK", "both-dnc", "")],
        "spring-27": [("BLOCK", "spring-dnc", ""), ("ALLOW", free, "blocked-for autumn spring-26")],
    }
