"""The page of recoveries, and the held override that an admin confirms, with real requests and a real Redis."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import update

from admin_web.queries import recoveries as queries
from admin_web.queries.recoveries import recoveries
from admin_web.record.changes import utc_now
from admin_web.record.models import Override, Recovery
from admin_web.services.recovery import unseen
from admin_web.worker.keeper import Keeper
from compliance.consent import Role
from compliance.numbers import LeadId
from compliance.redis_schema import MARK, MARK_BEFORE, STATE, override_key
from lab.redis import RedisServer
from tests.support.furnishing import furnish
from tests.support.plans import by_index, plans_of
from tests.support.projection import GateView
from tests.support.records import NUMBER
from tests.support.site import Site


@pytest.fixture
async def recovered(site: Site, redis_server: RedisServer) -> AsyncIterator[Site]:
    """A site whose database had lost changes: Redis lacks its one override, and opens another."""
    await furnish(site)
    redis = GateView(redis_server).redis
    (found,) = redis.keys("dnc:1:override:*")
    value = redis.get(found)
    redis.delete(found)
    redis.set(override_key(1, NUMBER, LeadId("L-9")), value.replace(b"1|", b"7|", 1))
    redis.hset(STATE, mapping={MARK: "ab" * 8, MARK_BEFORE: "cd" * 8})
    await Keeper(site.projection, site.settings).keep()
    yield site
    redis.close()


async def test_the_page_shows_the_differences_until_an_admin_has_looked(recovered: Site):
    boss, auditor = await recovered.person(Role.ADMIN), await recovered.person(Role.AUDITOR)
    for browser in (boss, auditor):
        assert "Recovered from Redis." in await browser.page("/")
        page = await browser.page("/recoveries")
        assert "to be looked at" in page
        assert "of which 1 must still be confirmed or revoked by an admin" in page
        assert "L-9" in page
        assert ("I have looked at the differences" in page) is (browser is boss)
    page = await boss.follow(await boss.post("/recoveries/1/seen"))
    assert "It is on record that you have looked at recovery 1." in page
    assert "to be looked at" not in page
    assert "I have looked at the differences" not in page
    assert "Nothing was changed" in await boss.follow(await boss.post("/recoveries/1/seen"))


async def test_a_held_override_says_why_and_opens_its_lead_again_when_an_admin_confirms_it(
    recovered: Site, redis_server: RedisServer
):
    gate, boss = GateView(redis_server), await recovered.person(Role.ADMIN)
    page = await boss.page("/monitor/1")
    assert "Held since a recovery" in page
    assert "it may have been revoked after the backup" in page
    assert not gate.allows(NUMBER, "L-1")
    long = "The CRM has no revocation. " * 100
    for reason, message in ((" ", "The reason is missing."), (long, "The reason is longer than")):
        refused = await boss.post("/monitor/1/confirm", {"confirm_reason": reason})
        assert (refused.status, message in refused.text, reason in refused.text) == (422, True, True)
    said = await boss.follow(await boss.post("/monitor/1/confirm", {"confirm_reason": "The CRM has no revocation."}))
    assert "Override 1 is confirmed and opens its lead." in said
    assert "Override confirmed after a recovery" in said
    assert gate.allows(NUMBER, "L-1")
    assert "Held since a recovery" not in await boss.page("/monitor/1")


async def test_what_waited_for_its_review_says_that_it_needs_the_review_and_the_confirmation(
    site: Site, redis_server: RedisServer
):
    await furnish(site)
    async with site.database.write() as session:
        await session.execute(update(Override).values(held=True, placed_by="somebody"))
    gate, boss = GateView(redis_server), await site.person(Role.ADMIN)
    gate.redis.hset(STATE, mapping={MARK: "ab" * 8, MARK_BEFORE: "cd" * 8})
    await Keeper(site.projection, site.settings).keep()
    assert "of which 1 must still be confirmed or revoked by an admin" in await boss.page("/recoveries")
    assert "If it waited for its review before, it must be reviewed first." in await boss.page("/monitor/1")
    refused = await boss.post("/monitor/1/confirm", {"confirm_reason": "The CRM has none."})
    assert refused.status == 409
    assert "Let it be reviewed first" in refused.text
    assert "The CRM has none." in refused.text
    said = await boss.follow(await boss.post("/monitor/1/review", {"state": "held"}))
    assert "is marked as reviewed. It opens nothing until an admin confirms it." in said
    assert "must be reviewed first" not in said
    assert not gate.allows(NUMBER, "L-1")
    await boss.post("/monitor/1/confirm", {"confirm_reason": "The CRM has none."})
    assert gate.allows(NUMBER, "L-1")
    gate.redis.close()


async def test_the_page_is_empty_where_nothing_was_ever_recovered(site: Site):
    assert "No recoveries" in await (await site.person(Role.AUDITOR)).page("/recoveries")


async def test_what_was_thrown_away_is_shown_as_that(site: Site):
    at = utc_now()
    async with site.database.write() as session:
        session.add(
            Recovery(projection_id=1, mark="", began_at=at, ended_at=at, seen_at=at, seen_by="shell:x", discarded=True)
        )
    assert "thrown away what Redis held" in await (await site.person(Role.ADMIN)).page("/recoveries")


async def test_the_page_finds_held_overrides_in_their_index(recovered: Site):
    plans = await plans_of(recovered.database, lambda: recoveries(recovered.database, utc_now()))
    of_held = [plan for plan in plans if "overrides" in plan and "lost_overrides" not in plan]
    assert len(of_held) == 2
    assert all(by_index(plan, "ix_overrides_recovery_id") for plan in of_held), of_held


async def test_overrides_beyond_the_first_that_the_page_shows_are_counted(
    recovered: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(queries, "MOST_OVERRIDES", 0)
    page = await (await recovered.person(Role.ADMIN)).page("/recoveries")
    assert "of which 1 must still be confirmed or revoked by an admin" in page


async def test_each_recovery_that_waits_can_be_looked_at_however_many_there_are(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(queries, "MOST", 2)
    at, boss = utc_now(), await site.person(Role.ADMIN)
    async with site.database.write() as session:
        for shard in range(5):
            session.add(Recovery(projection_id=shard, mark="ab" * 8, began_at=at, ended_at=at))
    while (found := await recoveries(site.database, at))[0].seen_at is None:
        assert f"/recoveries/{found[0].id}/seen" in await boss.page("/recoveries")
        await boss.post(f"/recoveries/{found[0].id}/seen")
    assert [one.id for one in found] == [5, 4]
    async with site.database.read() as session:
        assert await unseen(session) == 0
