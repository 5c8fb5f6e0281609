"""The Redis of the projection, reached: one connection at a time, each failure named."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Self, TypeAlias

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import RedisError, ResponseError

from admin_web.projection.batches import batches
from admin_web.projection.pools import Pools
from admin_web.projection.topology import Nodes, ShardPools
from admin_web.record.changes import NotInForce
from compliance.cluster import Topology
from compliance.redis_schema import WHOLE, Keys
from compliance.redis_url import Cluster, Master, NoMaster, read_redis_url, unreachable, without_secrets

Command: TypeAlias = tuple[str | bytes | int, ...]
Reply: TypeAlias = "bytes | int | ResponseError | list[Reply] | None"

TIMEOUT_S = 1.0
"""Seconds for one exchange with Redis. Whoever writes holds up everybody else who wants to: it must not be long."""


AS_ONE = """
local at, replies = 1, {}
while ARGV[at] do
  local words = tonumber(ARGV[at])
  replies[#replies + 1] = redis.call(unpack(ARGV, at + 1, at + words))
  at = at + words + 1
end
return replies
"""
"""Carries out commands that are spelled as a count of words and the words, one after the other, as one.

Within MULTI a cluster takes commands for one slot only; a script without keys may touch all slots of its shard.
"""

WORDS_AT_ONCE = 4_000
"""Words of one command in a script: Lua's stack ends at 8,000 (LUAI_MAXCSTACK)."""


class RedisUnavailable(NotInForce):
    """Redis could not be asked, or did not answer in time; the message says which."""


class RedisRefused(RedisUnavailable):
    """Redis answered with an error; the message is its own words."""


class StoreMoved(RedisUnavailable):
    """Somebody else wrote to the projection between our look at it and our write, so nothing was written."""


class TooFewReplicas(RedisUnavailable):
    """What was written could be lost with the master; whoever wrote it writes it again."""


class Wire:
    """One connection to `master`. Whatever is in doubt after a failure is settled by closing it; it never reconnects.

    `replicas` must have what is written before it counts as kept. `keys` are those that have no exchange in them.
    """

    def __init__(self, connection: AbstractConnection, master: Master, replicas: int = 0, keys: Keys = WHOLE) -> None:
        self._connection = connection
        self.master, self._replicas, self.keys = master, replicas, keys
        self.watching = False

    @property
    def to_shard(self) -> bool:
        """Tell whether it leads to one shard of a cluster."""
        return self.keys.first_slot is not None

    async def exchange(self, commands: Iterable[Command], *, within_s: float = TIMEOUT_S) -> list[Reply]:
        """Send commands in one write; give the reply to each, an error in its place. Raises RedisUnavailable."""
        packed = [pack_command(command) for command in commands]  # type: ignore[arg-type]
        if packed and not self._connection.is_connected:  # A new connection would not know what this one watched.
            raise RedisUnavailable("the connection to Redis broke")
        with _named("the connection to Redis broke: "):
            try:
                async with asyncio.timeout(within_s):
                    await self._connection.send_packed_command(b"".join(packed), check_health=False)
                    return [await self._reply() for _ in packed]
            except BaseException:
                await self._connection.disconnect(nowait=True)
                raise

    async def ask(self, *commands: Command, within_s: float = TIMEOUT_S) -> list[Reply]:
        """Send commands in one write and give the replies. Raises StoreRefused when one of them is an error."""
        return _accepted(await self.exchange(commands, within_s=within_s))

    async def watch(self, *keys: str) -> None:
        """Have the next `transact` write nothing if any of these keys is written to by anybody from now on."""
        await self.ask(("WATCH", *keys))
        self.watching = True

    async def transact(self, commands: Sequence[Command]) -> list[Reply]:
        """Carry out commands as one, or none of them. Raises StoreMoved when a watched key was written to."""
        if self.to_shard:
            commands = [("EVAL", AS_ONE, 0, *_as_words(commands))]
        *queued, done = await self.exchange([("MULTI",), *commands, ("EXEC",)])
        self.watching = False
        _accepted(queued)  # An error here, such as OOM, makes EXEC discard them all; it names the cause.
        if done is None:
            raise StoreMoved("the projection changed under the write; it is tried again")
        if not isinstance(done, list):
            raise RedisRefused(str(done))
        return _accepted(done)

    async def unlink(self, keys: Sequence[str]) -> None:
        """Take keys out, of whatever slots. Raises RedisUnavailable."""
        if keys:
            await self.ask(*([("UNLINK", key) for key in keys] if self.to_shard else [("UNLINK", *keys)]))

    async def acknowledged(self, *, within_s: float = TIMEOUT_S) -> None:
        """Wait until enough replicas have all that was written over this connection. Raises TooFewReplicas."""
        if not self._replicas:
            return
        waiting: Command = ("WAIT", self._replicas, max(1, int(within_s * 1000)))
        (reached,) = await self.ask(waiting, within_s=within_s + TIMEOUT_S)
        if not isinstance(reached, int) or reached < self._replicas:
            raise TooFewReplicas(f"{reached or 0!r} of the {self._replicas} replicas of DNC_REPLICAS have it")

    async def _reply(self) -> Reply:
        try:
            reply: Reply = await self._connection.read_response(timeout=math.inf)
        except ResponseError as error:
            return error
        return reply


class Store:
    """The Redis at `url`. Building one opens nothing. Raises StoreUnavailable for a URL that is none.

    `replicas` as in the settings: see `Wire.acknowledged`. `shard` is where one shard of the cluster at `url` is, and
    its lowest slot.
    """

    def __init__(self, url: str, replicas: int = 0, *, shard: tuple[Nodes, int] | None = None) -> None:
        self.shown = without_secrets(url)
        self._url, self._replicas = url, replicas
        self._pools: Pools | ShardPools
        try:
            if shard is None:
                self.keys, self._pools = WHOLE, Pools(url, TIMEOUT_S)
            else:
                self.keys, self._pools = Keys(shard[1]), ShardPools(*shard)
        except ValueError as error:
            raise RedisUnavailable(f"DNC_REDIS_URL: {self.shown}: {error}") from None

    async def shards(self) -> "Sequence[Store]":
        """Give the store of each shard that there is now: of a Redis that is no cluster, this one."""
        return (self,)

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        """Open a connection, or take one that is free, for the length of a block. Raises RedisUnavailable."""
        whole = False
        with _named(f"no usable Redis at {self.shown}: ", self.shown):
            async with asyncio.timeout(TIMEOUT_S):
                master, pool = await self._pools.current()
                connection = await self._connection(pool)
        wire = Wire(connection, master, self._replicas, self.keys)
        try:
            yield wire
            whole = not wire.watching and self._pools.is_current(pool)
        finally:
            if not whole:  # A reply may still be on its way, or a key still watched.
                self._pools.doubt()
                await connection.disconnect(nowait=True)
            await pool.release(connection)

    async def _connection(self, pool: ConnectionPool) -> AbstractConnection:
        try:
            connection: AbstractConnection = await pool.get_connection()  # type: ignore[no-untyped-call]
        except (RedisError, OSError, asyncio.CancelledError):
            self._pools.doubt()
            raise
        return connection

    async def close(self) -> None:
        """Close every connection."""
        await self._pools.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class ClusterStore(Store):
    """All shards of the cluster at `url`; what is asked, is asked of one of them."""

    def __init__(self, url: str, cluster: Cluster, replicas: int = 0) -> None:
        self.shown = without_secrets(url)
        self._url, self._replicas, self.keys = url, replicas, WHOLE
        self._nodes = Nodes(cluster, TIMEOUT_S)
        self._stores: dict[int, Store] = {}

    async def topology(self) -> Topology:
        """Tell which shards there are now. Raises RedisUnavailable."""
        with _named(f"no usable Redis Cluster at {self.shown}: "):
            return await self._nodes.topology()

    def seen(self) -> Topology:
        """Tell which shards were there when the cluster was last asked."""
        return self._nodes.seen()

    async def shards(self) -> Sequence[Store]:
        """Give the store of each shard that there is now. Raises RedisUnavailable."""
        return [self.shard(shard.first) for shard in (await self.topology()).shards]

    def shard(self, slot: int) -> Store:
        """Give the store of the shard that was named for `slot`; it reaches whoever owns that slot now."""
        if slot not in self._stores:
            self._stores[slot] = Store(self._url, self._replicas, shard=(self._nodes, slot))
        return self._stores[slot]

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        """Raise StoreUnavailable: there is no connection to all of a cluster."""
        none: tuple[Wire, ...] = ()
        for wire in none:
            yield wire
        raise RedisUnavailable("a cluster is asked shard by shard")

    async def close(self) -> None:
        """Close every connection."""
        for store in self._stores.values():
            await store.close()


def store_at(url: str, replicas: int = 0) -> Store:
    """Give the store at `url`: of one Redis, or of a cluster. Raises StoreUnavailable for a URL that is none."""
    try:
        cluster = read_redis_url(url)
    except ValueError as error:
        raise RedisUnavailable(f"DNC_REDIS_URL: {without_secrets(url)}: {error}") from None
    return ClusterStore(url, cluster, replicas) if isinstance(cluster, Cluster) else Store(url, replicas)


@contextmanager
def _named(doing: str, url: str = "") -> Iterator[None]:
    """Turn what goes wrong on a connection, to the Redis at `url` if it is being opened, into RedisUnavailable."""
    try:
        yield
    except TimeoutError:
        raise RedisUnavailable("Redis did not answer in time") from None
    except (RedisError, OSError, NoMaster) as error:
        raise RedisUnavailable(f"{doing}{unreachable(url, error)}") from error


def _as_words(commands: Iterable[Command]) -> Iterator[str | bytes | int]:
    """Spell commands for `AS_ONE`; one with many members is cut, which is the same to a set."""
    for command in commands:
        head, members = command[:2], command[2:]
        many = command[0] in {"SADD", "SREM"} and len(members) > WORDS_AT_ONCE
        for some in batches(members, WORDS_AT_ONCE) if many else [members]:
            yield len(head) + len(some)
            yield from head
            yield from some


def words(reply: Reply) -> list[bytes]:
    """Read a reply that is an array of strings; whatever else is in it is left out."""
    return [word for word in reply if isinstance(word, bytes)] if isinstance(reply, list) else []


def _accepted(replies: list[Reply]) -> list[Reply]:
    """Give the replies back. Raises StoreRefused when one of them is an error."""
    for reply in replies:
        if isinstance(reply, ResponseError):
            raise RedisRefused(f"Redis refuses: {reply}")
    return replies
