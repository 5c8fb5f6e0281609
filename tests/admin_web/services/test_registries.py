"""The terms of registries: recorded, in force once reported, and the same for the gate and the record."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from admin_web.judging.facts import facts_on_record
from admin_web.judging.rulings import integers, rulings_on_record
from admin_web.projection import facts
from admin_web.record.changes import Actor
from admin_web.record.database import Database
from admin_web.record.models import Registry, RegistryExchange, RegistryVersion
from admin_web.services.registries import (
    EditedTerms,
    RegistryExists,
    UnknownRegistry,
    add_registry,
    set_terms,
    terms_preset,
)
from compliance.consent import Role
from compliance.numbers import E164, LeadId
from compliance.redis_schema import (
    CHANGES,
    LISTS,
    STATE,
    TERMS,
    exchange_and_line,
    listed_key,
    terms_key,
    version_field,
)
from compliance.redis_terms import terms_digest
from compliance.refusal import NotPermitted, Refused
from compliance.rule import decide
from compliance.verdict import Verdict
from lab.redis import RedisServer
from tests.support.projection import ADMIN, World, forces

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
FREE, OUTSIDE, BRITISH = E164("+14155550199"), E164("+12125550100"), E164("+442079460000")
LISTED = E164("+14155550100")
BLOCKING = EditedTerms(when_uncovered="block")


@pytest.fixture
async def world(database: Database, redis_server: RedisServer) -> AsyncIterator[World]:
    async with World(database, redis_server) as world:
        yield world


async def hold(world: World, name: str, numbers: list[E164], obtained_at: datetime, areas: tuple[str, ...]) -> None:
    """Put a registry version in force in SQL and Redis, as an import and its rebuild do."""
    async with world.database.write() as session:
        version = RegistryVersion(
            registry_name=name, obtained_at=obtained_at, file_name="f", file_sha256="0" * 64, accepted=len(numbers),
            rejected=0, numbers=len(numbers), area_codes=list(areas), imported_at=AT, imported_by="t", whole_at=AT,
        )  # fmt: skip
        session.add(version)
        await session.flush()
        lines: dict[str, list[int]] = {}
        for number in sorted(numbers):
            exchange, line = exchange_and_line(number)
            lines.setdefault(exchange, []).append(line)
        for exchange, some in lines.items():
            packed = b"".join(line.to_bytes(2, "big") for line in some)
            session.add(RegistryExchange(version_id=version.id, exchange=exchange, lines=packed))
        (await session.get_one(Registry, name)).version_in_force_id = version.id
        held = version.id
    state = world.redis.hgetall(STATE)
    for exchange, some in lines.items():
        world.redis.sadd(listed_key(int(state[b"generation"]), name, exchange), *some)
    names = list(dict.fromkeys([*state[LISTS.encode()].decode().split(","), name]))
    world.redis.hset(STATE, mapping={LISTS: ",".join(names), version_field(name): held})
    world.redis.hincrby(STATE, CHANGES, 1)
    async with world.records.change(ADMIN) as change:
        change.project_terms(name)
    await world.projection.drain()


async def test_terms_are_in_force_when_the_service_says_so(world: World):
    await world.projection.rebuild()
    assert world.gate.rule(FREE).reason == "not-listed"
    standing = await add_registry(forces(world), ADMIN, "us-ftc", "", BLOCKING)
    assert standing.in_force
    assert (world.gate.rule(FREE).reason, world.gate.rule(FREE).detail) == ("registry-uncovered", "us-ftc")
    assert world.gate.rule(BRITISH).reason == "not-listed"
    assert (await set_terms(forces(world), ADMIN, "us-ftc", EditedTerms(when_uncovered="pass"))).in_force
    assert (world.gate.rule(FREE).verdict, world.gate.rule(FREE).reason) == (Verdict.ALLOW, "registry-uncovered")


async def test_terms_that_cannot_reach_redis_are_recorded_and_not_in_force(world: World):
    await world.projection.rebuild()
    world.redis.flushall()
    standing = await add_registry(forces(world), ADMIN, "us-ftc", "", BLOCKING)
    assert not standing.in_force
    assert not world.gate.allows(FREE)
    await world.projection.rebuild()
    assert world.gate.rule(FREE).reason == "registry-uncovered"


async def test_a_rebuild_brings_the_terms_along(world: World):
    await add_registry(world.records, ADMIN, "us-ftc", "", BLOCKING)
    await world.projection.rebuild()
    assert world.gate.rule(FREE).reason == "registry-uncovered"
    assert (await world.projection.verify()).clean


async def test_terms_speak_of_the_version_that_redis_holds_not_of_a_newer_one(world: World):
    await world.projection.rebuild()
    await add_registry(forces(world), ADMIN, "us-ftc", "", BLOCKING)
    await hold(world, "us-ftc", [LISTED], world.now(), ("415",))
    assert [world.gate.rule(n).reason for n in (LISTED, FREE, OUTSIDE)] == [
        "us-ftc-dnc", "not-listed", "registry-uncovered",
    ]  # fmt: skip
    async with world.database.write() as session:
        newer = RegistryVersion(
            registry_name="us-ftc", obtained_at=world.now(), file_name="f", file_sha256="1" * 64,
            area_codes=["212", "415"], imported_at=AT, imported_by="t", whole_at=AT,
        )  # fmt: skip
        session.add(newer)
        await session.flush()
        (await session.get_one(Registry, "us-ftc")).version_in_force_id = newer.id
    await set_terms(forces(world), ADMIN, "us-ftc", EditedTerms(when_uncovered="block", fresh_days=30))
    assert world.gate.rule(OUTSIDE).reason == "registry-uncovered"


@pytest.mark.parametrize(
    "damage",
    [
        lambda redis: redis.delete(terms_key(1)),
        lambda redis: redis.set(terms_key(1), b"[]"),
        lambda redis: redis.set(terms_key(1), b"odd"),
        lambda redis: redis.hset(STATE, TERMS, "0" * 16),
    ],
)
async def test_terms_that_are_not_those_of_the_state_block_every_call_and_are_found_by_verify(world: World, damage):
    await world.projection.rebuild()
    await add_registry(forces(world), ADMIN, "us-ftc", "", EditedTerms())
    damage(world.redis)
    ruling = world.gate.rule(FREE)
    assert (ruling.verdict, ruling.reason, ruling.detail) == (Verdict.BLOCK, "state-unverified", "no-terms")
    (known,) = await world.projection.facts([(FREE, LeadId("lead-1"))])
    assert decide(FREE, known, world.now()) == ruling
    drift = await world.projection.verify()
    assert not drift.clean
    assert any(line.startswith("DANGER") and "terms" in line for line in drift.lines())


async def test_terms_that_are_on_their_way_are_no_drift_and_those_that_never_come_are(world: World):
    await world.projection.rebuild()
    await add_registry(world.records, ADMIN, "us-ftc", "", BLOCKING)
    drift = await world.projection.verify()
    assert not any("terms" in line for line in drift.lines() if line.startswith("DANGER"))
    await world.projection.drain()
    async with world.database.write() as session:
        (await session.get_one(Registry, "us-ftc")).when_uncovered = "pass"
    drift = await world.projection.verify()
    assert any("terms" in line for line in drift.lines() if line.startswith("DANGER"))


async def test_terms_that_came_in_between_are_those_that_the_site_judges_by(world: World, monkeypatch):
    await world.projection.rebuild()
    ask, asked = facts._ask, []

    async def moved(*which):
        if not asked:
            await add_registry(world.records, ADMIN, "us-ftc", "", BLOCKING)
            await world.projection.drain()
        asked.append(which)
        return await ask(*which)

    monkeypatch.setattr(facts, "_ask", moved)
    (seen,) = await world.projection.facts([(FREE, LeadId("lead-1"))])
    assert decide(FREE, seen, world.now()).reason == "registry-uncovered"


@pytest.mark.parametrize(
    "document",
    [
        b"odd",
        b"[1]",
        b'[{"name":"us-ftc"}]',
        b'[{"name":"a","prefixes":1}]',
        b'[{"name":"a","prefixes":[],"covered":1}]',
    ],
)
async def test_terms_that_nobody_can_read_are_none_to_the_queue(world: World, document: bytes):
    await world.projection.rebuild()
    world.redis.set(terms_key(1), document)
    world.redis.hset(STATE, TERMS, terms_digest(document))
    (known,) = await world.projection.facts([(FREE, LeadId("lead-1"))])
    ruling = decide(FREE, known, world.now())
    assert (ruling.verdict, ruling.reason, ruling.detail) == (Verdict.BLOCK, "state-unverified", "no-terms")


async def test_a_copy_of_which_some_area_codes_are_older_is_stale_there_first(world: World):
    await world.projection.rebuild()
    await add_registry(forces(world), ADMIN, "us-ftc", "", EditedTerms())
    await hold(world, "us-ftc", [LISTED], world.now(), ("212", "415"))
    async with world.database.write() as session:
        version = (await session.get_one(Registry, "us-ftc")).version_in_force_id
        old = (world.now() - timedelta(days=32)).isoformat()
        (await session.get_one(RegistryVersion, version)).obtained = {"212": old}
    await set_terms(forces(world), ADMIN, "us-ftc", EditedTerms())
    assert (world.gate.rule(OUTSIDE).reason, world.gate.rule(FREE).reason) == ("registry-stale", "not-listed")


NUMBERS = [E164(f"+1{area}5550{line:03d}") for area in (415, 212, 416, 876) for line in (100, 101)] + [BRITISH]
LEADS = [None, LeadId("lead-1"), LeadId("lead-2")]


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(6))
async def test_gate_queue_and_record_say_the_same_on_random_states(world: World, seed: int):
    chance = random.Random(seed)
    await world.projection.rebuild()
    for number, lead in zip(chance.sample(NUMBERS, 2), chance.sample(["lead-1", "lead-2"], 2), strict=True):
        await world.suppress(number)
        await world.grant(number, lead, days=30)
        if chance.random() < 0.5:
            await world.lift(number)
    await world.projection.drain()
    for name in chance.sample(["us-ftc", "us-tx", "ca-dncl", "uk-tps"], 3):
        terms = EditedTerms(
            by_area_code=chance.random() < 0.7, when_stale=chance.choice(["warn", "block"]),
            when_uncovered=chance.choice(["pass", "block"]),
        )  # fmt: skip
        await add_registry(forces(world), ADMIN, name, "", terms)
        if chance.random() < 0.8:
            days = chance.choice([1, 29, 40])
            areas = ("416",) if name == "ca-dncl" else () if name == "uk-tps" else ("415",)
            await hold(world, name, chance.sample(NUMBERS, 3), world.now() - timedelta(days=days), areas)
    asked = [(number, lead) for number in NUMBERS for lead in LEADS]
    at = world.now()
    async with world.database.read() as session:
        numbers, leads = zip(*asked, strict=True)
        scrubbed = (await rulings_on_record(session, integers(numbers), at)).of(numbers, leads)
        recorded = [decide(facts.number, facts, at) for facts in await facts_on_record(session, asked, at)]
    queued = [
        decide(facts.number, facts, at)
        for facts in await world.projection.facts([(n, lead or LeadId("nobody")) for n, lead in asked])
    ]
    gate = [world.gate.rule(number, lead or "") for number, lead in asked]
    assert scrubbed == recorded == queued == gate
    assert len({ruling.reason for ruling in gate}) > 1


@pytest.mark.parametrize(
    ("name", "country", "terms", "says"),
    [
        ("internal", "US", EditedTerms(), "cannot be the name of a registry"),
        ("terms", "US", EditedTerms(), "cannot be the name of a registry"),
        ("Big One", "US", EditedTerms(), "cannot be the name of a registry"),
        ("mine", "", EditedTerms(), "country whose numbers"),
        ("mine", "XX", EditedTerms(), "country whose numbers"),
        ("mine", "US", EditedTerms(area_codes=("0123",)), "not an area code"),
        ("mine", "US", EditedTerms(fresh_days=-1), "fresh"),
        ("mine", "US", EditedTerms(fresh_days=9999), "fresh"),
        ("mine", "US", EditedTerms(when_stale="never"), "warn or block"),
        ("mine", "US", EditedTerms(when_uncovered="never"), "pass or block"),
        ("mine", "US", EditedTerms(spared=("a b",)), "not a campaign"),
        ("mine", "US", EditedTerms(owner_account="x" * 65), "longer"),
    ],
)
async def test_what_cannot_be_a_registry_is_refused(world: World, name, country, terms, says):
    with pytest.raises(Refused, match=says):
        await add_registry(forces(world), ADMIN, name, country, terms)


async def test_names_are_taken_once_and_never_from_the_companys_own_lists(world: World):
    await add_registry(world.records, ADMIN, "us-ftc", "", EditedTerms())
    with pytest.raises(RegistryExists):
        await add_registry(world.records, ADMIN, "us-ftc", "", EditedTerms())
    await world.suppress(FREE, "partners")
    with pytest.raises(RegistryExists):
        await add_registry(world.records, ADMIN, "partners", "US", EditedTerms())
    with pytest.raises(UnknownRegistry):
        await set_terms(world.records, ADMIN, "uk-tps", EditedTerms())


@pytest.mark.parametrize("role", [Role.AGENT, Role.SUPERVISOR, Role.AUDITOR])
async def test_only_an_admin_changes_terms(world: World, role: Role):
    with pytest.raises(NotPermitted):
        await add_registry(world.records, Actor("somebody", "", role), "us-ftc", "", EditedTerms())
    with pytest.raises(NotPermitted):
        await set_terms(world.records, Actor("somebody", "", role), "us-ftc", EditedTerms())


@pytest.mark.parametrize(
    ("name", "days"), [("us-ftc", 31), ("ca-dncl", 31), ("us-tx", 31), ("uk-tps", 28), ("uk-ctps", 28)]
)
def test_known_registries_begin_with_the_days_of_their_authorities(name, days):
    assert terms_preset(name).fresh_days == days
