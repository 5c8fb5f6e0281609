"""How many replicas must have a record: as many as followed the master when it was last known to be the master."""

from time import monotonic

import pytest
from redis.exceptions import ResponseError

from agi_gate.store.followers import Followers, count_followers


def info(*replicas: str, role: str = "master") -> bytes:
    lines = [f"slave{at}:ip=127.0.0.1,port=700{at},{one}" for at, one in enumerate(replicas)]
    return "\r\n".join(["# Replication", f"role:{role}", f"connected_slaves:{len(lines)}", *lines, ""]).encode()


ONLINE = "state=online,offset=14,lag=0"


@pytest.mark.parametrize(
    ("reply", "count"),
    [
        (info(), 0),
        (info(ONLINE, "state=online,offset=14,lag=1,type=replica"), 2),
        (info(ONLINE, "state=send_bulk,offset=0,lag=0"), 1),
        (info(ONLINE, "state=wait_bgsave,offset=0,lag=0", "state=online,offset=9,lag=11"), 1),
        (info(ONLINE, role="slave"), None),
        (ResponseError("LOADING"), None),
        (None, None),
    ],
)
def test_replicas_count_that_follow_and_acknowledge(reply, count):
    assert count_followers(reply) == count


def test_nothing_is_needed_of_a_master_that_is_not_confirmed():
    followers = Followers(1)
    followers.confirm(monotonic())
    assert followers.needed is None
    followers.counted(info(ONLINE))
    assert followers.needed is None


@pytest.mark.parametrize(("replicas", "needed"), [(0, 1), (1, 1), (2, 2)])
def test_all_that_follow_are_needed_and_never_fewer_than_the_settings_require(replicas, needed):
    followers = Followers(1)
    followers.counted(info(*[ONLINE] * replicas))
    followers.confirm(monotonic())
    assert followers.needed == needed


def test_one_more_is_needed_at_once():
    followers = Followers(1)
    followers.counted(info(ONLINE))
    followers.confirm(monotonic())
    followers.counted(info(ONLINE, ONLINE))
    assert followers.needed == 2


def test_one_less_takes_effect_only_with_a_question_that_began_after_it():
    followers = Followers(1)
    followers.counted(info(ONLINE, ONLINE))
    followers.confirm(monotonic())
    began = monotonic()
    followers.counted(info(ONLINE))
    followers.confirm(began)
    assert followers.needed == 2
    followers.confirm(monotonic())
    assert followers.needed == 1


def test_another_connection_starts_again():
    followers = Followers(1)
    followers.counted(info(ONLINE))
    followers.confirm(monotonic())
    followers.forget()
    followers.confirm(monotonic())
    assert followers.needed is None
