"""Communicate with Redis: find the master, open a connection, check the server, send commands and read replies."""

import math
from collections.abc import Iterable, Sequence

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from compliance.cluster import NotACluster, Shard, Topology, read_nodes
from compliance.redis_connection import Connector, error_reply
from compliance.redis_masters import Cluster, Found, Master, NoMaster
from compliance.redis_url import read_redis_url

Command = tuple[str | bytes | int, ...]
Answer = bytes | int | None | list[bytes | None] | ResponseError

CONNECTOR = Connector("agi-gate")


class StoreUnavailable(Exception):
    """Redis could not be queried, or did not answer in time. The message says which."""


class StoreRefused(StoreUnavailable):
    """Redis answers but must not be used: it may evict numbers, is a replica, or refuses the credentials."""


async def locate(url: str, within_s: float) -> Found:
    """Return the master for `url`. For a Sentinel URL, query the sentinels. Raises StoreUnavailable."""
    sentinels = read_redis_url(url)
    if isinstance(sentinels, Cluster):
        raise StoreUnavailable("the Redis URL names a cluster, which has no single master")
    if sentinels is None:
        return Found(Master(url), by_majority=True)

    async def ask(sentinel_url: str) -> list[bytes | None]:
        reply = await CONNECTOR.ask(sentinel_url, sentinels.question, within_s)
        if isinstance(reply, list):
            return reply
        raise StoreUnavailable(error_reply(reply))

    try:
        return await sentinels.find(ask, within_s)
    except NoMaster as error:
        raise StoreUnavailable(str(error)) from None


async def discover(cluster: Cluster, known: Iterable[str], within_s: float) -> Topology:
    """Return the masters of a cluster and their slots. `known` are addresses to query in addition to those of the URL.

    Raises StoreUnavailable.
    """

    async def ask(url: str) -> bytes:
        return _text(await CONNECTOR.ask(url, cluster.question, within_s))

    try:
        return await cluster.find(known, ask, within_s)
    except NoMaster as error:
        raise StoreUnavailable(str(error)) from None


async def own_view(connection: AbstractConnection) -> Shard | None:
    """Return the shard of the connected node; None if it is no master or has no slots. Raises StoreUnavailable."""
    (answer,) = await exchange(connection, [("CLUSTER", "NODES")])
    try:
        return read_nodes(_text(answer), "itself:0").myself
    except NotACluster as error:
        raise StoreUnavailable(str(error)) from None


def _text(answer: object) -> bytes:
    if isinstance(answer, bytes):
        return answer
    raise StoreUnavailable(error_reply(answer))


async def handshake(connection: AbstractConnection) -> str:
    """Open the connection and return the run id of the server.

    Raises StoreRefused for a server that may lose numbers, or that accepts no records because it is a replica.
    """
    await connection.connect()  # type: ignore[no-untyped-call]
    asked: list[Command] = [("INFO", "server"), ("INFO", "memory"), ("INFO", "replication")]
    server, memory, replication = await exchange(connection, asked)
    # A replica would serve reads, but would refuse to record decisions (READONLY; redis.conf, replica-read-only).
    if _field(replication, "role") != "master":
        raise StoreRefused("it is a replica of another Redis and takes no records")
    require_no_eviction(memory)
    return _field(server, "run_id")


def require_no_eviction(memory: Answer) -> None:
    """Raise StoreRefused if the server may evict listed numbers. `memory` is its reply to INFO memory."""
    policy = _field(memory, "maxmemory_policy")
    # A missing set looks like "not listed", and the policies allkeys-* may evict any set. The policies volatile-* evict
    # only keys with a TTL: overrides and the lease. If one is evicted, calls are blocked (Redis docs, "Key eviction").
    if policy.startswith("allkeys"):
        raise StoreRefused(f"its maxmemory-policy {policy} may evict listed numbers; set it to noeviction")


def _field(info: Answer, name: str) -> str:
    """Return one field of an INFO reply. Raises StoreRefused."""
    text = info.decode("utf-8", "replace") if isinstance(info, bytes) else ""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == name and value:
            return value
    raise StoreRefused(
        f"INFO has no {name}: {error_reply(info) if isinstance(info, ResponseError) else 'no such field'}"
    )


def packed(*commands: Command) -> bytes:
    """Encode commands in the Redis protocol (RESP)."""
    return b"".join(map(pack_command, commands))  # type: ignore[arg-type]


def elements(*words: str | bytes | int) -> bytes:
    """Encode words as elements of a command, without the head that counts them."""
    encoded: bytes = pack_command(words)  # type: ignore[arg-type]
    return encoded[encoded.index(b"\n") + 1 :]


async def exchange(connection: AbstractConnection, commands: Sequence[Command]) -> list[Answer]:
    """Send commands in one write and return the reply to each. An error reply is returned, not raised."""
    await connection.send_packed_command(packed(*commands), check_health=False)
    # An error reply must not raise here. The replies after it would stay unread, and the next exchange would get them.
    replies: list[Answer] = []
    for _ in commands:
        try:
            replies.append(await connection.read_response(timeout=math.inf))
        except ResponseError as error:
            replies.append(error)
    return replies
