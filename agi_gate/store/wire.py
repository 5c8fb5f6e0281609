"""The wire to Redis: opening a connection, knowing whom it reaches, and exchanging commands for replies."""

import asyncio
import math
from collections.abc import Iterable, Sequence
from typing import cast

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from compliance.cluster import NotACluster, Shard, Topology, read_nodes
from compliance.redis_url import Cluster, Master, NoMaster, read_redis_url, unreachable, without_secrets

Command = tuple[str | bytes | int, ...]
Answer = bytes | int | None | list[bytes | None] | ResponseError

REACH_S = 2.0
"""How long a starting gate waits for its Redis, in seconds."""


class StoreUnavailable(Exception):
    """Redis could not be asked, or did not answer in time; the message says which."""


class StoreRefused(StoreUnavailable):
    """Redis answers, but must not be relied on: it may evict, or it wants other credentials."""


async def locate(url: str, within_s: float) -> Master:
    """Tell where the Redis of `url` is now; behind Sentinel, the sentinels are asked. Raises StoreUnavailable."""
    sentinels = read_redis_url(url)
    if isinstance(sentinels, Cluster):
        raise StoreUnavailable("a cluster has many masters")
    if sentinels is None:
        return Master(url)

    async def ask(sentinel_url: str) -> list[bytes | None]:
        return await _ask_sentinel(sentinel_url, sentinels.question, within_s)

    try:
        return await sentinels.find(ask, within_s)
    except NoMaster as error:
        raise StoreUnavailable(str(error)) from None


async def survey(cluster: Cluster, known: Iterable[str], within_s: float) -> Topology:
    """Tell which masters the cluster has now, and their slots; `known` are addresses to ask beside those of the URL.

    Raises StoreUnavailable.
    """

    async def ask(url: str) -> bytes:
        return _text(await _ask_once(url, cluster.question, within_s))

    try:
        return await cluster.find(known, ask, within_s)
    except NoMaster as error:
        raise StoreUnavailable(str(error)) from None


async def own_view(connection: AbstractConnection) -> Shard | None:
    """Tell what the node says of itself: its slots; None when it is no master, or has none."""
    (answer,) = await exchange(connection, [("CLUSTER", "NODES")])
    try:
        return read_nodes(_text(answer), "itself:0").myself
    except NotACluster as error:
        raise StoreUnavailable(str(error)) from None


def _text(answer: Answer) -> bytes:
    if isinstance(answer, bytes):
        return answer
    raise StoreUnavailable(str(answer))


async def _ask_sentinel(url: str, question: Command, within_s: float) -> list[bytes | None]:
    answer = await _ask_once(url, question, within_s)
    if isinstance(answer, list):
        return answer
    raise StoreUnavailable(str(answer))


async def _ask_once(url: str, question: Command, within_s: float) -> Answer:
    connection = connection_to(url, within_s)
    try:
        await connection.connect()  # type: ignore[no-untyped-call]
        (answer,) = await exchange(connection, [question])
    finally:
        await connection.disconnect(nowait=True)
    return answer


def connection_to(url: str, timeout_s: float) -> AbstractConnection:
    """Make the connection that a plain Redis URL describes; nothing is opened yet. Raises ValueError for a bad URL."""
    pool = ConnectionPool.from_url(
        url,
        socket_connect_timeout=timeout_s,
        socket_timeout=None,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        driver_info=None,
        client_name="agi-gate",
        protocol=2,
    )
    return cast("AbstractConnection", pool.make_connection())  # type: ignore[no-untyped-call]


async def greet(connection: AbstractConnection) -> str:
    """Open the connection and give the run id of the server.

    Raises StoreRefused for one that may lose numbers, or that takes no records because it copies another.
    """
    await connection.connect()  # type: ignore[no-untyped-call]
    asked: list[Command] = [("INFO", "server"), ("INFO", "memory"), ("INFO", "replication")]
    server, memory, replication = await exchange(connection, asked)
    if _field(replication, "role") != "master":
        raise StoreRefused("it is a replica of another Redis and takes no records")
    policy = _field(memory, "maxmemory_policy")
    if policy.startswith("allkeys"):
        raise StoreRefused(f"its maxmemory-policy {policy} may evict listed numbers; set it to noeviction")
    return _field(server, "run_id")


def _field(info: Answer, name: str) -> str:
    """Read one field of an INFO reply. Raises StoreRefused."""
    text = info.decode("utf-8", "replace") if isinstance(info, bytes) else ""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == name and value:
            return value
    raise StoreRefused(f"INFO does not tell {name}: {info if isinstance(info, ResponseError) else 'no such field'}")


def packed(*commands: Command) -> bytes:
    """Spell commands as Redis reads them."""
    return b"".join(map(pack_command, commands))  # type: ignore[arg-type]


async def exchange(connection: AbstractConnection, commands: Sequence[Command]) -> list[Answer]:
    """Send commands in one write and read a reply to each; an error reply is given back in its place."""
    await connection.send_packed_command(packed(*commands), check_health=False)
    replies: list[Answer] = []
    for _ in commands:
        try:
            replies.append(await connection.read_response(timeout=math.inf))
        except ResponseError as error:
            replies.append(error)
    return replies


async def reach(url: str) -> None:
    """Make sure, once, that a usable Redis answers at `url`; of a cluster, one of the masters, and no unfit one.

    Raises StoreUnavailable with what to change.
    """
    shown = without_secrets(url)
    try:
        met = await asyncio.gather(*map(_meet, await _masters(url)), return_exceptions=True)
        failed = [error for error in met if isinstance(error, BaseException)]
        refused = [error for error in failed if isinstance(error, StoreRefused)]
        if refused or len(failed) == len(met):
            raise [*refused, *failed][0]
    except StoreRefused as error:
        raise StoreRefused(f"the Redis at {shown} cannot be used: {error}") from None
    except (StoreUnavailable, RedisError, OSError, ValueError, TimeoutError) as error:
        why = "no answer" if isinstance(error, TimeoutError) else unreachable(shown, error)
        raise StoreUnavailable(f"DNC_REDIS_URL: no usable Redis at {shown}: {why}") from None


async def _meet(url: str) -> None:
    connection = connection_to(url, REACH_S)
    async with asyncio.timeout(REACH_S):
        try:
            await greet(connection)
        finally:
            await connection.disconnect(nowait=True)


async def _masters(url: str) -> list[str]:
    """Give the plain URL of each master behind `url`."""
    cluster = read_redis_url(url)
    if not isinstance(cluster, Cluster):
        return [(await locate(url, REACH_S)).url]
    return [cluster.url(shard.address) for shard in (await survey(cluster, (), REACH_S)).shards]
