"""Which replicas must have a record: all that followed the master when it was last known to be the master."""

import math
from collections import Counter

import pytest
from redis.exceptions import ResponseError

from agi_gate.store import followers as room
from agi_gate.store.followers import Followers, following


def info(*replicas: str, role: str = "master", ports: str = "012") -> bytes:
    lines = [f"slave{at}:ip=127.0.0.1,port=700{ports[at]},{one}" for at, one in enumerate(replicas)]
    return "\r\n".join(["# Replication", f"role:{role}", f"connected_slaves:{len(lines)}", *lines, ""]).encode()


ONLINE = "state=online,offset=14,lag=0"


def addresses(*ports: int) -> Counter[str]:
    return Counter(f"ip=127.0.0.1,port={port}" for port in ports)


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (info(), addresses()),
        (info(ONLINE, "state=online,offset=14,lag=1,type=replica"), addresses(7000, 7001)),
        (info(ONLINE, "state=send_bulk,offset=0,lag=0"), addresses(7000)),
        (info(ONLINE, "state=bg_transfer,offset=0,lag=0,type=main-channel"), addresses(7000)),
        (info("state=wait_bgsave,offset=0,lag=0", ONLINE, "state=online,offset=9,lag=11"), addresses(7001)),
        (b"role:master\r\nslave0:ip=fd00::7,port=7000," + ONLINE.encode(), Counter(["ip=fd00::7,port=7000"])),
        (
            b"role:master\r\nslave0:ip=cache-2.example,port=7,state=online,lag=0",
            Counter(["ip=cache-2.example,port=7"]),
        ),
        (info(ONLINE, role="slave"), None),
        (ResponseError("LOADING"), None),
        (None, None),
    ],
)
def test_replicas_count_that_follow_and_acknowledge(reply, found):
    assert following(reply) == found


def confirmed(*replicas: str, least: int = 1) -> Followers:
    """Return followers whose master was confirmed after a count."""
    followers = Followers(least)
    followers.counted(info(*replicas))
    followers.asking()
    followers.confirm()
    return followers


def test_nothing_is_needed_of_a_master_that_is_not_confirmed():
    followers = Followers(1)
    followers.asking()
    followers.confirm()
    followers.counted(info(ONLINE))
    followers.confirm()
    assert followers.needed is None


@pytest.mark.parametrize(("replicas", "needed"), [(0, 1), (1, 1), (2, 2)])
def test_all_that_follow_are_needed_and_never_fewer_than_the_settings_require(replicas, needed):
    assert confirmed(*[ONLINE] * replicas).needed == needed


def test_one_more_is_needed_at_once():
    followers = confirmed(ONLINE)
    followers.counted(info(ONLINE, ONLINE))
    assert followers.needed == 2


def test_one_less_takes_effect_only_with_a_question_that_began_after_it():
    followers = confirmed(ONLINE, ONLINE)
    followers.asking()
    followers.counted(info(ONLINE))
    followers.confirm()
    assert followers.needed == 2
    followers.asking()
    followers.confirm()
    assert followers.needed == 1


def test_a_count_during_the_question_delays_no_confirmation():
    followers = Followers(1)
    followers.counted(info(ONLINE))
    followers.asking()
    followers.counted(info(ONLINE, ONLINE))
    followers.confirm()
    assert followers.needed == 2


def test_a_question_confirms_once_and_only_what_was_counted_before_it():
    followers = confirmed(ONLINE, ONLINE)
    followers.counted(info(ONLINE))
    followers.confirm()
    assert followers.needed == 2


def test_a_replica_in_the_place_of_another_makes_both_needed_until_the_next_confirmation():
    followers = confirmed(ONLINE)
    followers.counted(info(ONLINE, ports="1"))
    assert followers.needed == 2
    followers.asking()
    followers.confirm()
    assert followers.needed == 1


@pytest.mark.parametrize(("ports", "needed"), [("00", 2), ("000", 3), ("001", 3)])
def test_replicas_that_the_master_sees_at_one_address_are_needed_each(ports, needed):
    followers = Followers(1)
    followers.counted(info(*[ONLINE] * len(ports), ports=ports))
    followers.asking()
    followers.confirm()
    assert followers.needed == needed


def test_a_second_replica_at_an_address_is_needed_at_once_and_until_the_next_confirmation():
    followers = confirmed(ONLINE)
    followers.counted(info(ONLINE, ONLINE, ports="00"))
    assert followers.needed == 2
    followers.counted(info(ONLINE))
    assert followers.needed == 2
    followers.asking()
    followers.counted(info(ONLINE, ONLINE, ports="00"))
    followers.counted(info(ONLINE))
    followers.confirm()
    assert followers.needed == 2
    followers.asking()
    followers.confirm()
    assert followers.needed == 1


def test_a_missing_replica_and_a_new_connection_begin_the_time_without_loss_again(monkeypatch: pytest.MonkeyPatch):
    clock = iter(range(1, 9))
    monkeypatch.setattr(room, "monotonic", lambda: float(next(clock)))
    followers = Followers(1)
    assert followers.steady_since == math.inf
    since = []
    for ports in ("01", "01", "012", "02", "0", "01"):  # It was lost at the first, the fourth and the fifth count.
        followers.counted(info(*[ONLINE] * len(ports), ports=ports))
        since.append(followers.steady_since)
    assert since == [1, 1, 1, 2, 3, 3]
    followers.forget()
    assert followers.steady_since == math.inf


def test_a_replica_that_joins_is_needed_in_addition_at_the_next_count():
    """One that joins a master whose replica was promoted stands in for it until this count (docs/design.md)."""
    followers = confirmed(ONLINE, ONLINE)
    followers.counted(info(ONLINE, ONLINE, ports="12"))
    assert followers.needed == 3


def test_another_connection_starts_again_even_during_a_question():
    followers = confirmed(ONLINE)
    followers.asking()
    followers.forget()
    followers.counted(info(ONLINE))
    followers.confirm()
    assert followers.needed is None
