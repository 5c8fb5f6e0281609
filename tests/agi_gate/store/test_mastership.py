"""Which server is the master: it is confirmed only by what the sentinels said after the replicas were counted."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from agi_gate.store import mastership as room
from agi_gate.store.health import Health
from agi_gate.store.mastership import Mastership, SentinelMastership, mastership_of
from agi_gate.store.wire import StoreUnavailable
from compliance.redis_masters import Found, Master

OLD, NEW = Master("redis://127.0.0.1:7000/0", "1"), Master("redis://127.0.0.1:7001/0", "2")
INFO = b"role:master\r\nslave0:ip=127.0.0.1,port=7002,state=online,offset=14,lag=0\r\n"


class Sentinels:
    """Answers with `found`, or raises it, after `during`. `asked` counts the questions."""

    def __init__(self, found: Found | StoreUnavailable) -> None:
        self.found, self.asked = found, 0
        self.during: Callable[[], object] = list

    async def locate(self, url: str, within_s: float) -> Found:
        self.asked += 1
        self.during()
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@asynccontextmanager
async def following(
    sentinels: Sentinels, monkeypatch: pytest.MonkeyPatch, sure_s: float = 0.0
) -> AsyncIterator[tuple[Mastership, Health]]:
    """Connect to OLD and follow; yield the mastership and the health of the connection."""
    monkeypatch.setattr(room, "locate", sentinels.locate)
    monkeypatch.setattr(room, "FOLLOW_LEAST_S", 0.001)
    monkeypatch.setattr(room, "SURE_S", sure_s)
    mastership, health, ended = SentinelMastership("redis+sentinel://h/dnc", 1, 1.0), Health(True), list[Exception]()
    assert await mastership.locate() in (OLD, NEW)
    mastership.announce(OLD)
    mastership.begin(OLD, health, ended.append)
    assert not health.confirmed
    mastership.counted(INFO)
    running = asyncio.create_task(mastership.run())
    yield mastership, health
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def asked(sentinels: Sentinels, mastership: Mastership, more: int = 3) -> None:
    """Wait until the sentinels have answered `more` further questions."""
    until = sentinels.asked + more + 1
    async with asyncio.timeout(20):
        while sentinels.asked < until:
            mastership.miss()
            await asyncio.sleep(0.001)


async def test_a_majority_of_the_sentinels_confirms_the_master(monkeypatch: pytest.MonkeyPatch):
    sentinels = Sentinels(Found(OLD, by_majority=True))
    async with following(sentinels, monkeypatch) as (mastership, health):
        await asked(sentinels, mastership)
        assert (health.confirmed, mastership.followers.needed) == (True, 1)


async def test_a_minority_of_the_sentinels_confirms_no_master(monkeypatch: pytest.MonkeyPatch):
    sentinels = Sentinels(Found(OLD, by_majority=False))
    async with following(sentinels, monkeypatch) as (mastership, health):
        await asked(sentinels, mastership)
        assert (health.confirmed, mastership.followers.needed) == (False, None)


BOTH = INFO.replace(b"port=7002", b"port=7001") + INFO.replace(b"role:master\r\nslave0", b"slave1")


@pytest.mark.parametrize(("by_all", "needed"), [(False, 2), (True, 1)])
async def test_a_replica_that_is_missing_is_needed_while_the_one_that_promoted_it_may_not_be_among_the_sentinels(
    monkeypatch: pytest.MonkeyPatch, by_all: bool, needed: int
):
    sentinels = Sentinels(Found(OLD, by_majority=True, by_all=True))
    async with following(sentinels, monkeypatch, sure_s=3600.0) as (mastership, _):
        mastership.counted(BOTH)
        await asked(sentinels, mastership)
        assert mastership.followers.needed == 2
        mastership.counted(INFO)  # The other one was promoted, and its sentinel does not answer.
        sentinels.found = Found(OLD, by_majority=True, by_all=by_all)
        await asked(sentinels, mastership)
        assert mastership.followers.needed == needed


@pytest.mark.parametrize("info", [INFO, INFO[:12]], ids=["one of two", "none of two"])
async def test_while_a_replica_is_missing_the_sentinels_must_have_heard_from_the_master_after_the_count(
    monkeypatch: pytest.MonkeyPatch, info: bytes
):
    # The master was away, and no sentinel has noticed. They may still promote a replica that has not come back.
    sentinels = Sentinels(Found(OLD, by_majority=True, by_all=True, heard_s=3600.0, replicas=2))
    async with following(sentinels, monkeypatch) as (mastership, _):
        health = Health(True)
        mastership.begin(OLD, health, list)
        mastership.counted(info)
        await asked(sentinels, mastership)
        assert (health.confirmed, mastership.followers.needed) == (False, None)
        sentinels.found = Found(OLD, by_majority=True, by_all=True, heard_s=0.0, replicas=2)
        await asked(sentinels, mastership)
        assert (health.confirmed, mastership.followers.needed) == (True, 1)


async def test_a_replica_that_goes_missing_is_needed_until_the_sentinels_have_heard_from_the_master_after_it(
    monkeypatch: pytest.MonkeyPatch,
):
    sentinels = Sentinels(Found(OLD, by_majority=True, by_all=True, heard_s=3600.0, replicas=2))
    async with following(sentinels, monkeypatch) as (mastership, _):
        mastership.counted(BOTH)
        await asked(sentinels, mastership)
        mastership.counted(INFO)
        await asked(sentinels, mastership)
        assert mastership.followers.needed == 2
        sentinels.found = Found(OLD, by_majority=True, by_all=True, heard_s=0.0, replicas=2)
        await asked(sentinels, mastership)
        assert mastership.followers.needed == 1


async def test_a_master_with_all_its_replicas_is_confirmed_at_once_whenever_the_sentinels_heard_from_it(
    monkeypatch: pytest.MonkeyPatch,
):
    sentinels = Sentinels(Found(OLD, by_majority=True, by_all=True, heard_s=3600.0, replicas=2))
    async with following(sentinels, monkeypatch) as (mastership, health):
        mastership.counted(BOTH)
        await asked(sentinels, mastership)
        assert (health.confirmed, mastership.followers.needed) == (True, 2)


async def test_sentinels_that_do_not_confirm_a_new_connection_are_asked_again_soon(monkeypatch: pytest.MonkeyPatch):
    sentinels = Sentinels(Found(OLD, by_majority=False))
    async with following(sentinels, monkeypatch):
        async with asyncio.timeout(10 * room.FOLLOW_S):  # One question in each FOLLOW_S would take twice as long.
            while sentinels.asked < 20:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.001)


async def test_most_sentinels_confirm_a_master_after_a_while_in_which_no_replica_was_missing(
    monkeypatch: pytest.MonkeyPatch,
):
    sentinels = Sentinels(Found(OLD, by_majority=True))
    began = asyncio.get_running_loop().time()
    async with following(sentinels, monkeypatch, sure_s=0.5) as (mastership, health):
        while not health.confirmed:
            await asked(sentinels, mastership, 1)
        assert asyncio.get_running_loop().time() - began > 0.4


async def test_most_sentinels_confirm_a_new_master_at_once_and_the_same_one_after_a_new_connection_not(
    monkeypatch: pytest.MonkeyPatch,
):
    sentinels = Sentinels(Found(NEW, by_majority=True))
    async with following(sentinels, monkeypatch, sure_s=3600.0) as (mastership, _):
        for new in (True, False):
            health = Health(True)
            mastership.announce(NEW)
            mastership.begin(NEW, health, list)
            mastership.counted(INFO)
            await asked(sentinels, mastership)
            assert health.confirmed == new


async def test_even_a_minority_has_the_link_leave_a_master_that_was_replaced(monkeypatch: pytest.MonkeyPatch):
    sentinels, ended = Sentinels(Found(OLD, by_majority=True)), list[Exception]()
    async with following(sentinels, monkeypatch) as (mastership, _):
        mastership.begin(OLD, Health(True), ended.append)
        sentinels.found = Found(NEW, by_majority=False)
        await asked(sentinels, mastership)
    assert "another server is the master now" in str(ended[0])


async def test_while_no_sentinel_answers_nothing_changes(monkeypatch: pytest.MonkeyPatch):
    sentinels = Sentinels(Found(OLD, by_majority=True))
    async with following(sentinels, monkeypatch) as (mastership, health):
        await asked(sentinels, mastership)
        sentinels.found = StoreUnavailable("no sentinel names the master")
        mastership.counted(b"role:master\r\n")
        await asked(sentinels, mastership)
        assert (health.confirmed, mastership.followers.needed) == (True, 1)


async def test_counts_during_every_question_prevent_no_confirmation(monkeypatch: pytest.MonkeyPatch):
    sentinels = Sentinels(Found(OLD, by_majority=True))
    async with following(sentinels, monkeypatch) as (mastership, health):
        sentinels.during = lambda: mastership.counted(INFO)
        await asked(sentinels, mastership)
        assert health.confirmed


async def test_a_question_that_began_on_an_earlier_connection_confirms_nothing(monkeypatch: pytest.MonkeyPatch):
    sentinels, later = Sentinels(Found(OLD, by_majority=True)), Health(True)

    async with following(sentinels, monkeypatch) as (mastership, _):

        def reconnect() -> None:
            mastership.begin(OLD, later, list)
            mastership.counted(INFO)

        sentinels.during = reconnect
        await asked(sentinels, mastership)
        assert not later.confirmed


@pytest.mark.parametrize(("replicas", "needed"), [(0, 0), (2, 2)])
async def test_a_plain_redis_is_the_master_and_needs_as_many_replicas_as_are_set(replicas: int, needed: int):
    mastership, health = mastership_of("redis://127.0.0.1:7000/0", replicas, 1.0), Health(True)
    master = await mastership.locate()
    mastership.begin(master, health, list)
    await mastership.run()
    assert (master.url, health.confirmed, mastership.followers.needed) == ("redis://127.0.0.1:7000/0", True, needed)
