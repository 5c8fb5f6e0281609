"""A Redis Cluster on loopback: masters, one replica for each, and one spare replica.

When a master dies, its replica is promoted, and the new master has no replica. After about five seconds the spare
replica migrates to it (CLUSTER_SLAVE_MIGRATION_DELAY in cluster.h). Without the spare, the shard's records would be on
one server only until the dead server is back, and the gate would allow no call on that shard.
"""

import re
from contextlib import suppress
from pathlib import Path
from typing import Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from compliance.cluster import SLOTS, Shard, Topology, View, merge_views, read_nodes
from lab.process import NotStarted, free_port
from lab.redis import RedisServer
from lab.replicated import Replicated

NODE_TIMEOUT_MS = 1000
"""Milliseconds of silence after which a node is considered dead. The value is low to keep the tests short."""

KEYS_AT_ONCE = 100

MIGRATE_MS = 800
"""Maximum wait for the new master of a slot: less than makes others take the old one, which waits, for dead."""

VIEW_WITHIN_S = 1.0
"""Maximum wait for a node's view of the cluster. A node that stands still does not answer."""


class RedisCluster(Replicated):
    """A cluster of `masters` masters, a replica for each, and one spare replica. Each node runs in its own process."""

    def __init__(self, directory: Path, masters: int = 3) -> None:
        self.masters = masters
        options = {
            "cluster-enabled": "yes",
            "cluster-node-timeout": str(NODE_TIMEOUT_MS),
            "cluster-require-full-coverage": "no",
            "repl-diskless-sync-delay": "0",
        }
        nodes = range(2 * masters + 1)
        super().__init__(
            directory, [RedisServer(directory / f"node-{at}", options=options, port=free_port()) for at in nodes]
        )

    @property
    def url(self) -> str:
        """URL of the cluster. It names all nodes, so that it also works while some of them are dead."""
        return f"redis+cluster://{','.join(f'127.0.0.1:{server.port}' for server in self.servers)}"

    def start(self) -> Self:
        """Start all nodes, assign the slots, and wait until every master has a replica in sync."""
        for server in self.servers:
            server.start()
        first, *others = self.servers
        for at, server in enumerate(self.servers):
            _do(_client(server), "CLUSTER", "SET-CONFIG-EPOCH", at + 1)
        for server in others:
            _do(_client(server), "CLUSTER", "MEET", "127.0.0.1", first.port, _bus_port(first))
        self.until(lambda: all(len(_nodes(server)) == len(self.servers) for server in self.servers))
        for at, server in enumerate(self.servers[: self.masters]):
            low, high = at * SLOTS // self.masters, (at + 1) * SLOTS // self.masters - 1
            _do(_client(server), "CLUSTER", "ADDSLOTSRANGE", low, high)
        self.until(lambda: all(len(_topology([one]).shards) == self.masters for one in self.servers))
        for at, replica in enumerate(self.servers[self.masters :]):
            _do(_client(replica), "CLUSTER", "REPLICATE", _id(self.servers[at % self.masters]))
        self.until_at_rest()
        return self

    def topology(self) -> Topology:
        """Return the topology that the nodes report which live and answer. Raises NotACluster if none knows a shard."""
        return merge_views([view for server in self.servers if _lives(server) and (view := _view(server))])

    def master_of(self, slot: int) -> RedisServer:
        """Return the server that owns a slot. Raises NotStarted when no node serves it."""
        owner = self.topology().owner(slot)
        if owner is None:
            raise NotStarted(f"no node serves slot {slot}")
        return self._server(owner)

    def servers_of(self, shard: Shard) -> list[RedisServer]:
        """Return the servers of a shard: its master, and the replicas of that master."""
        nodes = _nodes(self._server(shard))
        ports = {
            int(words[1].partition("@")[0].rpartition(":")[2]) for words in nodes if shard.id in (words[0], words[3])
        }
        return [server for server in self.servers if server.port in ports]

    def replicas_of(self, server: RedisServer) -> int:
        """Return how many replicas of a master are in sync with it."""
        with _client(server) as client:
            info = client.info("replication")
        return sum(info[f"slave{at}"]["state"] == "online" for at in range(info["connected_slaves"]))

    def client_of(self, slot: int) -> Redis:
        """Return a client of the server that owns a slot."""
        return _client(self.master_of(slot))

    def until_at_rest(self) -> None:
        """Wait until no living node reports a failed node, and each master has a replica in sync."""
        self.until(lambda: all(_at_rest(server) for server in self.servers if _lives(server)), within_s=60.0)

    def kill_master(self, slot: int) -> RedisServer:
        """Kill the master of a slot with SIGKILL, and return it."""
        master = self.master_of(slot)
        master.running.kill()
        return master

    def until_replaced(self, old: RedisServer, slot: int) -> RedisServer:
        """Wait until a server other than `old` owns a slot, and return that server."""
        self.until(lambda: self.master_of(slot) is not old)
        return self.master_of(slot)

    def take_over(self, slot: int) -> RedisServer:
        """Promote a replica without the consent of the living master (CLUSTER FAILOVER FORCE), and return it."""
        old, shard = self.master_of(slot), self.topology().owner(slot)
        if shard is None:
            raise NotStarted(f"no node serves slot {slot}")
        self.until(lambda: len(self.servers_of(shard)) > 1)  # A master learns last that a node is its replica.
        replica = next(server for server in self.servers_of(shard) if server is not old)
        _do(_client(replica), "CLUSTER", "FAILOVER", "FORCE")
        self.until(lambda: self.owner_but(old, slot) is not None)
        return replica

    def owner_but(self, silent: RedisServer, slot: int) -> Shard | None:
        """Return the shard that owns a slot, as the living servers except `silent` report it.

        Return None if they still report `silent` as the owner, or report no owner.
        """
        owner = _topology([one for one in self.servers if one is not silent and _lives(one)]).owner(slot)
        return owner if owner and self._server(owner) is not silent else None

    def move(self, slot: int, *, keys: bool = True) -> RedisServer:
        """Move a slot to the next master, and return that master.

        `keys=False` simulates a fault: the slot moves, but its keys stay on the old master.
        """
        shards = self.topology().shards
        at = next(at for at, shard in enumerate(shards) if shard.owns(slot))
        old, new = shards[at], shards[(at + 1) % len(shards)]
        _do(_client(self._server(new)), "CLUSTER", "SETSLOT", slot, "IMPORTING", old.id)
        _do(_client(self._server(old)), "CLUSTER", "SETSLOT", slot, "MIGRATING", new.id)
        self._finish(slot, old, new, keys=keys)
        return self._server(new)

    def finish_moves(self) -> None:
        """Finish each move that an error has left half-way, as `redis-cli --cluster fix` does."""
        topology = self.topology()
        for shard in topology.shards:
            for slot in _open_slots(self._server(shard), "<"):
                owner = topology.owner(slot)
                if owner is not None and owner.id != shard.id:
                    # If the old master was replaced, an importing node does not learn that its replica owns the slot.
                    for words in (("NODE", owner.id), ("IMPORTING", owner.id)):
                        _do(_client(self._server(shard)), "CLUSTER", "SETSLOT", slot, *words)
                    self._finish(slot, owner, shard)
        for shard in topology.shards:
            for slot in _open_slots(self._server(shard), "<>"):
                _do(_client(self._server(shard)), "CLUSTER", "SETSLOT", slot, "STABLE")

    def _finish(self, slot: int, old: Shard, new: Shard, *, keys: bool = True) -> None:
        source, target = _client(self._server(old)), _client(self._server(new))
        while keys and (some := _do(source, "CLUSTER", "GETKEYSINSLOT", slot, KEYS_AT_ONCE)):
            host, _, port = new.address.rpartition(":")
            _do(source, "MIGRATE", host, port, "", 0, MIGRATE_MS, "REPLACE", "KEYS", *some)
        _do(target, "CLUSTER", "SETSLOT", slot, "NODE", new.id)
        if keys:
            _do(source, "CLUSTER", "SETSLOT", slot, "NODE", new.id)
        self.until(lambda: all(self._owned(server, slot) == new.id for server in self.servers if _lives(server)))

    def _owned(self, server: RedisServer, slot: int) -> str:
        owner = _topology([server]).owner(slot)
        return owner.id if owner else ""

    def _server(self, shard: Shard) -> RedisServer:
        port = int(shard.address.rpartition(":")[2])
        return next(server for server in self.servers if server.port == port)


