"""One connection to the projection's Redis: commands, transactions, and one exception class per kind of error."""

import asyncio
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import BusyLoadingError, RedisError, ResponseError

from admin_web.projection.batches import batches
from admin_web.record.changes import NotInForce
from compliance.redis_connection import error_reply
from compliance.redis_masters import Master, NoMaster
from compliance.redis_schema import WHOLE, Keys
from compliance.redis_url import unreachable

Command: TypeAlias = tuple[str | bytes | int, ...]
Reply: TypeAlias = "bytes | int | ResponseError | list[Reply] | None"

TIMEOUT_S = 1.0
"""Seconds for one request to Redis and its reply. It must be short, because other writers wait while this one has the
turn.
"""


BATCH_SCRIPT = """
local at, replies = 1, {}
while ARGV[at] do
  local words = tonumber(ARGV[at])
  replies[#replies + 1] = redis.call(unpack(ARGV, at + 1, at + words))
  at = at + words + 1
end
return replies
"""
"""A script that executes several commands as one. Each command is passed as its number of words, followed by the words.

In a cluster MULTI takes commands for one slot only. A script without declared keys may access all slots of its shard.
"""

WORDS_AT_ONCE = 4_000
"""Maximum number of words of one command in a script. Lua's stack holds 8,000 values (LUAI_MAXCSTACK, luaconf.h)."""


class RedisUnavailable(NotInForce):
    """Redis could not be reached or did not answer in time; the message says which."""

    public = "Redis cannot be reached"


class RedisSilent(RedisUnavailable):
    """Redis did not answer in time."""


class RedisRefused(RedisUnavailable):
    """Redis answered with an error; the message quotes it."""

    public = "Redis refuses what it is asked"


class StoreMoved(RedisUnavailable):
    """Another process changed the projection between this writer's read and its write, so nothing was written."""

    public = "another process changed the copy in Redis at the same moment"


class TooFewReplicas(RedisUnavailable):
    """Too few replicas have the write, so it may be lost with the master. The writer must write it again."""

    public = "too few replicas of Redis have the change"


