"""Rebuilds on Valkey: the short tests of `test_rebuild.py` run once more."""

from redis import Redis

from tests.admin_web.projection.test_rebuild import (  # noqa: F401
    test_a_sweep_leaves_alone_what_was_begun_after_it,
    test_numbers_and_overrides_are_there_from_the_flip_on,
    test_the_old_generation_serves_until_the_flip_and_goes_after_it,
    world,
)
from tests.support.valkey import *  # noqa: F403


def test_this_is_valkey(redis_server):
    with Redis(unix_socket_path=str(redis_server.socket)) as client:
        assert client.info("server")["server_name"] == "valkey"