def _bus_port(server: RedisServer) -> int:
    """Return the port at which the other nodes reach a node. The node may announce another port to its clients."""
    return int(server.options["port"]) + 10_000


def _client(server: RedisServer, within_s: float = 5.0) -> Redis:
    # No retries: `until` repeats what failed, and a node that stands still must not take a minute of each look.
    return Redis(unix_socket_path=str(server.socket), socket_timeout=within_s, retry=Retry(NoBackoff(), 0))


def _do(client: Redis, *words: str | bytes | int) -> list[bytes]:
    done: list[bytes] = client.execute_command(*words)  # type: ignore[no-untyped-call]
    return done


def _cluster_nodes(server: RedisServer, within_s: float = 5.0) -> bytes:
    """Return a node's reply to CLUSTER NODES, unparsed."""
    with _client(server, within_s) as client:
        client.response_callbacks.pop("CLUSTER NODES", None)
        reply: object = _do(client, "CLUSTER", "NODES")
    return reply if isinstance(reply, bytes) else str(reply).encode()


def _nodes(server: RedisServer) -> list[list[str]]:
    return [line.split(" ") for line in _cluster_nodes(server).decode().splitlines()]


def _id(server: RedisServer) -> str:
    return next(words[0] for words in _nodes(server) if "myself" in words[2])


def _open_slots(server: RedisServer, ways: str) -> list[int]:
    """Return the slots that a node is importing (`<`) or migrating (`>`)."""
    mine = next(words for words in _nodes(server) if "myself" in words[2])
    moves = (re.fullmatch(r"\[([0-9]+)-([<>])-.*\]", word) for word in mine[8:])
    return [int(move[1]) for move in moves if move and move[2] in ways]


def _view(server: RedisServer) -> View | None:
    """Return what a node reports; None if it does not answer."""
    with suppress(RedisError):
        return read_nodes(_cluster_nodes(server, VIEW_WITHIN_S))
    return None


def _topology(servers: list[RedisServer]) -> Topology:
    return merge_views([read_nodes(_cluster_nodes(server)) for server in servers])


def _lives(server: RedisServer) -> bool:
    return server.process is not None and server.process.exit_code is None


def _at_rest(server: RedisServer) -> bool:
    """Return whether a node serves its slots and reports no failed node.

    A master must also have a replica in sync, and a replica must be connected to its master.
    """
    if any("fail" in words[2] or "handshake" in words[2] or words[7] != "connected" for words in _nodes(server)):
        return False
    with _client(server) as client:
        info = client.info("replication")
        serves: object = _do(client, "CLUSTER", "INFO")
    if "cluster_state:ok" not in str(serves) and "'cluster_state': 'ok'" not in str(serves):
        return False
    if info["role"] == "master":
        return bool(info["connected_slaves"] and info["slave0"]["state"] == "online")
    return bool(info["master_link_status"] == "up")
