"""The projection on Valkey: the tests of `test_drain.py` run once more."""

from redis import Redis

from tests.admin_web.projection.test_drain import *  # noqa: F403
from tests.support.valkey import *  # noqa: F403


def test_this_is_valkey(redis_server):
    with Redis(unix_socket_path=str(redis_server.socket)) as client:
        assert client.info("server")["server_name"] == "valkey"
