"""`dnc-admin rebuild` and `dnc-admin verify`, as an operator runs them: their output and exit codes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import delete

from admin_web.cli.projection import rebuild
from admin_web.lists.registries.following import standing
from admin_web.projection.projection import Projection
from admin_web.projection.wire import RedisUnavailable
from admin_web.record.changes import IN_FORCE
from admin_web.record.database import Database
from admin_web.record.models import SuppressionEntry
from compliance.redis_schema import MARK, MARK_BEFORE, STATE, listed_key
from compliance.redis_url import NO_SOCKET
from lab.redis import RedisServer
from tests.support.programs import run
from tests.support.projection import World

LISTED, OTHER = "+14155550100", "+14155550199"


class Shell(World):
    """A record, a Redis, and an operator at the shell."""

    def __init__(self, database: Database, server: RedisServer, url: str, directory: Path) -> None:
        super().__init__(database, server)
        self.environment = {"DNC_DATABASE_URL": url, "DNC_REDIS_URL": server.url, "DNC_DATA_DIR": str(directory)}

    def run(self, *words: str, **settings: str) -> tuple[int, str, str]:
        """Run one command; return its exit code, standard output and standard error."""
        ended = run("admin_web", words, {**self.environment, **settings}, within_s=60)
        return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture
async def shell(
    database: Database, database_url: str, redis_server: RedisServer, short_path: Path
) -> AsyncIterator[Shell]:
    async with Shell(database, redis_server, database_url, short_path) as shell:
        await shell.suppress(LISTED)
        yield shell


async def test_rebuild_tells_its_progress_and_what_is_live_and_sweeps(shell: Shell):
    assert shell.run("rebuild")[0] == 0
    code, out, err = shell.run("rebuild")
    assert code == 0
    assert out.startswith("Generation 2 is live after ")
    assert out.endswith("s: 1 on internal.\n")
    assert "numbers: 1 of 1" in err.splitlines()
    assert await shell.keys() == ["dnc:2:internal:{1415555}"]
    assert not shell.gate.allows(LISTED)


async def test_verify_says_that_nothing_differs(shell: Shell):
    await shell.projection.rebuild()
    code, out, _ = shell.run("verify")
    assert (code, out) == (0, "SQL holds 1 number and 0 live overrides.\nNo difference.\n")


async def test_verify_names_what_differs_the_dangerous_first_and_ends_with_code_1(shell: Shell):
    await shell.projection.rebuild()
    key = listed_key(1, "internal", "1415555")
    shell.redis.srem(key, 100)
    shell.redis.sadd(key, 199)
    shell.redis.hset(STATE, "count:internal", 5)
    code, out, _ = shell.run("verify")
    assert code == 1
    assert out.splitlines()[1:] == [
        f"DANGER: 1 listed in SQL, not in Redis: {LISTED} on internal",
        f"differs: 1 listed in Redis, not in SQL: {OTHER} on internal",
        "differs: Redis counts 5 numbers on internal, SQL 1",
        "Run `dnc-admin rebuild` to put it right.",
    ]


async def test_verify_says_when_there_is_no_projection(shell: Shell):
    code, out, _ = shell.run("verify")
    assert code == 1
    assert "DOUBT" in out
    assert "no-state" in out


async def test_verify_tells_of_changes_that_are_not_in_force_yet(shell: Shell):
    await shell.projection.rebuild()
    await shell.suppress(OTHER)
    code, out, _ = shell.run("verify")
    assert code == 3
    assert "1 change is recorded and not yet in force" in out


async def test_a_rebuild_that_is_live_is_no_failure_though_redis_goes_away_before_the_sweep(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    async def away(_: Projection) -> int:
        raise RedisUnavailable("no Redis")

    for name, value in shell.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Projection, "sweep", away)
    await asyncio.to_thread(rebuild)
    assert "Generation 1 is live" in capsys.readouterr().out
    assert await standing(shell.projection, lambda *_: None) == IN_FORCE


async def test_a_rebuild_that_is_refused_is_one_line_and_code_2_until_it_is_allowed(shell: Shell):
    await shell.suppress_many([f"+1415{line:07}" for line in range(2_000_000, 2_000_200)])
    await shell.projection.rebuild()
    async with shell.database.write() as session:
        await session.execute(delete(SuppressionEntry))
    code, out, err = shell.run("rebuild")
    assert (code, out) == (2, "")
    assert "not rebuilt: the company's own list would shrink from 201 to 0 numbers" in err.splitlines()[-1]
    assert not shell.gate.allows(LISTED)
    assert shell.run("rebuild", "--allow-drop")[0] == 0
    assert shell.gate.allows(LISTED)


async def test_a_redis_of_another_database_is_thrown_away_only_by_its_mark(shell: Shell):
    await shell.projection.rebuild()
    assert "nothing to throw away" in shell.run("rebuild", "--discard", "0123456789abcdef")[2]
    shell.redis.hset(STATE, mapping={MARK: "ab" * 8, MARK_BEFORE: "cd" * 8})
    code, _, err = shell.run("rebuild")
    assert code == 2
    assert "abababababababab" in err
    assert "(other-history)" in shell.run("verify")[1]
    code, _, err = shell.run("rebuild", "--discard", "0123456789abcdef")
    assert (code, "Nothing was thrown away" in err) == (2, True)
    assert shell.run("rebuild", "--discard", "abababababababab")[0] == 0
    assert "No difference." in shell.run("verify")[1]


@pytest.mark.parametrize("command", ["rebuild", "verify"])
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"DNC_REDIS_URL": "unix:///no/r.sock"}, f"no usable Redis at unix:///no/r.sock: {NO_SOCKET}"),
        ({"DNC_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, "DNC_DATABASE_URL"),
    ],
)
async def test_an_engine_that_is_not_there_is_one_line_and_code_2(shell: Shell, command, settings, said):
    code, out, err = shell.run(command, **settings)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("dnc-admin: ")
    assert said in line
