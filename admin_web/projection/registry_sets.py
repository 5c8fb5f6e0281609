"""Writes exchanges of registries to a generation that is being built, and lets Redis count them.

RESTORE sends the bytes in the form in which Redis stores them. It is several times faster than SADD with thousands of
members, and takes a fifth of the space in the append-only file. Where a server refuses RESTORE, SADD is used.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from redis.exceptions import ResponseError

from admin_web.projection.wire import Command, RedisRefused, Reply, Wire
from admin_web.record.lines import Lines, dump, unpack
from compliance.redis_connection import error_reply
from compliance.redis_schema import listed_key

AT_ONCE = 100
"""Exchanges in one transaction of Redis: half a megabyte. Such a transaction takes one or two milliseconds, during
which Redis serves no other client. With `appendfsync always` it costs one fsync.
"""


class Exchange(NamedTuple):
    """An exchange, the key of its set in Redis, and the line numbers of that set."""

    exchange: str
    key: str
    lines: Lines


def exchanges_of(generation: int, list_name: str, kept: Sequence[tuple[str, bytes]]) -> list[Exchange]:
    """Decode exchanges from SQL into the sets of a generation."""
    return [Exchange(exchange, listed_key(generation, list_name, exchange), unpack(lines)) for exchange, lines in kept]


class RegistryWriter:
    """Writes sets over one connection. It uses RESTORE until the server refuses that command, then SADD."""

    def __init__(self, wire: Wire, within_s: float) -> None:
        self._wire, self._within_s = wire, within_s
        self.restores = True

    async def write(self, sets: Sequence[Exchange]) -> int:
        """Write sets that do not exist yet. Returns how many numbers Redis counts in them. Raises RedisUnavailable."""
        if self.restores:
            replies = await self._transact([_restored(one) for one in sets], sets)
            if isinstance(replies, list) and not any(isinstance(reply, ResponseError) for reply in replies):
                return _sum(replies[len(sets) :])
            self.restores = False
        replies = await self._transact([_added(one) for one in sets], sets)
        if isinstance(replies, list):
            return _sum(replies[len(sets) :])
        shown = error_reply(replies) if isinstance(replies, Exception) else repr(replies)
        raise RedisRefused(f"Redis refused{self._wire.where}: {shown}")

    async def _transact(self, writes: Sequence[Command], sets: Sequence[Exchange]) -> Reply:
        counting: Iterator[Command] = (("SCARD", one.key) for one in sets)
        # In a cluster the sets are in many slots, and MULTI allows only one. Without MULTI only some of the sets may be
        # written, but no process reads them before the flip.
        if self._wire.to_shard:
            return await self._wire.exchange([*writes, *counting], within_s=self._within_s)
        *_, done = await self._wire.exchange([("MULTI",), *writes, *counting, ("EXEC",)], within_s=self._within_s)
        return done


def _restored(one: Exchange) -> Command:
    return "RESTORE", one.key, 0, dump(one.lines)


def _added(one: Exchange) -> Command:
    return "SADD", one.key, *one.lines.tolist()


def _sum(replies: Sequence[Reply]) -> int:
    """Add up the replies to SCARD. Raises RedisRefused if one is an error."""
    counted = [reply for reply in replies if isinstance(reply, int)]
    if len(counted) < len(replies):
        raise RedisRefused(f"Redis refused: {next(reply for reply in replies if not isinstance(reply, int))!s}")
    return sum(counted)
