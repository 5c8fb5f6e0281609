"""Open a connection to the master: find it, check the server, and send the first commands."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from agi_gate.store.mastership import Mastership
from agi_gate.store.pipe import Pipe
from agi_gate.store.wire import CONNECTOR, Command, exchange
from compliance.redis_masters import Master


class Opened(NamedTuple):
    """An open connection to `master`. `server` is the incarnation of the server."""

    master: Master
    server: str
    pipe: Pipe


@asynccontextmanager
async def open_pipe(mastership: Mastership, opening: Sequence[Command], within_s: float) -> AsyncIterator[Opened]:
    """Yield a connection to the master, open until the context ends. `opening` are the first commands.

    Raises StoreUnavailable, RedisError, OSError, TimeoutError.
    """
    master = await mastership.locate()
    connection = CONNECTOR.connection(master.url, within_s)
    try:
        async with asyncio.timeout(within_s):
            server = await mastership.handshake(connection, master)
            await exchange(connection, opening)
        yield Opened(master, server, Pipe(connection))
    finally:
        await connection.disconnect(nowait=True)
