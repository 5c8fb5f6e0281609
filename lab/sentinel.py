"""Redis with replicas under Sentinel, on loopback: a master that dies is replaced by itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from redis import Redis

from lab.process import Process, accepts, free_port
from lab.redis import RedisServer, redis_binary
from lab.replicated import Replicated

NAME = "dnc"
DOWN_MS = 500
"""How long a master is silent before it is taken for dead; short, because nobody waits for a test."""

CONFIGURATION = """port {port}
bind 127.0.0.1
dir {directory}
sentinel monitor {name} 127.0.0.1 {master} {quorum}
sentinel down-after-milliseconds {name} {down_ms}
sentinel failover-timeout {name} 4000
sentinel parallel-syncs {name} 5
"""


class Sentinel:
    """One sentinel; it keeps what it knows in `directory`."""

    def __init__(self, directory: Path, master: int, quorum: int) -> None:
        self.directory, self.port = directory, free_port()
        directory.mkdir(parents=True, exist_ok=True)
        values = {"port": self.port, "directory": directory.resolve(), "name": NAME, "master": master}
        text = CONFIGURATION.format(quorum=quorum, down_ms=DOWN_MS, **values)
        (directory / "sentinel.conf").write_text(text)
        self.process: Process | None = None

    def start(self) -> Self:
        """Start it and wait until it answers."""
        words: list[str | Path] = [redis_binary(), self.directory / "sentinel.conf", "--sentinel"]
        self.process = Process(words, self.directory / "sentinel.log")
        self.process.wait_until(lambda: accepts(("127.0.0.1", self.port)))
        return self

    def master(self) -> Mapping[str, Any]:
        """Give what it says of the master. Raises RedisError."""
        with Redis(port=self.port, socket_timeout=2) as client:
            told: Mapping[str, Any] = client.sentinel_master(NAME)
        return told

    def replicas(self) -> int:
        """Count the replicas that it takes for alive and in step. Raises RedisError."""
        with Redis(port=self.port, socket_timeout=2) as client:
            told = client.sentinel_slaves(NAME)
        return sum(one["flags"] == "slave" and one["master-link-status"] == "ok" for one in told)

    def kill(self) -> None:
        """End it at once, if it runs."""
        if self.process is not None:
            self.process.kill()


class Watched(Replicated):
    """A master, `replicas` of it, and three sentinels that replace it; each ended by its own process id."""

    def __init__(self, directory: Path, replicas: int = 1) -> None:
        prompt, places = {"repl-diskless-sync-delay": "0"}, range(replicas + 1)
        super().__init__(
            directory, [RedisServer(directory / f"redis-{at}", options=prompt, port=free_port()) for at in places]
        )
        self.sentinels: list[Sentinel] = []

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"redis+sentinel://{','.join(f'127.0.0.1:{one.port}' for one in self.sentinels)}/{NAME}"

    @property
    def master(self) -> RedisServer:
        """The server that the sentinels name as the master."""
        port = self._named_port()
        return next(server for server in self.servers if server.port == port)

    def client(self) -> Redis:
        """A client of the master of now."""
        return Redis(port=self._named_port(), socket_timeout=2)

    def start(self) -> Self:
        """Start everything and wait until the replicas follow and the sentinels know of one another."""
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
        """Give the sentinels."""
        return self.sentinels

    def following(self) -> list[int]:
        """Ports of the replicas that are in step with the master of now."""
        with self.client() as client:
            told = client.info("replication")
        slaves = [told[f"slave{at}"] for at in range(told.get("connected_slaves", 0))]
        return [slave["port"] for slave in slaves if slave["state"] == "online"]

    def until_replaced(self, old: RedisServer) -> RedisServer:
        """Wait until another server than `old` is named as the master; give it."""
        self.until(lambda: self.master is not old)
        return self.master

    def until_at_rest(self) -> None:
        """Wait until all sentinels take all servers for alive: a replica that has just come back is not promoted, and
        follows a new master late.
        """
        self.until(lambda: all(self._knows(one) for one in self.sentinels), within_s=60.0)

    def kill_master(self) -> RedisServer:
        """Kill the master as a crash would; give it."""
        master = self.master
        master.running.kill()
        return master

    def revive(self, server: RedisServer) -> None:
        """Start a server as a replica of the master of now."""
        server.options["replicaof"] = f"127.0.0.1 {self._named_port()}"
        server.start()

    def _named_port(self) -> int:
        """Give the port of the master of the latest failover that any sentinel has heard of."""
        told = [one.master() for one in self.sentinels]
        latest = max(told, key=lambda one: one["config-epoch"], default={"port": self.servers[0].port})
        return int(latest["port"])

    def _knows(self, one: Sentinel) -> bool:
        return (one.master()["num-other-sentinels"], one.replicas()) == (2, len(self.servers) - 1)
