"""Things with the same time limit: what is not over in time is ended, and what is over is left alone."""

import asyncio

from agi_gate.deadlines import Deadlines


class Thing:
    def __init__(self) -> None:
        self.over = False
        self.expired_at: float | None = None

    def expire(self) -> None:
        self.expired_at = asyncio.get_running_loop().time()
        self.over = True


async def until_over(*things: Thing) -> None:
    async with asyncio.timeout(20):
        while not all(thing.over for thing in things):  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.001)


async def test_what_is_not_over_expires_once_its_time_has_come_and_not_before():
    began, things = asyncio.get_running_loop().time(), [Thing() for _ in range(3)]
    expiries = Deadlines[Thing](0.05)
    for thing in things:
        expiries.watch(thing)
    await until_over(*things)
    assert all(0.05 <= thing.expired_at - began < 10 for thing in things)


async def test_what_was_over_before_does_not_expire_and_holds_up_nobody():
    expiries, first, second = Deadlines[Thing](0.02), Thing(), Thing()
    expiries.watch(first)
    expiries.watch(second)
    first.over = True
    await until_over(second)
    assert (first.expired_at, second.expired_at is None) == (None, False)


async def test_what_comes_after_all_others_have_ended_is_watched_too():
    expiries, first, later = Deadlines[Thing](0.01), Thing(), Thing()
    expiries.watch(first)
    await until_over(first)
    expiries.watch(later)
    await until_over(later)
    assert later.expired_at is not None


async def test_what_is_over_is_forgotten_when_the_next_one_comes():
    expiries = Deadlines[Thing](60)
    for _ in range(1000):
        thing = Thing()
        expiries.watch(thing)
        thing.over = True
    assert len(expiries._watched) == 1


async def test_one_that_expires_while_another_is_begun_by_it_leaves_the_other_watched():
    expiries, second = Deadlines[Thing](0.01), Thing()

    class Beginning(Thing):
        def expire(self) -> None:
            super().expire()
            expiries.watch(second)

    first = Beginning()
    expiries.watch(first)
    await until_over(first, second)
    assert second.expired_at is not None


async def test_what_came_later_lasts_as_long():
    expiries, first, later = Deadlines[Thing](0.1), Thing(), Thing()
    expiries.watch(first)
    await asyncio.sleep(0.05)  # half of the limit
    began = asyncio.get_running_loop().time()
    expiries.watch(later)
    await until_over(first, later)
    assert later.expired_at - began >= 0.1
