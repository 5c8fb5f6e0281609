"""After the faults of a step are over: whatever is still down is started, and every option and slot is settled."""

from lab.redis import RedisServer
from tests.faults.harness.faults.servers import revive
from tests.faults.harness.redises import AWAY, Replicas, Shards, client_of
from tests.faults.harness.stack import FaultStack

OPTIONS = ("maxmemory", "maxmemory-policy", "appendfsync")


def repair(stack: FaultStack) -> bool:
    """Return whether every server runs with its own options. Try again if it is false."""
    try:
        _sentinels(stack)
        for server in stack.redises.servers:
            revive(stack, server)
            _set_back(server)
        if isinstance(stack.redises, Shards):
            stack.redises.cluster.finish_moves()
        if stack.database.server is not None and stack.database.server.running.exit_code is not None:
            stack.database.server.start()
    except AWAY:
        return False
    return True


def _sentinels(stack: FaultStack) -> None:
    if isinstance(stack.redises, Replicas):
        for sentinel in stack.redises.watched.sentinels:
            if sentinel.process is not None and sentinel.process.exit_code is not None:
                sentinel.start()


def _set_back(server: RedisServer) -> None:
    with client_of(server) as client:
        for name in OPTIONS:
            client.config_set(name, server.options[name])
