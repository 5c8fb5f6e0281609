"""Redis with replicas and Sentinel, on loopback. Sentinel replaces a master that dies."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from redis import Redis
from redis.exceptions import RedisError

from lab.process import Process, accepts, free_port
from lab.redis import RedisServer, redis_binary
from lab.replicated import Replicated

NAME = "dnc"
DOWN_MS = 500
"""Milliseconds of silence after which a master is considered dead. The value is low to keep the tests short."""

CONFIGURATION = """port {port}
bind 127.0.0.1
dir {directory}
sentinel monitor {name} 127.0.0.1 {master} {quorum}
sentinel down-after-milliseconds {name} {down_ms}
sentinel failover-timeout {name} 4000
sentinel parallel-syncs {name} 5
"""


class Sentinel:
    """One sentinel, which keeps its state in `directory`."""

    def __init__(self, directory: Path, master: int, quorum: int) -> None:
        self.directory, self.port = directory, free_port()
        directory.mkdir(parents=True, exist_ok=True)
        values = {"port": self.port, "directory": directory.resolve(), "name": NAME, "master": master}
        text = CONFIGURATION.format(quorum=quorum, down_ms=DOWN_MS, **values)
        (directory / "sentinel.conf").write_text(text)
        self.process: Process | None = None

    def start(self) -> Self:
        """Start the sentinel and wait until it accepts connections."""
        words: list[str | Path] = [redis_binary(), self.directory / "sentinel.conf", "--sentinel"]
        self.process = Process(words, self.directory / "sentinel.log")
        self.process.wait_until(lambda: accepts(("127.0.0.1", self.port)))
        return self

    def master(self) -> Mapping[str, Any]:
        """Return the sentinel's reply to SENTINEL MASTER, its view of the master. Raises RedisError."""
        with Redis(port=self.port, socket_timeout=2) as client:
            state: Mapping[str, Any] = client.sentinel_master(NAME)
        return state

    def replicas(self) -> int:
        """Return how many replicas the sentinel considers alive and in sync. Raises RedisError."""
        return sum(one["flags"] == "slave" and one["master-link-status"] == "ok" for one in self._replicas())

    def priority(self, port: int) -> int:
        """Return the priority of a replica as the sentinel knows it. A lower one is preferred. Raises RedisError."""
        (found,) = [int(one["slave-priority"]) for one in self._replicas() if one["port"] == port]
        return found

    def _replicas(self) -> Sequence[Mapping[str, Any]]:
        with Redis(port=self.port, socket_timeout=2) as client:
            replicas: Sequence[Mapping[str, Any]] = client.sentinel_slaves(NAME)
        return replicas

    def kill(self) -> None:
        """Kill the sentinel if it is running."""
        if self.process is not None:
            self.process.kill()


class Watched(Replicated):
    """A master, `replicas` replicas, and three sentinels, each in its own process."""

    def __init__(self, directory: Path, replicas: int = 1) -> None:
        options, indexes = {"repl-diskless-sync-delay": "0"}, range(replicas + 1)
        super().__init__(
            directory, [RedisServer(directory / f"redis-{at}", options=options, port=free_port()) for at in indexes]
        )
        self.sentinels: list[Sentinel] = []

    @property
    def url(self) -> str:
        """URL of the projection's Redis, with the addresses of all sentinels and the name of the master."""
        return f"redis+sentinel://{','.join(f'127.0.0.1:{one.port}' for one in self.sentinels)}/{NAME}"

    @property
    def master(self) -> RedisServer:
        """The server that the sentinels name as the master."""
        port = self._named_port()
        return next(server for server in self.servers if server.port == port)

    def client(self) -> Redis:
        """Return a client of the current master."""
        return Redis(port=self._named_port(), socket_timeout=2)

    def start(self) -> Self:
        """Start all processes, and wait until the replicas are in sync and the sentinels know each other."""
        first, *others = self.servers
        first.start()
        for server in others:
            self.revive(server)
        self.until(lambda: len(self.following()) == len(others))
        for at in range(3):
            self.sentinels.append(Sentinel(self.directory / f"sentinel-{at}", first.port, quorum=2).start())
        self.until_at_rest()
        return self

    def watchers(self) -> list[Sentinel]:
        """Return the sentinels."""
        return self.sentinels

    def following(self) -> list[int]:
        """Return the ports of the replicas that are in sync with the current master."""
        with self.client() as client:
            info = client.info("replication")
        slaves = [info[f"slave{at}"] for at in range(info.get("connected_slaves", 0))]
        return [slave["port"] for slave in slaves if slave["state"] == "online"]

    def until_replaced(self, old: RedisServer) -> RedisServer:
        """Wait until the sentinels name a master other than `old`, and return it."""
        self.until(lambda: self.master is not old)
        return self.master

    def until_at_rest(self) -> None:
        """Wait until all sentinels consider all servers alive.

        Until then, Sentinel would not promote a replica that has just come back, and would connect it to a new master
        only after a delay.
        """
        self.until(lambda: all(self._knows(one) for one in self.sentinels), within_s=60.0)

    def kill_master(self) -> RedisServer:
        """Kill the master with SIGKILL, and return it."""
        master = self.master
        master.running.kill()
        return master

    def revive(self, server: RedisServer) -> None:
        """Start a server as a replica of the current master."""
        server.options["replicaof"] = f"127.0.0.1 {self._named_port()}"
        server.start()

    def _named_port(self) -> int:
        """Return the port of the master after the latest failover that any living sentinel knows of."""
        states = [state for one in self.sentinels if (state := _asked(one))]
        latest = max(states, key=lambda one: one["config-epoch"], default={"port": self.servers[0].port})
        return int(latest["port"])

    def _knows(self, one: Sentinel) -> bool:
        return (one.master()["num-other-sentinels"], one.replicas()) == (2, len(self.servers) - 1)


def _asked(one: Sentinel) -> Mapping[str, Any] | None:
    """Return a sentinel's view of the master; None if it does not answer."""
    with suppress(RedisError):
        return one.master()
    return None
