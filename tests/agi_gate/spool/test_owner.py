"""The owner of decisions on disk: one for each Redis, however its URL is written, and without its secrets."""

import pytest

from agi_gate.spool.owner import owner_of

PLAIN = "redis://a:6379/0"
SENTINEL = "redis+sentinel://a:1,b:2/main"
CLUSTER = "redis+cluster://a:1,b:2"


@pytest.mark.parametrize(
    ("one", "same"),
    [
        (PLAIN, "redis://a"),
        (PLAIN, "redis://A/"),
        (PLAIN, "redis://user:secret@a:6379/0"),
        (PLAIN, "rediss://a:6379/0?ssl_cert_reqs=none"),
        (PLAIN, "redis://a:6379/7?db=0"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock?db=0"),
        (SENTINEL, "redis+sentinel://user:secret@b:2,a:1/main/0?sentinel_password=other"),
        (CLUSTER, "rediss+cluster://user:secret@b:2,a:1"),
    ],
)
def test_one_redis_is_one_owner_however_its_url_is_written(one: str, same: str):
    assert owner_of(one) == owner_of(same)


def test_each_redis_and_each_database_is_another_owner():
    urls = [
        PLAIN, "redis://b:6379/0", "redis://a:6380/0", "redis://a:6379/1", "unix:///a", "unix:///a?db=1", "unix:///b",
        SENTINEL, "redis+sentinel://a:1,b:2/other", "redis+sentinel://a:1,b:2/main/1", "redis+sentinel://a:1/main",
        CLUSTER, "redis+cluster://a:1", "redis+cluster://a:1,b:3",
    ]  # fmt: skip
    assert len({owner_of(url) for url in urls}) == len(urls)


def test_an_owner_is_a_short_word_of_hexadecimal_digits():
    assert len(owner_of(PLAIN)) == 12
    assert int(owner_of(PLAIN), 16) >= 0
