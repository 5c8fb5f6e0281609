"""A private PostgreSQL on loopback and a unix socket, for tests and benchmarks. It requires no password."""

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Self

import psycopg
from psycopg import sql

from lab.process import NotInstalled, NotStarted, Process, free_port

SUPERUSER = "dnc"
OTHER_USERS = ("postgres", "nobody")
"""If root starts the server, it runs as the first of these users that exists: PostgreSQL refuses to run as root."""


def postgres_binary(name: str) -> Path:
    """Return the path of a PostgreSQL program: from PATH, else from Debian's newest version. Raises NotInstalled."""
    if found := shutil.which(name):
        return Path(found)
    installed = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    if newest := max(installed, key=lambda path: float(path.parts[4]), default=None):
        return newest
    raise NotInstalled("No PostgreSQL server: install the package postgresql.")


class PostgresServer:
    """A PostgreSQL cluster in `directory`, created by the first start.

    If this process runs as root, the directory gets another owner, who must be able to reach it. `fsync=False` is for
    tests only: a power cut can then lose committed rows, but the crash of a process cannot.
    """

    def __init__(self, directory: Path, port: int = 0, *, fsync: bool = True) -> None:
        self.directory = directory
        self.port = port or free_port()
        self.fsync = fsync
        self.process: Process | None = None

    @property
    def running(self) -> Process:
        """The process that serves now."""
        if self.process is None:
            raise RuntimeError("this PostgreSQL has not been started")
        return self.process

    def url(self, database: str = "postgres") -> str:
        """Return the URL of one database of this server."""
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def start(self) -> Self:
        """Create the cluster if there is none, start the server, and wait until it accepts connections."""
        self._prepare()
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.directory.resolve()),
            "fsync": "on" if self.fsync else "off",
        }
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        command: list[str | Path] = [
            *unprivileged(),
            postgres_binary("postgres"),
            "-D",
            self._cluster,
            *words,
        ]
        self.process = Process(command, self.directory / "postgres.log", cwd=self.directory)
        self.process.wait_until(self._answers, within_s=30, every_s=0.05)
        return self

    def stop(self) -> None:
        """Stop the server if it is running, by SIGINT (fast shutdown). SIGTERM would wait for every client."""
        if self.process is not None:
            self.process.resume()
            self.process.signal(signal.SIGINT)
            self.process.stop()

    def create_database(self, name: str, template: str = "template1") -> str:
        """Create a database as a copy of `template`, and return its URL."""
        make = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(make.format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Close all connections to a database and drop it."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _cluster(self) -> Path:
        return self.directory.resolve() / "cluster"

    def _prepare(self) -> None:
        initdb = postgres_binary("initdb")
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.directory, other_user().pw_uid, other_user().pw_gid)
        if (self._cluster / "PG_VERSION").exists():
            return
        made = subprocess.run(  # noqa: S603 - the lab's own command
            [*unprivileged(), initdb, "-D", self._cluster, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8",
             "--locale=C", "--no-sync", "--no-instructions"],
            cwd=self.directory, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode != 0:
            raise NotStarted(f"{initdb}: {made.stderr.strip()}")

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


def other_user() -> pwd.struct_passwd:
    """Return the user as whom servers run if root starts them. Raises NotInstalled."""
    for name in OTHER_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NotInstalled(f"PostgreSQL refuses to run as root, and none of the users {', '.join(OTHER_USERS)} exists.")


def unprivileged() -> list[str]:
    """Return the command prefix that runs a program as another user; empty unless this process runs as root.

    `setpriv` keeps the process id. If a process changes its user, the kernel clears its parent-death signal (prctl(2),
    PR_SET_PDEATHSIG), so the prefix sets the signal again.
    """
    if os.geteuid() != 0:
        return []
    user = other_user()
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--pdeathsig", "INT", "--"]
