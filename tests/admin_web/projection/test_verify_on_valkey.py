"""The projection on Valkey: the tests of `test_verify.py` run once more."""

from redis import Redis

from tests.admin_web.projection.test_verify import *  # noqa: F403
from tests.support.valkey import *  # noqa: F403


def test_this_is_valkey(redis_server):
    with Redis(unix_socket_path=str(redis_server.socket)) as client:
        assert client.info("server")["server_name"] == "valkey"


# It tries every step for twenty seconds, and the server makes no difference to it.
del test_changes_at_any_step_of_the_comparison_are_no_difference  # noqa: F821
