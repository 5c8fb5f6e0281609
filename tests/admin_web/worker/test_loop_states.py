"""The worker's readiness: which loops work, and which of them calls depend on."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import ClientSession

from admin_web.record.database import Database
from admin_web.worker.loop_states import STALLED_S, LoopState, LoopStates
from lab.process import free_port
from lab.redis import RedisServer
from tests.support.programs import Program
from tests.support.projection import World

NEEDED = ("redis", "projection", "archive")


def working(*names: str) -> LoopStates:
    loops = LoopStates()
    for name in names:
        loops.of(name).succeed()
    return loops


@pytest.mark.parametrize(
    ("names", "doubts"),
    [
        (NEEDED, []),
        ((*NEEDED, "projection of slot 5461"), []),
        (("redis", "archive"), ["projection: not run yet"]),
        ((), ["redis: not run yet", "projection: not run yet", "archive: not run yet"]),
    ],
)
def test_a_worker_is_ready_when_every_loop_that_calls_depend_on_has_run(names: tuple[str, ...], doubts: list[str]):
    assert list(working(*names).doubts()) == doubts


@pytest.mark.parametrize("name", [*NEEDED, "projection of slot 5461", "archive of slot 0"])
def test_a_failure_of_a_needed_loop_is_told_without_its_text_and_ends_with_the_next_success(name: str):
    loops = working(*NEEDED)
    state = loops.of(name)
    state.fail(OSError("Error 111 connecting to 10.0.0.7:6379"))
    assert list(loops.doubts()) == [f"{name}: delayed; the log of the worker says why"]
    state.succeed()
    assert list(loops.doubts()) == []


@pytest.mark.parametrize("name", ["webhooks", "call details", "jobs: import", "retention", "registries"])
def test_other_loops_make_a_worker_not_unready(name: str):
    loops = working(*NEEDED)
    loops.of(name).fail(OSError("no"))
    assert list(loops.doubts()) == []


def test_a_needed_loop_that_hangs_counts_as_stalled():
    now = 0.0
    state = LoopState("projection", lambda: now)
    state.succeed()
    now = STALLED_S
    assert state.doubt == ""
    now += 1
    assert state.doubt == "projection: no step has ended for 31 s"


def test_a_loop_of_a_shard_that_is_gone_is_forgotten():
    loops = working(*NEEDED)
    loops.of("projection of slot 5461").fail(OSError("no"))
    loops.forget("projection of slot 5461")
    assert list(loops.doubts()) == []


def test_consecutive_failures_wait_longer_and_one_is_logged_once():
    state = LoopState("webhooks")
    assert [state.fail(OSError("no")) for _ in range(7)] == [0.1, 0.2, 0.5, 1.0, 2.0, 2.0, 2.0]
    state.succeed()
    assert state.fail(OSError("no")) == 0.1


@pytest.mark.parametrize("name", ["archive", "archive of slot 5461"])
def test_the_archive_is_tried_again_within_half_a_second_however_often_it_failed(name: str):
    state = LoopState(name)
    assert [state.fail(OSError("no")) for _ in range(7)] == [0.1, 0.2, *[0.5] * 5]


async def test_a_worker_answers_on_its_port_while_redis_is_away(
    database: Database, database_url: str, redis_server: RedisServer, short_path: Path
):
    async with World(database, redis_server) as world:
        await world.projection.rebuild()
    port = free_port()
    environment = {
        "DNC_DATABASE_URL": database_url,
        "DNC_REDIS_URL": redis_server.url,
        "DNC_DATA_DIR": str(short_path),
        "DNC_WORKER_BIND": f"127.0.0.1:{port}",
    }
    async with ClientSession(f"http://127.0.0.1:{port}") as http:

        async def status() -> tuple[int, str]:
            try:
                async with http.get("/readyz") as answer:
                    return answer.status, await answer.text()
            except OSError:
                return 0, ""

        with Program("admin_web", ["worker"], short_path / "worker.log", environment):
            async with asyncio.timeout(60):
                while (await status())[0] != 200:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.01)
                redis_server.kill()
                while (await status())[0] != 503:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.01)
            said = (await status())[1]
            assert "the log of the worker says why" in said
            assert str(redis_server.directory) not in said
