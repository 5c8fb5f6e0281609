"""The limits on sign-in attempts, without the site: who shares a limit, and who does not."""

import asyncio

import pytest

from admin_web.people import throttle
from admin_web.people.known_browsers import MOST_NAMES, read_browser
from admin_web.people.throttle import Attempt, TooManyAttempts, account_attempt, sign_in_attempt
from admin_web.record.database import Database
from tests.support.records import AT, Clock

KEY = b"k" * 32
HASH = "the hash of the password"


async def passed(database: Database, attempt: Attempt, times: int, clock: Clock) -> int:
    """Return how many of some attempts, one after the other, are let through."""
    count = 0
    for _ in range(times):
        try:
            await throttle.take(database, attempt, clock())
        except TooManyAttempts:
            continue
        count += 1
    return count


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "", True),
    ],
)
def test_addresses_that_one_customer_can_choose_from_share_their_limits(one: str, other: str, shared: bool):
    assert (sign_in_attempt("agent", one) == sign_in_attempt("agent", other)) == shared


async def test_somebody_who_fails_from_one_network_keeps_nobody_out_elsewhere(database: Database):
    clock = Clock()
    assert await passed(database, sign_in_attempt("agent", "2001:db8::1"), 20, clock) == 6
    assert await passed(database, sign_in_attempt("agent", "2001:db8::2"), 1, clock) == 0
    assert await passed(database, sign_in_attempt("agent", "192.0.2.1"), 1, clock) == 1
    assert await passed(database, sign_in_attempt("other", "2001:db8::2"), 1, clock) == 1


async def leave(database: Database, attempt: Attempt, kind: str, tokens: int) -> int:
    """Leave this many tokens in one bucket of an attempt. Return how many it had when it was full."""
    (bucket,) = [bucket for bucket in attempt.buckets if bucket.key.startswith(kind)]
    async with database.write() as session:
        await throttle._write(session, bucket, tokens, AT)
    return bucket.most


async def test_a_thousand_networks_together_try_a_name_sixty_times_and_then_once_a_minute(database: Database):
    clock, count = Clock(), 0
    assert await leave(database, sign_in_attempt("agent", ""), "name:", 2) == 60
    for place in range(4):
        count += await passed(database, sign_in_attempt("agent", f"192.0.2.{place}"), 1, clock)
    assert count == 2
    clock.move(seconds=60)
    assert await passed(database, sign_in_attempt("agent", "198.51.100.1"), 2, clock) == 1
    assert await passed(database, sign_in_attempt("agent", "192.0.2.1", "a-known-browser"), 6, clock) == 6
    assert await passed(database, account_attempt("agent"), 6, clock) == 6


async def test_many_names_from_one_network_are_held_up_as_one(database: Database):
    clock = Clock()
    assert await leave(database, sign_in_attempt("agent", "2001:db8::"), "address:", 2) == 300
    names = [sign_in_attempt(f"name-{place}", f"2001:db8::{place:x}") for place in range(4)]
    assert sum([await passed(database, one, 1, clock) for one in names]) == 2


async def test_attempts_at_the_same_moment_do_not_slip_through_together(database: Database):
    taken = [throttle.take(database, sign_in_attempt("agent", "192.0.2.1"), AT) for _ in range(20)]
    ended = await asyncio.gather(*taken, return_exceptions=True)
    assert sum(end is None for end in ended) == 6


async def test_a_right_password_gives_its_attempt_back_and_no_other(database: Database):
    clock, attempt = Clock(), sign_in_attempt("agent", "192.0.2.1")
    await leave(database, attempt, "address:", 8)
    assert await passed(database, sign_in_attempt("other", "192.0.2.1"), 1, clock) == 1
    for _ in range(10):
        await throttle.take(database, attempt, AT)
        async with database.write() as session:
            await throttle.give_back(session, attempt, AT)
    assert await passed(database, attempt, 8, clock) == 6
    assert await passed(database, sign_in_attempt("third", "192.0.2.1"), 4, clock) == 8 - 1 - 6


async def test_a_clock_that_was_set_back_takes_no_attempt_away(database: Database):
    clock, attempt = Clock(), sign_in_attempt("agent", "192.0.2.1")
    assert await passed(database, attempt, 1, clock) == 1
    clock.move(minutes=-5)
    assert await passed(database, attempt, 10, clock) == 5


def test_a_browser_is_known_for_those_who_signed_in_with_it_last():
    cookie = ""
    for place in range(MOST_NAMES + 1):
        cookie = read_browser(cookie, KEY).with_name(f"name-{place}", HASH)
    browser = read_browser(cookie, KEY)
    assert [browser.knows(f"name-{place}", HASH) for place in (0, 1, MOST_NAMES)] == [False, True, True]
    assert browser.id == read_browser(browser.with_name("name-1", HASH), KEY).id
    assert not browser.knows("name-", HASH)
    assert len(cookie) < 500


@pytest.mark.parametrize(
    "forge", [str.upper, lambda cookie: cookie[:-1] + "g", lambda cookie: cookie[::-1], lambda _: ""]
)
def test_a_cookie_that_was_changed_or_signed_by_another_site_is_known_for_nobody(forge):
    cookie = read_browser("", KEY).with_name("agent", HASH)
    assert read_browser(cookie, KEY).knows("agent", HASH)
    assert not read_browser(forge(cookie), KEY).knows("agent", HASH)
    assert not read_browser(cookie, b"j" * 32).knows("agent", HASH)
    assert not read_browser(cookie, KEY).knows("agent", "the hash of another password")


def test_a_known_browser_is_known_by_its_id_and_name_together():
    ours, theirs = (read_browser("", KEY) for _ in range(2))
    mixed = ".".join([theirs.id, *ours.with_name("agent", HASH).split(".")[1:]])
    assert not read_browser(mixed, KEY).knows("agent", HASH)
