"""A private PgBouncer on loopback, in front of a private PostgreSQL, for tests. It requires no password."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from lab.postgres import SUPERUSER, PostgresServer, other_user, unprivileged
from lab.process import NotInstalled, Process, accepts, free_port


class PgBouncer:
    """A pooler for the databases of `server`, whose data is in `directory`. It pools per session or per transaction.

    `users` are the names that may connect; the pooler connects to PostgreSQL under the same name.
    """

    def __init__(self, directory: Path, server: PostgresServer, users: tuple[str, ...] = (SUPERUSER,)) -> None:
        self.directory, self._server, self._users = directory, server, users
        self.port = free_port()
        self.process: Process | None = None

    def url(self, database: str, user: str = SUPERUSER) -> str:
        """Return the URL of one database behind this pooler."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def start(self, pools: Mapping[str, tuple[str, int]]) -> Self:
        """Start PgBouncer. `pools` has the mode, `session` or `transaction`, and the size of each database's pool."""
        found = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
        if found is None:
            raise NotInstalled("No PgBouncer: install the package pgbouncer.")
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = f"host=127.0.0.1 port={self._server.port}"
        names = [f"{name} = {target} pool_mode={mode} pool_size={size}" for name, (mode, size) in pools.items()]
        users = self.directory / "users.txt"
        users.write_text("".join(f'"{user}" ""\n' for user in self._users))
        config = self.directory / "pgbouncer.ini"
        options = ["[pgbouncer]", "listen_addr = 127.0.0.1", f"listen_port = {self.port}", "unix_socket_dir ="]
        options += ["auth_type = trust", f"auth_file = {users}"]
        config.write_text("\n".join(["[databases]", *names, *options, ""]))
        command = unprivileged()
        if command:  # Like PostgreSQL, PgBouncer refuses to run as root.
            for path in (self.directory, users, config):
                shutil.chown(path, other_user().pw_uid, other_user().pw_gid)
        self.process = Process([*command, found, config], self.directory / "pgbouncer.log")
        self.process.wait_until(lambda: accepts(("127.0.0.1", self.port)))
        return self

    def stop(self) -> None:
        """Stop PgBouncer if it is running."""
        if self.process is not None:
            self.process.kill()
