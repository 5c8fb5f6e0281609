"""The Redis of the projection, reached: one connection at a time, each failure named."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Self, TypeAlias

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import RedisError, ResponseError

from admin_web.projection.pools import Pools
from admin_web.services.records import NotInForce
from compliance.redis_url import Master, NoMaster, without_secrets

Command: TypeAlias = tuple[str | bytes | int, ...]
Reply: TypeAlias = "bytes | int | ResponseError | list[Reply] | None"

TIMEOUT_S = 1.0
"""Seconds for one exchange with Redis. Whoever writes holds up everybody else who wants to: it must not be long."""


class StoreUnavailable(NotInForce):
    """Redis could not be asked, or did not answer in time; the message says which."""


class StoreRefused(StoreUnavailable):
    """Redis answered with an error; the message is its own words."""


class StoreMoved(StoreUnavailable):
    """Somebody else wrote to the projection between our look at it and our write, so nothing was written."""


class TooFewReplicas(StoreUnavailable):
    """What was written could be lost with the master; whoever wrote it writes it again."""


class Wire:
    """One connection to `master`. Whatever is in doubt after a failure is settled by closing it; it never reconnects.

    `replicas` must have what is written before it counts as kept.
    """

    def __init__(self, connection: AbstractConnection, master: Master, replicas: int = 0) -> None:
        self._connection = connection
        self.master, self._replicas = master, replicas
        self.watching = False

    async def exchange(self, commands: Iterable[Command], *, within_s: float = TIMEOUT_S) -> list[Reply]:
        """Send commands in one write; give the reply to each, an error in its place. Raises StoreUnavailable."""
        packed = [pack_command(command) for command in commands]  # type: ignore[arg-type]
        if packed and not self._connection.is_connected:  # A new connection would not know what this one watched.
            raise StoreUnavailable("the connection to Redis broke")
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
        *queued, done = await self.exchange([("MULTI",), *commands, ("EXEC",)])
        self.watching = False
        _accepted(queued)  # An error here, such as OOM, makes EXEC discard them all; it names the cause.
        if done is None:
            raise StoreMoved("the projection changed under the write; it is tried again")
        if not isinstance(done, list):
            raise StoreRefused(str(done))
        return _accepted(done)

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

    `replicas` as in the settings: see `Wire.acknowledged`.
    """

    def __init__(self, url: str, replicas: int = 0) -> None:
        self.shown = without_secrets(url)
        self._replicas = replicas
        try:
            self._pools = Pools(url, TIMEOUT_S)
        except ValueError as error:
            raise StoreUnavailable(f"DNC_REDIS_URL: {self.shown}: {error}") from None

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        """Open a connection, or take one that is free, for the length of a block. Raises StoreUnavailable."""
        whole = False
        with _named(f"no usable Redis at {self.shown}: "):
            async with asyncio.timeout(TIMEOUT_S):
                master, pool = await self._pools.current()
                connection = await self._connection(pool)
        wire = Wire(connection, master, self._replicas)
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


@contextmanager
def _named(doing: str) -> Iterator[None]:
    """Turn what goes wrong on a connection into StoreUnavailable."""
    try:
        yield
    except TimeoutError:
        raise StoreUnavailable("Redis did not answer in time") from None
    except (RedisError, OSError, NoMaster) as error:
        raise StoreUnavailable(f"{doing}{error}") from error


def words(reply: Reply) -> list[bytes]:
    """Read a reply that is an array of strings; whatever else is in it is left out."""
    return [word for word in reply if isinstance(word, bytes)] if isinstance(reply, list) else []


def _accepted(replies: list[Reply]) -> list[Reply]:
    """Give the replies back. Raises StoreRefused when one of them is an error."""
    for reply in replies:
        if isinstance(reply, ResponseError):
            raise StoreRefused(f"Redis refuses: {reply}")
    return replies
