"""Whatever is killed, and whenever: each answered ALLOW is in SQL exactly once after the recovery."""

import random
from pathlib import Path

import pytest

from lab.redis import RedisServer
from tests.support.stack import Callers, Stack

KILLS = 6


def someone() -> tuple[str, str]:
    return f"+1415555{random.randrange(1000):04}", "lead-1"


@pytest.mark.parametrize("victim", ["gate", "worker", "redis"])
def test_each_allow_that_was_answered_is_in_sql_exactly_once_after_kills(
    victim: str, redis_server: RedisServer, database_url: str, short_path: Path
):
    with Stack(short_path / "whole", redis_server, database_url, DNC_DEADLINE_MS="1000") as stack:
        stack.admin("suppress", "+14155550100")
        with Callers(stack, someone) as callers:
            for _ in range(KILLS):
                callers.until_allowed(random.randrange(20, 200))
                if victim == "gate":
                    stack.gate.process.kill()
                    stack.start_gate()
                elif victim == "worker":
                    stack.worker.kill()
                    stack.start_worker()
                else:
                    redis_server.restart()
            callers.until_allowed(50)
        allowed = {answer.decision for _, _, answer in callers.answers if answer.allowed}
        records = stack.until_archived(allowed)
        assert {records[decision][0] for decision in allowed} == {"ALLOW"}
        assert not any(answer.allowed for dialed, _, answer in callers.answers if dialed == "+14155550100")
        assert len(allowed) == sum(answer.allowed for _, _, answer in callers.answers)
