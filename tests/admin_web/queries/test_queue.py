"""The dial queue offers exactly the leads that the gate would allow, those called longest ago first."""

import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from admin_web.projection import facts
from admin_web.projection.wire import RedisUnavailable
from admin_web.queries import queue
from admin_web.queries.queue import Offer, QueuePage, QueuePosition, dial_queue
from admin_web.record.changes import utc_now
from admin_web.record.database import Database
from admin_web.record.lead_numbers import LabelledNumber
from admin_web.record.models import Lead
from admin_web.services.leads import LeadGiven, put_leads
from compliance.numbers import E164, LeadId
from compliance.openable import OverrideStands
from compliance.redis_schema import LEASE, STATE, exchange_and_line, listed_key, override_key
from compliance.verdict import NOT_LISTED, OVERRIDE
from lab.redis import RedisServer
from tests.support.projection import ADMIN, World


@pytest.fixture
async def world(database: Database, redis_server: RedisServer) -> AsyncIterator[World]:
    async with World(database, redis_server) as world:
        await world.projection.rebuild()
        yield world


def number(line: int) -> E164:
    return E164(f"+1415555{line:04d}")


async def add(world: World, *leads: tuple[str, int]) -> None:
    await put_leads(world.records, ADMIN, [LeadGiven(LeadId(lead), number(line), lead) for lead, line in leads])


async def was_called(world: World, lead: str, at: datetime) -> None:
    async with world.database.write() as session:
        await session.execute(update(Lead).where(Lead.id == lead).values(last_called_at=at))


async def page(world: World, behind: QueuePosition | None = None, most: int = 25) -> QueuePage:
    return await dial_queue(world.database, world.projection, world.now(), behind=behind, most=most)


async def stack(world: World, most: int = 25) -> list[Offer]:
    """Return all offers, page by page."""
    offers, behind = [], None
    while True:
        part = await page(world, behind, most)
        assert part.doubt is None
        assert len(part.offers) <= most
        offers += part.offers
        if (behind := part.behind) is None:
            return offers


def ids(offers: tuple[Offer, ...] | list[Offer]) -> list[str]:
    return [offer.lead for offer in offers]


async def test_leads_come_longest_waiting_first_and_never_called_before_all(world: World):
    await add(world, ("a", 1), ("b", 2), ("c", 3))
    await was_called(world, "a", utc_now() - timedelta(hours=1))
    await was_called(world, "c", utc_now() - timedelta(days=1))
    offers = await stack(world)
    assert ids(offers) == ["b", "c", "a"]
    assert offers[0].last_called_at is None
    assert offers[0].reason == NOT_LISTED


async def test_a_listed_number_leaves_the_queue_with_every_lead_on_it(world: World):
    await add(world, ("a", 1), ("b", 1), ("c", 2))
    await world.suppress(number(1))
    await world.projection.drain()
    found = await page(world)
    assert ids(found.offers) == ["c"]
    assert found.blocked == 2


async def test_every_list_of_the_projection_counts_not_the_companys_own_alone(world: World):
    await add(world, ("a", 1), ("b", 2))
    await world.suppress(number(1), "staff")
    await world.projection.rebuild()
    assert not world.gate.allows(number(1))
    assert ids((await page(world)).offers) == ["b"]


async def test_answers_of_another_generation_than_was_asked_for_are_asked_again(world: World, monkeypatch):
    """Between our read of the state and our queries, a new generation goes live and the old one is deleted."""
    await add(world, ("a", 1))
    await world.suppress(number(1))
    await world.projection.drain()
    asked, old = facts._ask, await world.keys()

    async def ask(wire, *rest):
        if old:
            await world.projection.rebuild()
            world.redis.delete(*old)
            old.clear()
        return await asked(wire, *rest)

    monkeypatch.setattr(facts, "_ask", ask)
    seen = await page(world)
    assert (seen.offers, seen.blocked, seen.doubt) == ((), 1, None)
    assert old == []


async def test_an_override_that_nobody_can_read_opens_nothing(world: World):
    await add(world, ("a", 1))
    await world.suppress(number(1))
    await world.projection.drain()
    world.redis.set(override_key(1, number(1), LeadId("a")), "odd")
    seen = await page(world)
    assert (seen.offers, seen.blocked, seen.doubt) == ((), 1, None)


def partners(world: World) -> None:
    exchange, line = exchange_and_line(number(1))
    world.redis.sadd(listed_key(1, "partners", exchange), line)
    world.redis.hset(STATE, "lists", "internal,partners")


@pytest.mark.parametrize(
    ("move", "asked", "listed"),
    [
        (lambda world: world.redis.hincrby(STATE, "changes", 1), 1, ()),
        (partners, 2, ("partners",)),
    ],
)
async def test_facts_are_asked_again_when_a_list_came_in_between_and_not_for_a_change(
    world: World, monkeypatch, move, asked, listed
):
    ask, asking = facts._ask, []

    async def moved(*which):
        if not asking:
            move(world)
        asking.append(which)
        return await ask(*which)

    monkeypatch.setattr(facts, "_ask", moved)
    (seen,) = await world.projection.facts([(number(1), LeadId("a"))])
    assert (len(asking), seen.listed, seen.doubt()) == (asked, listed, "")


