"""The Redis of a run: one server, a master with replicas and sentinels, or a cluster, with its network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from compliance.cluster import NotACluster
from lab.cluster import RedisCluster
from lab.process import NotStarted, free_port
from lab.redis import RedisServer
from lab.sentinel import Watched
from tests.faults.harness.network import Network

PROGRAMS = ("gate-a", "gate-b", "worker", "site", "commands")
"""What connects to Redis, each over a link of its own where the configuration has one server."""

AWAY = (RedisError, NotACluster, NotStarted, OSError, StopIteration)
"""What a question to the servers may raise while some of them are away."""

ANSWER_WITHIN_S = 2.0
"""Maximum wait of the harness for an answer of a server."""


class Redises(Protocol):
    """What a run knows of its Redis."""

    servers: list[RedisServer]
    network: Network | None

    def start(self) -> None:
        """Start all processes, and wait until they are at rest."""

    def stop(self) -> None:
        """End all processes."""

    def url(self, program: str) -> str:
        """Return DNC_REDIS_URL of a program."""

    def masters(self) -> list[RedisServer]:
        """Return the servers that take writes now."""

    def until_at_rest(self) -> None:
        """Wait until every server is alive and in sync."""


class Alone:
    """One Redis. Every program reaches it over a link of its own."""

    def __init__(self, directory: Path) -> None:
        self.server = RedisServer(directory / "redis")
        self.servers = [self.server]
        directory.mkdir(parents=True, exist_ok=True)
        self.network: Network | None = Network(directory, dict.fromkeys(PROGRAMS, self.server.socket))

    def start(self) -> None:
        """Start the server and the network."""
        self.server.start()
        assert self.network is not None
        self.network.start()

    def stop(self) -> None:
        """End both."""
        assert self.network is not None
        self.network.stop()
        self.server.kill()

    def url(self, program: str) -> str:
        """Return the address of the program's link."""
        assert self.network is not None
        return f"redis://127.0.0.1:{self.network.ports[program]}"

    def masters(self) -> list[RedisServer]:
        """Return the server."""
        return self.servers

    def until_at_rest(self) -> None:
        """Do nothing: one server has nobody to agree with."""


class Replicas:
    """A master with two replicas, and three sentinels. Every server is reached over a link of its own."""

    def __init__(self, directory: Path) -> None:
        self.watched = Watched(directory, replicas=2)
        self.servers = self.watched.servers
        directory.mkdir(parents=True, exist_ok=True)
        self.network: Network | None = _network_before(directory, self.servers, "replica-announce")

    def start(self) -> None:
        """Start all servers and sentinels."""
        assert self.network is not None
        self.network.start()
        self.watched.start()

    def stop(self) -> None:
        """End them."""
        self.watched.stop()
        assert self.network is not None
        self.network.stop()

    def url(self, program: str) -> str:
        """Return the addresses of the sentinels."""
        return self.watched.url

    def masters(self) -> list[RedisServer]:
        """Return the server that the sentinels name."""
        return [self.watched.master]

    def until_at_rest(self) -> None:
        """Wait until all sentinels see all servers."""
        self.watched.until_at_rest()


class Shards:
    """A cluster of three masters, a replica of each, and a spare.

    Every node is reached over a link of its own by clients and by its replicas. The cluster bus, on which the nodes
    watch each other, has no link, so no node is replaced because its link is cut.
    """

    def __init__(self, directory: Path) -> None:
        self.cluster = RedisCluster(directory)
        self.servers = self.cluster.servers
        directory.mkdir(parents=True, exist_ok=True)
        self.network: Network | None = _network_before(directory, self.servers, "cluster-announce")

    def start(self) -> None:
        """Start the network and all nodes."""
        assert self.network is not None
        self.network.start()
        self.cluster.start()

    def stop(self) -> None:
        """End them."""
        self.cluster.stop()
        assert self.network is not None
        self.network.stop()

    def url(self, program: str) -> str:
        """Return the addresses of all nodes."""
        return self.cluster.url

    def masters(self) -> list[RedisServer]:
        """Return the master of each shard."""
        servers = {f"127.0.0.1:{server.port}": server for server in self.servers}
        return [servers[shard.address] for shard in self.cluster.topology().shards]

    def until_at_rest(self) -> None:
        """Wait until no node is missed and each master has a replica."""
        self.cluster.until_at_rest()


def _network_before(directory: Path, servers: list[RedisServer], announce: str) -> Network:
    """Return a network with a link to each server, at the port that the server announces to others."""
    for server in servers:
        server.options["port"] = str(free_port())
        server.options[f"{announce}-ip"] = "127.0.0.1"
        server.options[f"{announce}-port"] = str(server.port)
    links = {f"redis-{at}": server.socket for at, server in enumerate(servers)}
    return Network(directory, links, {f"redis-{at}": server.port for at, server in enumerate(servers)})


KINDS: Mapping[str, type[Alone] | type[Replicas] | type[Shards]] = {
    "alone": Alone, "sentinel": Replicas, "cluster": Shards,
}  # fmt: skip


def client_of(server: RedisServer) -> Redis:
    """Return a client of one server, past the network.

    It asks once: with the retries that are usual, a question to a server that stands still takes a minute, and holds
    up the end of the fault that made it stand still.
    """
    return Redis(unix_socket_path=str(server.socket), socket_timeout=ANSWER_WITHIN_S, retry=Retry(NoBackoff(), 0))
