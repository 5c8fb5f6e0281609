"""The checker sees: a patch of the product breaks one promise in the real programs, and the checker reports it.

Without the patch, the same script reports nothing.
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.redis import RedisServer
from tests.faults.harness.patched.patches import PATCHES
from tests.faults.harness.scripted import ScriptedRun

NUMBER, FREE = "+14155550100", "+14155550199"
NO_REDIS = "unix:///nonexistent/redis.sock"
LEASE_S = 2.0
AOF = "appendonlydir"


def calls_after_the_lease(story: ScriptedRun) -> None:
    """Record a block that does not reach Redis, while no worker renews the lease, and call after the lease."""
    story.worker.kill()
    change = story.suppress(NUMBER, DNC_REDIS_URL=NO_REDIS)
    assert change.outcome == "recorded"
    assert change.answered is not None
    end = change.answered + int((LEASE_S + 0.2) * 1e9)
    story.until(lambda: time.monotonic_ns() > end)
    story.call(NUMBER)
    story.start_worker()


def a_gate_that_dies_after_its_answers(story: ScriptedRun) -> None:
    """Kill the gate as soon as it has answered."""
    with story.fault("gate-kill", "gate"):
        story.call(FREE)
        story.gate.process.kill()
        story.start_gate()


def a_block_while_nobody_writes_to_redis(story: ScriptedRun) -> None:
    """Block a number by a command, while there is no worker, and call at once."""
    story.worker.kill()  # A paused one might hold the lock of SQLite.
    change = story.suppress(NUMBER)
    assert change.outcome == "in-force"
    story.call(NUMBER)
    story.start_worker()


def an_older_copy_of_redis(story: ScriptedRun) -> None:
    """Bring back a copy of Redis's files from before a block, while no worker looks."""
    redis = story.redis
    copy, copied = story.directory / "copy", time.monotonic_ns()
    shutil.copytree(redis.directory / AOF, copy)
    assert story.suppress(NUMBER).outcome == "in-force"
    story.worker.kill()
    with story.fault("redis-older-copy", "redis", loses_from=copied):
        redis.running.kill()
        shutil.rmtree(redis.directory / AOF)
        shutil.copytree(copy, redis.directory / AOF)
        redis.start()
        story.until(lambda: story.call(NUMBER).reason in {"not-listed", "state-unverified"})
    story.start_worker()


SCRIPTS: dict[str, tuple[Callable[[ScriptedRun], None], str]] = {
    "lease-ignored": (calls_after_the_lease, "allow-after-lease"),
    "record-behind-the-answer": (a_gate_that_dies_after_its_answers, "allow-without-record"),
    "in-force-at-once": (a_block_while_nobody_writes_to_redis, "allow-after-block"),
    "incarnation-ignored": (an_older_copy_of_redis, "allow-after-block"),
}


def played(patch: str, name: str, redis: RedisServer, directory: Path) -> list[str]:
    """Play the script of a patch, with the patch or without it, and return the rules that were broken."""
    script, _ = SCRIPTS[name]
    lease_s = LEASE_S if script is calls_after_the_lease else 60
    with ScriptedRun(directory / "run", redis, patch, lease_s) as story:
        story.until(lambda: story.call(FREE).verdict == "ALLOW")  # A busy machine may renew a short lease late.
        script(story)
        return [violation.rule for violation in story.violations()]


def test_each_patch_has_its_script():
    assert PATCHES.keys() == SCRIPTS.keys()


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_checker_sees_what_a_patch_breaks(name: str, redis_server: RedisServer, short_path: Path):
    broken = played(name, name, redis_server, short_path)
    assert SCRIPTS[name][1] in broken
    assert len({*broken}) == 1, broken


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", SCRIPTS)
def test_without_the_patch_the_same_script_reports_nothing(name: str, redis_server: RedisServer, short_path: Path):
    assert played("", name, redis_server, short_path) == []
