"""The store of the gate on Valkey: the tests of its one-step record, which use a script, run once more."""

from redis import Redis

from tests.agi_gate.store.test_foreseen import *  # noqa: F403
from tests.support.valkey import *  # noqa: F403


def test_this_is_valkey(redis_server):
    with Redis(unix_socket_path=str(redis_server.socket)) as client:
        assert client.info("server")["server_name"] == "valkey"
