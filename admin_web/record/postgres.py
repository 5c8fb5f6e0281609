"""PostgreSQL connections for the system of record, directly or through a pooler such as PgBouncer.

The operator's parameters win over the defaults here. The settings that this program needs are set after connecting,
because the start-up packet's `options` belongs to the operator, and because poolers refuse it.

Behind a pooler, two transactions of one connection may run in two server processes. So every setting is then set for
each transaction, and no statement is prepared. PgBouncer before 1.21 cannot share prepared statements at all.
"""

import asyncio
from typing import Any

from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.errors import ConnectionTimeout
from sqlalchemy import Connection

from compliance.database_url import postgres_fields

Psycopg = AsyncConnection[Any]

DEFAULTS = {
    "application_name": "dnc-gate",
    # psycopg returns bytes for the texts of a database in SQL_ASCII unless the client has an encoding.
    "client_encoding": "UTF8",
    # These settings detect a vanished server within seconds. The kernel's default keepalive waits two hours (tcp(7)).
    "tcp_user_timeout": "10000",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
}


class Connector:
    """Opens connections to the database at `url`, each within `connect_s`. A lock is waited for `lock_s` seconds."""

    def __init__(self, url: str, connect_s: int, lock_s: float) -> None:
        given = {"connect_timeout": str(connect_s), **DEFAULTS, **postgres_fields(url)}
        self._connect_s = connect_s
        self._conninfo = make_conninfo("", **given)
        self._settings = {
            "lock_timeout": str(int(lock_s * 1000)),
            "timezone": "'UTC'",
            # One reason may occur in millions of decisions and another in ten. A generic plan ignores the value, so it
            # would be wrong for most reasons.
            "plan_cache_mode": "force_custom_plan",
        }

    async def connect(self) -> Psycopg:
        """Open a connection. Raises psycopg.Error."""
        connection = await AsyncConnection.connect(self._conninfo, autocommit=True)
        try:
            # A pooler accepts a client at once, but may answer only when a connection to the server is free.
            async with asyncio.timeout(self._connect_s):
                await self._set_up(connection)
        except TimeoutError:
            await connection.close()
            raise ConnectionTimeout("the server does not answer, or the pooler has no free connection") from None
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _set_up(self, connection: Psycopg) -> None:
        if await _is_pooled(connection):
            connection.prepare_threshold = None
        else:
            await connection.execute(self._statements("SET").encode())
        await connection.set_autocommit(False)

    def begin(self, connection: Connection) -> None:
        """Set everything for one transaction, if the connection is to a pooler."""
        opened = connection.connection.driver_connection
        if isinstance(opened, AsyncConnection) and opened.prepare_threshold is None:
            connection.exec_driver_sql(self._statements("SET LOCAL"))

    def _statements(self, verb: str) -> str:
        return "; ".join(f"{verb} {name} = {value}" for name, value in self._settings.items())


async def _is_pooled(connection: Psycopg) -> bool:
    """Return whether a pooler is in between: it announces a process id that is not that of the server process."""
    found = await (await connection.execute("SELECT pg_backend_pid()")).fetchone()
    return found is not None and found[0] != connection.info.backend_pid
