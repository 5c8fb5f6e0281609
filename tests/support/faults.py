"""Faults on real engines: processes that die between two steps, and commands that reach Redis late."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Self

from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.projection.store import Store
from admin_web.projection.wire import TIMEOUT_S, Command, Reply, Wire
from admin_web.record.database import Database


class Killed(BaseException):
    """The process has died. No `except Exception` can clean up after it."""


class Fuse:
    """Kills the process at one step, given by number (from 0) or by name, such as `before SADD` or `after commit`.

    There is a step before and one after each effect, named after its last command.
    """

    def __init__(self, at: int | str | None = None) -> None:
        self.at, self.steps = at, 0

    async def step(self, name: str) -> None:
        if self.at in {self.steps, name}:
            self.at = None
            await self.blow()
        self.steps += 1

    async def blow(self) -> None:
        raise Killed


class Meanwhile(Fuse):
    """Runs another action at step `at`. An action that takes longer than `within_s`, as for the turn, ends later."""

    def __init__(self, at: int | str, what: Callable[[], Awaitable[None]], within_s: float = 0.1) -> None:
        super().__init__(at)
        self._what, self._within_s = what, within_s
        self.happening: asyncio.Task[None] | None = None

    async def blow(self) -> None:
        self.happening = asyncio.ensure_future(self._what())
        await asyncio.wait({self.happening}, timeout=self._within_s)


class MortalWire(Wire):
    """Dies before a command is sent, or after Redis has executed it."""

    fuse: Fuse

    async def exchange(self, commands: Iterable[Command], *, within_s: float = TIMEOUT_S) -> list[Reply]:
        commands = list(commands)
        name = next((str(command[0]) for command in reversed(commands)), "nothing")
        await self.fuse.step(f"before {name}")
        replies = await super().exchange(commands, within_s=within_s)
        await self.fuse.step(f"after {name}")
        return replies


class MortalStore(Store):
    def __init__(self, url: str, fuse: Fuse) -> None:
        super().__init__(url)
        self._fuse = fuse

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        async with super().wire() as wire:
            wire.__class__ = MortalWire
            wire.fuse = self._fuse
            yield wire


class MortalDatabase:
    """A database whose user dies before or after a commit."""

    def __init__(self, database: Database, fuse: Fuse) -> None:
        self._database, self._fuse = database, fuse

    def read(self):
        return self._database.read()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        async with self._database.write() as session:
            yield session
            await self._fuse.step("before commit")
        await self._fuse.step("after commit")


class LateProxy:
    """A proxy in front of Redis. It can hold back what a client sends until the client has given up."""

    def __init__(self, redis_socket: Path, directory: Path) -> None:
        self._redis_socket, self.socket = redis_socket, directory / "late.sock"
        self._hold = b""
        self._held: list[tuple[asyncio.StreamWriter, bytes]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    def hold(self, what: bytes) -> None:
        """Hold back the next data that contains `what`, and all later data on that connection."""
        self._hold = what

    async def release(self) -> None:
        """Send the data that was held back to Redis, as if the network had delayed it."""
        assert self._held, "nothing was held back"
        for redis, data in self._held:
            redis.write(data)
            await redis.drain()
        self._held = []
        await asyncio.sleep(0.05)  # After this, Redis reads it before any later request.

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_redis, to_redis = await asyncio.open_unix_connection(self._redis_socket)
        self._writers += [writer, to_redis]
        back = asyncio.create_task(self._copy_back(from_redis, writer))
        self._tasks |= {back, asyncio.current_task()}
        holding = False
        while data := await reader.read(1 << 20):
            if holding or (self._hold and self._hold in data):
                self._hold, holding = b"", True
                self._held.append((to_redis, data))
            else:
                to_redis.write(data)
                await to_redis.drain()
        if not holding:
            to_redis.close()

    @staticmethod
    async def _copy_back(from_redis: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await from_redis.read(1 << 20):
                writer.write(data)
                await writer.drain()
        writer.close()

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, self.socket)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