class Wire:
    """One connection to `master`. After any failure it is closed, and it never reconnects.

    `replicas` is how many replicas must have a write before it counts as safe. `keys` are the names of the keys that
    belong to no exchange.
    """

    def __init__(self, connection: AbstractConnection, master: Master, replicas: int = 0, keys: Keys = WHOLE) -> None:
        self._connection = connection
        self.master, self._replicas, self.keys = master, replicas, keys
        self.watching = False

    @property
    def where(self) -> str:
        """The end of a message's fact that names the shard; empty outside a cluster."""
        return on_shard(self.keys.first_slot)

    @property
    def to_shard(self) -> bool:
        """Whether the connection leads to one shard of a cluster."""
        return self.keys.first_slot is not None

    async def exchange(self, commands: Iterable[Command], *, within_s: float = TIMEOUT_S) -> list[Reply]:
        """Send commands in one write. Returns the reply to each, or its error. Raises RedisUnavailable."""
        packed = [pack_command(command) for command in commands]  # type: ignore[arg-type]
        # Without this check redis-py would reconnect, and the watch on the keys would be lost.
        if packed and not self._connection.is_connected:
            raise RedisUnavailable(f"the connection to Redis broke{self.where}")
        with translated_errors(f"the connection to Redis broke{self.where}: ", where=self.where):
            try:
                async with asyncio.timeout(within_s):
                    await self._connection.send_packed_command(b"".join(packed), check_health=False)
                    return [await self._reply() for _ in packed]
            except BaseException:
                await self._connection.disconnect(nowait=True)
                raise

    async def ask(self, *commands: Command, within_s: float = TIMEOUT_S) -> list[Reply]:
        """Send commands in one write and return the replies. Raises RedisRefused when one of them is an error."""
        return _accepted(await self.exchange(commands, within_s=within_s), self.where)

    async def watch(self, *keys: str) -> None:
        """Watch keys: if any of them is changed from now on, the next `transact` writes nothing."""
        await self.ask(("WATCH", *keys))
        self.watching = True

    async def transact(self, commands: Sequence[Command]) -> list[Reply]:
        """Execute all commands at once, or none of them. Raises StoreMoved when a watched key was changed."""
        if self.to_shard:
            commands = [("EVAL", BATCH_SCRIPT, 0, *_script_arguments(commands))]
        *queued, done = await self.exchange([("MULTI",), *commands, ("EXEC",)])
        self.watching = False
        # An error here, such as OOM, makes EXEC discard all commands. Raise it, because it names the cause and EXEC
        # does not.
        _accepted(queued, self.where)
        if done is None:
            raise StoreMoved("another process changed the projection, so nothing was written; the worker tries again")
        if not isinstance(done, list):
            raise RedisRefused(f"Redis refused{self.where}: {error_reply(done)}")
        return _accepted(done, self.where)

    async def unlink(self, keys: Sequence[str]) -> None:
        """Delete keys, of one slot or several. Raises RedisUnavailable."""
        if keys:
            await self.ask(*([("UNLINK", key) for key in keys] if self.to_shard else [("UNLINK", *keys)]))

    async def acknowledged(self, *, within_s: float = TIMEOUT_S) -> None:
        """Wait until enough replicas have everything written over this connection. Raises TooFewReplicas."""
        if not self._replicas:
            return
        waiting: Command = ("WAIT", self._replicas, max(1, int(within_s * 1000)))
        (reached,) = await self.ask(waiting, within_s=within_s + TIMEOUT_S)
        if not isinstance(reached, int) or reached < self._replicas:
            raise TooFewReplicas(
                f"{reached or 0!r} of the {self._replicas} replicas that DNC_REPLICAS requires have the change"
                f"{self.where}; the worker tries again"
            )

    async def _reply(self) -> Reply:
        try:
            reply: Reply = await self._connection.read_response(timeout=math.inf)
        except ResponseError as error:
            return error
        return reply


def on_shard(first_slot: int | None) -> str:
    """Return the words that name a shard by its lowest slot, to follow a fact; empty outside a cluster."""
    return "" if first_slot is None else f" on the shard from slot {first_slot}"


@contextmanager
def translated_errors(prefix: str, url: str = "", where: str = "") -> Iterator[None]:
    """Turn connection errors into RedisUnavailable, with `prefix` before the cause.

    `url` is given while a connection is being opened, for `unreachable`. `where` is as in `Wire`.
    """
    try:
        yield
    except TimeoutError:
        raise RedisSilent(f"Redis did not answer in time{where}") from None
    except BusyLoadingError as error:
        raise RedisRefused(f"Redis refused{where}: {error_reply(error)}") from None
    except (RedisError, OSError, NoMaster, UnicodeError) as error:
        raise RedisUnavailable(f"{prefix}{unreachable(url, error)}") from error


def _script_arguments(commands: Iterable[Command]) -> Iterator[str | bytes | int]:
    """Yield the arguments of `BATCH_SCRIPT`. An SADD or SREM with many members is split; the result is the same."""
    for command in commands:
        head, members = command[:2], command[2:]
        many = command[0] in {"SADD", "SREM"} and len(members) > WORDS_AT_ONCE
        for some in batches(members, WORDS_AT_ONCE) if many else [members]:
            yield len(head) + len(some)
            yield from head
            yield from some


def words(reply: Reply) -> list[bytes]:
    """Return the strings in a reply that is an array; values of other types are left out."""
    return [word for word in reply if isinstance(word, bytes)] if isinstance(reply, list) else []


def _accepted(replies: list[Reply], where: str) -> list[Reply]:
    """Return the replies. Raises RedisRefused when one of them is an error; `where` is as in `Wire`."""
    for reply in replies:
        if isinstance(reply, ResponseError):
            raise RedisRefused(f"Redis refused{where}: {error_reply(reply)}")
    return replies
