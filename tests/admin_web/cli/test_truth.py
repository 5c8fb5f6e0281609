"""Exit codes and last lines of commands that change something, when Redis or SQL goes away at each step.

0 says recorded and in force, 3 recorded and not yet in force, 2 that nothing was changed, or it says what stays.
"""

import asyncio
import os
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
import redis as redis_client

from admin_web.cli.program import OPERATOR_ERRORS, command_line
from admin_web.projection.projection import Projection
from admin_web.record.database import Database, DatabaseUnavailable
from admin_web.settings import AdminSettings
from compliance.command_line import invoke
from lab.redis import RedisServer
from tests.support.samples import PDF

ATTESTED = ("--basis", "signed-consent", "--consented-on", "2026-01-02", "--document", "c.pdf", "--attest")
GRANT = ("override", "grant", "--lead", "L-1", "--number", "+14155550100", *ATTESTED)
LISTED = ("suppress", "+14155550100", "--asked-on", "2020-01-01")
USER = ("user", "add", "ann", "--role", "admin")
WHY = ("--reason", "x")


@dataclass(frozen=True)
class Case:
    """A command that changes something, the commands before it, and whether the change must reach Redis."""

    words: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    projected: bool = True

    def __str__(self) -> str:
        return " ".join(word for word in self.words[:2] if word.isascii())


CASES = (
    Case(("suppress", "+14155550100")),
    Case(("suppress", "+14155550100", "--until", "2099-01-01")),
    Case(("lift", "+14155550100", *WHY), (LISTED,)),
    Case(("withdraw-request", "1", *WHY), (LISTED,), projected=False),
    Case(GRANT, (LISTED,)),
    Case(("override", "revoke", "1", *WHY), (LISTED, GRANT)),
    Case(("lead", "add", "L-1", "+14155550100"), projected=False),
    Case(("lead", "change", "L-1", "--number", "+14155550101"), (LISTED, GRANT)),
    Case(("import", "internal", "list.txt")),
    Case(("import", "leads", "leads.csv"), projected=False),
    Case(("import", "campaign-list", "spring", "list.txt"), (("campaign-list", "add", "spring", "--campaigns", "x"),)),
    Case(("import", "us-ftc", "registry.txt")),
    Case(("undo", "import", "1", *WHY, "--yes"), (("import", "internal", "list.txt"),)),
    Case(("undo", "entries", "list.txt", *WHY, "--yes"), (("import", "internal", "list.txt"),)),
    Case(("pattern", "add", "+1415", *WHY, "--yes")),
    Case(("pattern", "lift", "+1415", *WHY), (("pattern", "add", "+1415", *WHY, "--yes"),)),
    Case(("campaign-list", "add", "spring", "--campaigns", "x")),
    Case(
        ("campaign-list", "set", "spring", "--campaigns", "y"),
        (("campaign-list", "add", "spring", "--campaigns", "x"),),
    ),
    Case(("registry", "add", "us-ftc")),
    Case(("registry", "set", "us-ftc", "--fresh-days", "9"), (("registry", "add", "us-ftc"),)),
    Case(USER, projected=False),
    Case(("user", "password", "ann"), (USER,), projected=False),
    Case(
        ("user", "disable", "ann", "--revoke-tokens"),
        (USER, ("user", "add", "bob", "--role", "admin")),
        projected=False,
    ),
    Case(("token", "make", "crm", "--scope", "read"), (USER,), projected=False),
    Case(("token", "revoke", "crm"), (USER, ("token", "make", "crm", "--scope", "read")), projected=False),
    Case(("seed-demo",)),
)


SEVERAL_STEPS = {
    "suppress +14155550100",
    "import internal",
    "import leads",
    "import us-ftc",
    "undo import",
    "user disable",
}
OUTAGES = [*((case, True) for case in CASES), *((case, False) for case in CASES if str(case) in SEVERAL_STEPS)]
"""Each command while SQL is away from some moment on, and those with several steps also while it is away once."""


@dataclass
class Said:
    """Result of a command."""

    code: int
    out: str
    err: str


@dataclass
class Outage:
    """SQL is away at the beginning of the transaction with the number `at`, once or from then on."""

    at: int = -1
    for_good: bool = False
    begun: int = 0

    @asynccontextmanager
    async def around(self, opened) -> AsyncIterator[object]:
        number, self.begun = self.begun, self.begun + 1
        gone = number == self.at or (self.for_good and number > self.at >= 0)
        if gone:
            raise DatabaseUnavailable("database x: locked", "nothing was changed; try again")
        async with opened as session:
            yield session


