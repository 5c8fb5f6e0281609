"""Shared work is done once for all tasks that asked before it began."""

import asyncio

import pytest

from admin_web.projection.shared import Shared


class Work:
    """Counts its runs. A test can hold each of them."""

    def __init__(self) -> None:
        self.begun = 0
        self.go_on = asyncio.Event()
        self.failure: Exception | None = None

    async def __call__(self) -> None:
        self.begun += 1
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_those_who_come_during_a_run_share_the_next_one_and_not_that_one():
    work = Work()
    shared = Shared(work)
    first = asyncio.create_task(shared())
    await settle()
    others = [asyncio.create_task(shared()) for _ in range(5)]
    await settle()
    assert work.begun == 1
    work.go_on.set()
    await asyncio.gather(first, *others)
    assert work.begun == 2


async def test_a_wish_is_never_served_by_a_run_that_began_before_it():
    work = Work()
    work.go_on.set()
    shared = Shared(work)
    for runs in range(1, 4):
        await shared()
        assert work.begun == runs


async def test_all_who_wait_for_a_run_that_fails_are_told():
    work = Work()
    shared = Shared(work)
    first = asyncio.create_task(shared())
    await settle()
    others = [asyncio.create_task(shared()) for _ in range(3)]
    await settle()
    work.failure = OSError("away")
    work.go_on.set()
    failures = await asyncio.gather(first, *others, return_exceptions=True)
    assert [str(failure) for failure in failures] == ["away"] * 4
    assert work.begun == 2
    work.failure = None
    await shared()


async def test_all_who_wait_while_a_run_fails_hopelessly_fail_with_it():
    work = Work()
    shared = Shared(work, hopeless=TimeoutError)
    first = asyncio.create_task(shared())
    await settle()
    others = [asyncio.create_task(shared()) for _ in range(3)]
    await settle()
    work.failure = TimeoutError("silent")
    work.go_on.set()
    failures = await asyncio.gather(first, *others, return_exceptions=True)
    assert [str(failure) for failure in failures] == ["silent"] * 4
    assert work.begun == 1
    work.failure = None
    await shared()
    assert work.begun == 2


async def test_when_the_one_who_runs_it_is_cancelled_the_next_in_line_does():
    work = Work()
    shared = Shared(work)
    first = asyncio.create_task(shared())
    await settle()
    second = asyncio.create_task(shared())
    await settle()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.go_on.set()
    await second
    assert work.begun == 2