async def test_facts_of_a_projection_that_does_not_stand_still_are_none(world: World, monkeypatch):
    ask = facts._ask

    async def moved(*which):
        world.redis.hincrby(STATE, "generation", 1)
        return await ask(*which)

    monkeypatch.setattr(facts, "_ask", moved)
    with pytest.raises(RedisUnavailable, match="kept changing while it was read"):
        await world.projection.facts([(number(1), LeadId("a"))])


async def test_an_override_offers_its_lead_alone_and_names_itself(world: World):
    await add(world, ("a", 1), ("b", 1))
    await world.suppress(number(1))
    override = await world.grant(number(1), "b")
    await world.projection.drain()
    (offer,) = (await page(world)).offers
    assert (offer.lead, offer.reason, offer.override) == ("b", OVERRIDE, str(override))
    await world.revoke(override)
    await world.projection.drain()
    assert (await page(world)).offers == ()


async def test_a_lead_that_is_off_the_queue_is_not_offered(world: World):
    await add(world, ("a", 1), ("b", 2))
    async with world.database.write() as session:
        await session.execute(update(Lead).where(Lead.id == "a").values(queued=False))
    assert ids(await stack(world)) == ["b"]


async def test_a_block_that_has_not_reached_redis_is_judged_as_the_gate_judges_it(world: World):
    await add(world, ("a", 1))
    await world.suppress(number(1))
    assert world.gate.allows(number(1))
    assert ids(await stack(world)) == ["a"]


@pytest.mark.parametrize(("key", "slug"), [(STATE, "no-state"), (LEASE, "no-lease")])
async def test_in_doubt_nothing_is_offered_and_the_reason_is_told(world: World, key: str, slug: str):
    await add(world, ("a", 1))
    world.redis.delete(key)
    found = await page(world)
    assert found.offers == ()
    assert (found.doubt.reason, found.doubt.detail) == ("state-unverified", slug)


async def test_another_server_process_is_a_doubt(world: World):
    await add(world, ("a", 1))
    world.redis.hset(STATE, "incarnation", "another")
    assert (await page(world)).doubt.detail == "other-incarnation"


async def test_without_redis_nothing_is_offered(world: World):
    await add(world, ("a", 1))
    world.server.stop()
    found = await page(world)
    assert found.offers == ()
    assert found.doubt.reason == "store-unavailable"


async def test_a_set_that_cannot_be_read_is_a_doubt_not_a_no(world: World):
    await add(world, ("a", 1))
    generation = world.redis.hget(STATE, "generation").decode()
    world.redis.set(f"dnc:{generation}:internal:{{1415555}}", "not a set")
    assert (await page(world)).doubt.reason == "store-unavailable"


async def test_a_long_stretch_of_blocked_leads_ends_the_page_and_the_next_goes_on_behind_it(world: World, monkeypatch):
    monkeypatch.setattr(queue, "LOOKED_AT_ONCE", 5)
    monkeypatch.setattr(queue, "MOST_LOOKED_AT", 10)
    await add(world, *((f"a{line:02d}", line) for line in range(23)), ("b", 5000))
    await world.suppress_many([number(line) for line in range(23)])
    await world.projection.drain()
    first = await page(world)
    assert (first.offers, first.blocked) == ((), 10)
    assert first.behind.lead == "a09"
    assert ids(await stack(world)) == ["b"]


@pytest.mark.exhaustive
async def test_the_queue_offers_a_lead_if_and_only_if_the_gate_allows_the_call(world: World):
    """A hundred leads on thirty numbers, after each of many random changes, read in pages of seven."""
    chance = random.Random(20260301)
    await add(world, *((f"lead-{n:03d}", chance.randrange(30)) for n in range(100)))
    async with world.database.read() as session:
        numbers = dict(tuple(row) for row in await session.execute(select(Lead.id, Lead.number)))
    granted: list[int] = []
    listed: set[str] = set()
    for _ in range(12):
        for line in chance.sample(range(30), 3):
            await (world.lift if number(line) in listed else world.suppress)(number(line))
            listed ^= {number(line)}
        for lead in chance.sample([lead for lead in numbers if numbers[lead] in listed], 2):
            granted += await newly_granted(world, numbers[lead], lead)
        if granted and chance.random() < 0.5:
            await world.revoke(granted.pop(chance.randrange(len(granted))))
        if chance.random() < 0.3:
            await world.projection.rebuild()
        await world.projection.drain()
        allowed = [lead for lead in sorted(numbers) if world.gate.allows(numbers[lead], lead)]
        assert ids(await stack(world, 7)) == allowed
    assert 0 < len(allowed) < 100


async def newly_granted(world: World, on: str, lead: str) -> list[int]:
    try:
        return [await world.grant(on, lead)]
    except OverrideStands:
        return []


async def test_a_lead_is_offered_if_any_of_its_numbers_may_be_dialled_with_those_in_order(world: World):
    several = tuple(LabelledNumber(number(line)) for line in (1, 2, 3))
    await put_leads(world.records, ADMIN, [LeadGiven(LeadId("A"), number(1), "A", several)])
    await add(world, ("B", 1))
    await world.suppress(number(1))
    await world.projection.drain()
    (offer,) = await stack(world)
    assert (offer.lead, offer.number, offer.numbers) == ("A", number(2), (number(2), number(3)))
    await world.suppress(number(2))
    await world.suppress(number(3))
    await world.projection.drain()
    assert (await page(world)).blocked == 2
