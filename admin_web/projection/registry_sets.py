"""Whole exchanges of registries, written to a generation that is being built, and counted by Redis itself.

RESTORE hands Redis the very bytes that it keeps: it is several times faster than SADD with thousands of members, and
a fifth of that in the append-only file. Where it is refused, by a hosted Redis or another program, SADD does the same.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from redis.exceptions import ResponseError

from admin_web.projection.store import Command, RedisRefused, Reply, Wire
from admin_web.record.lines import Lines, dump, unpack
from compliance.redis_schema import listed_key

AT_ONCE = 100
"""Exchanges that one transaction of Redis takes, half a megabyte: it serves nobody else for one or two milliseconds,
and, with `appendfsync always`, brings them to the disk together."""


class Exchange(NamedTuple):
    """An exchange, the key of its set, and the line numbers that belong in it."""

    exchange: str
    key: str
    lines: Lines


def exchanges_of(generation: int, list_name: str, kept: Sequence[tuple[str, bytes]]) -> list[Exchange]:
    """Spell what SQL keeps of some exchanges as sets of a generation."""
    return [Exchange(exchange, listed_key(generation, list_name, exchange), unpack(lines)) for exchange, lines in kept]


class RegistryWriter:
    """Writes sets over one connection."""

    def __init__(self, wire: Wire, within_s: float) -> None:
        self._wire, self._within_s = wire, within_s
        self.restores = True

    async def write(self, sets: Sequence[Exchange]) -> int:
        """Write sets that are not there yet; give how many numbers Redis says they have. Raises StoreUnavailable."""
        if self.restores:
            replies = await self._transact([_restored(one) for one in sets], sets)
            if isinstance(replies, list) and not any(isinstance(reply, ResponseError) for reply in replies):
                return _sum(replies[len(sets) :])
            self.restores = False
        replies = await self._transact([_added(one) for one in sets], sets)
        if isinstance(replies, list):
            return _sum(replies[len(sets) :])
        raise RedisRefused(f"Redis refuses: {replies!s}")

    async def _transact(self, writes: Sequence[Command], sets: Sequence[Exchange]) -> Reply:
        counting: Iterator[Command] = (("SCARD", one.key) for one in sets)
        if self._wire.to_shard:  # The sets are in many slots; nobody reads them yet.
            return await self._wire.exchange([*writes, *counting], within_s=self._within_s)
        *_, done = await self._wire.exchange([("MULTI",), *writes, *counting, ("EXEC",)], within_s=self._within_s)
        return done


def _restored(one: Exchange) -> Command:
    return "RESTORE", one.key, 0, dump(one.lines)


def _added(one: Exchange) -> Command:
    return "SADD", one.key, *one.lines.tolist()


def _sum(replies: Sequence[Reply]) -> int:
    """Add up what SCARD said. Raises RedisRefused."""
    counted = [reply for reply in replies if isinstance(reply, int)]
    if len(counted) < len(replies):
        raise RedisRefused(f"Redis refuses: {next(reply for reply in replies if not isinstance(reply, int))!s}")
    return sum(counted)
