"""How the line numbers of one exchange are spelled for SQL and for Redis."""

import numpy as np
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from admin_web.registries.lines import BITMAP, LINES, bitmap_of, dump, holds, pack, unpack
from lab.redis import RedisServer

SOME = st.sets(st.integers(0, LINES - 1), max_size=30)
MANY = st.tuples(st.integers(0, 2**32), st.integers(1, LINES)).map(
    lambda drawn: set(np.random.default_rng(drawn[0]).choice(LINES, drawn[1], replace=False).tolist())
)


def bits(lines: set[int]) -> np.ndarray:
    flags = np.zeros(LINES, np.uint8)
    flags[sorted(lines)] = 1
    return np.packbits(flags)


@given(SOME | MANY)
def test_an_exchange_comes_back_as_it_was_in_the_shorter_of_two_forms(lines: set[int]):
    kept = pack(bits(lines))
    assert unpack(kept).tolist() == sorted(lines)
    assert (bitmap_of(kept) == bits(lines)).all()
    assert len(kept) == min(2 * len(lines), BITMAP)


@given(SOME | MANY, st.integers(0, LINES - 1))
def test_an_exchange_holds_the_lines_it_was_given_and_no_other(lines: set[int], line: int):
    kept = pack(bits(lines))
    assert holds(kept, line) is (line in lines)
    assert all(holds(kept, one) for one in lines)


@pytest.mark.parametrize("count", [624, 625, 626])
def test_the_length_tells_the_form_at_the_border(count: int):
    lines = set(range(5000, 5000 + count))
    kept = pack(bits(lines))
    assert (len(kept) == BITMAP) is (count >= 625)
    assert unpack(kept).tolist() == sorted(lines)


@pytest.mark.redis
@pytest.mark.parametrize("count", [1, 27, 28, 5000, 8186, 8188, 10_000])
def test_redis_takes_a_dump_for_the_set_of_small_integers_that_it_is(count: int, redis_server: RedisServer):
    lines = np.sort(np.random.default_rng(count).choice(LINES, count, replace=False)).astype(np.uint16)
    client = redis.Redis(unix_socket_path=str(redis_server.socket))
    client.restore("set", 0, dump(lines), replace=True)
    assert client.object("encoding", "set") == b"intset"
    assert sorted(map(int, client.smembers("set"))) == lines.tolist()
    client.sadd("other", *lines.tolist())
    assert client.sdiff("other", "set") == client.sdiff("set", "other") == set()
    client.close()
