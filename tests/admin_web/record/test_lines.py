"""Encoding of the line numbers of one exchange for SQL and for Redis."""

import numpy as np
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from admin_web.record.lines import BITMAP, LINES, bitmap_of, dump, held, pack, unpack
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


@given(st.lists(st.just(set()) | SOME | MANY, min_size=1, max_size=5), st.integers(0, 2**32))
def test_exchanges_hold_the_lines_they_were_given_and_no_other(exchanges: list[set[int]], seed: int):
    kept = [pack(bits(lines)) if lines else b"" for lines in exchanges]
    chance = np.random.default_rng(seed)
    listed = [(place, line) for place, lines in enumerate(exchanges) for line in lines]
    others = chance.integers([0, 0], [len(kept), LINES], (500, 2)).tolist()
    asked = np.array([*listed, *others], np.int64)[chance.permutation(len(listed) + len(others))]
    found = held(kept, asked[:, 0], asked[:, 1])
    assert found.tolist() == [line in exchanges[place] for place, line in asked.tolist()]


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