class Shell:
    """Runs commands in this process, on an SQLite file of their own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: Path) -> None:
        self._patch, self._capsys, self._path = monkeypatch, capsys, path

    def __call__(self, words: tuple[str, ...]) -> Said:
        try:
            self._patch.setattr(sys, "argv", ["dnc-admin", *words])
            code = invoke(command_line(words), "dnc-admin")
        except OPERATOR_ERRORS as error:
            code, said = 2, self._capsys.readouterr()
            return Said(code, said.out, f"{said.err}{error}\n")
        said = self._capsys.readouterr()
        return Said(int(code or 0), said.out, said.err)

    def saved(self, copy: Path) -> Path:
        """Copy the database, with what its journal still holds."""
        with closing(sqlite3.connect(self._path)) as here, closing(sqlite3.connect(copy)) as there:
            here.backup(there)
        return copy

    def restore(self, copy: Path) -> None:
        """Replace the database. A journal of the one before would be replayed into it."""
        for file in self._path.parent.glob(f"{self._path.name}*"):
            file.unlink()
        shutil.copy(copy, self._path)

    def recorded(self) -> int:
        """Return the number of changes on record: each has an audit event."""
        with closing(sqlite3.connect(self._path)) as connection:
            return int(connection.execute("SELECT count(*) FROM audit_events").fetchone()[0])

    def pending(self) -> int:
        with closing(sqlite3.connect(self._path)) as connection:
            return int(connection.execute("SELECT count(*) FROM outbox WHERE applied_at IS NULL").fetchone()[0])


@pytest.fixture
def shell(monkeypatch, capsys, tmp_path, sqlite_template) -> Shell:
    """Commands on a migrated SQLite file, with the files that they need, without Redis."""
    for name in [name for name in os.environ if name.startswith("DNC_")]:
        monkeypatch.delenv(name)
    path = tmp_path / "dnc.sqlite3"
    shutil.copy(sqlite_template, path)
    monkeypatch.setenv("DNC_DATABASE_URL", f"sqlite:///{path}")
    monkeypatch.setenv("DNC_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DNC_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_text("+14155550100\n+14155550101\n")
    Path("leads.csv").write_text("lead,number\nL-9,+14155550100\n")
    Path("registry.txt").write_text("415,5550100\n")
    Path("c.pdf").write_bytes(PDF)
    return Shell(monkeypatch, capsys, path)


@pytest.fixture
def prepared(shell: Shell) -> Callable[[Case], None]:
    def prepare(case: Case) -> None:
        for words in case.before:
            assert shell(words).code in {0, 3}, words

    return prepare


def suffer(monkeypatch: pytest.MonkeyPatch, outage: Outage) -> None:
    """Let the transactions of every database fail as `outage` says."""
    write, read = Database.write, Database.read
    monkeypatch.setattr(Database, "read", lambda self: outage.around(read(self)))
    monkeypatch.setattr(Database, "write", lambda self: outage.around(write(self)))


def judge(shell: Shell, case: Case, said: Said, before: int) -> None:
    """Compare the exit code and the last line with what is on record."""
    recorded, last = shell.recorded() - before, (said.out.splitlines() or [""])[-1]
    assert "Traceback" not in said.err, said
    match said.code:
        case 0:
            assert recorded, said
            assert not (case.projected and shell.pending()), said
            assert "not yet in force" not in last, said
        case 3:
            assert recorded, said
            assert "recorded, not yet in force: " in last, said
            assert not any(word in last for word in ("nothing was changed", "try again")), said
        case 2:
            stays = "what was recorded so far stays; run the command again to complete it" in said.err
            assert stays == bool(recorded), said
        case code:
            pytest.fail(f"exit code {code}: {said}")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_without_redis_a_command_ends_with_3_if_its_change_must_reach_redis(shell, prepared, case):
    prepared(case)
    before = shell.recorded()
    said = shell(case.words)
    assert said.code == (3 if case.projected else 0), said
    judge(shell, case, said, before)


@pytest.fixture
def in_force(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Returns a function that brings the record into force in an empty Redis."""
    monkeypatch.setenv("DNC_REDIS_URL", redis_server.url)

    async def rebuild() -> None:
        settings = AdminSettings.load()
        async with Database(settings.database) as database, Projection(database, settings) as projection:
            await projection.rebuild(allow_drop=True)

    def bring() -> None:
        with redis_client.Redis(unix_socket_path=str(redis_server.socket)) as client:
            client.flushall()
        asyncio.run(rebuild())

    return bring


@pytest.mark.exhaustive
@pytest.mark.parametrize(("case", "for_good"), OUTAGES, ids=str)
def test_whenever_sql_goes_away_a_command_says_what_is_on_record(
    shell, prepared, case, for_good, in_force, monkeypatch, tmp_path
):
    prepared(case)
    in_force()
    kept = shell.saved(tmp_path / "kept.sqlite3")
    codes = set[int]()
    for at in count():
        shell.restore(kept)
        in_force()
        before, outage = shell.recorded(), Outage(at, for_good=for_good)
        with monkeypatch.context() as patch:
            suffer(patch, outage)
            said = shell(case.words)
        judge(shell, case, said, before)
        codes.add(said.code)
        if outage.begun <= at:
            break
    assert {0, 2} <= codes
