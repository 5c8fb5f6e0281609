"""The metrics of the worker: each loop, its clock, the comparisons, and what waits."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.core import Metric

from admin_web.projection.health import Backlog
from admin_web.record.steady_clock import SteadyClock
from admin_web.worker.loop_states import LoopStates
from admin_web.worker.metrics import Metrics, of_clock, of_comparisons, of_loops, of_recoveries, of_unarchived
from admin_web.worker.observer import observer_app
from admin_web.worker.verifier import Checked

AT = 1_800_000_000.0


def said(metrics: Iterable[Metric]) -> dict[str, str]:
    """Return what a scrape reads, by the name of the metric and its labels."""
    lines = Metrics(lambda: metrics).exposition().decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if line[0] != "#")


def test_the_metrics_say_how_many_decisions_redis_alone_holds_and_for_how_long():
    assert said(of_unarchived(None)) == {}
    found = said(of_unarchived(Backlog(7, datetime.now(UTC) - timedelta(seconds=90), 2)))
    assert (found["dnc_worker_unarchived"], found["dnc_worker_unreadable"]) == ("7.0", "2.0")
    assert 89 < float(found["dnc_worker_unarchived_oldest_seconds"]) < 150
    assert said(of_unarchived(Backlog(0, None, 0)))["dnc_worker_unarchived_oldest_seconds"] == "0.0"


def test_the_oldest_decision_never_waits_for_less_than_no_time():
    ahead = Backlog(1, datetime.now(UTC) + timedelta(seconds=90), 0)
    assert said(of_unarchived(ahead))["dnc_worker_unarchived_oldest_seconds"] == "0.0"


@pytest.mark.parametrize("step_s", [172_800.0, -172_800.0])
def test_the_metrics_say_that_the_clock_was_set_and_by_how_much(step_s: float):
    wall = AT
    clock = SteadyClock(lambda: wall, lambda: 0.0)
    clock.compare({"Redis": 0.0})
    assert said(of_clock(clock)) == {"dnc_worker_clock_right": "1.0", "dnc_worker_clock_step_seconds": "0.0"}
    wall += step_s
    assert said(of_clock(clock)) == {"dnc_worker_clock_right": "0.0", "dnc_worker_clock_step_seconds": str(step_s)}


def test_the_metrics_count_the_differences_of_each_projection():
    alone, shard = Checked(), Checked()
    alone.found.update({"numbers missing": 2, "numbers too many": 1})
    shard.complete_at = AT
    found = said(of_comparisons({"": alone, " of slot 5461": shard}))
    assert found['dnc_worker_drift{projection="all"}'] == "3.0"
    assert found['dnc_worker_drift{projection="of slot 5461"}'] == "0.0"
    assert float(found['dnc_worker_compared{projection="of slot 5461"}']) == AT


def test_the_metrics_say_how_many_recoveries_wait_for_an_admin():
    assert said(of_recoveries(2)) == {"dnc_worker_unseen_recoveries": "2.0"}


async def test_the_metrics_count_steps_and_failures_of_each_loop():
    loops = LoopStates()
    for name in ("redis", "projection", "archive", "webhooks"):
        loops.of(name).succeed()
    loops.of("retention").fail(OSError("10.0.0.7"))
    figures = Metrics(lambda: of_loops(loops), lambda: of_recoveries(0))
    async with TestClient(TestServer(observer_app(loops, figures, "abc"))) as client:
        ready = await client.get("/readyz")
        assert (ready.status, ready.headers["DNC-Instance"]) == (200, "abc")
        text = await (await client.get("/metrics")).text()
    assert "dnc_worker_ready 1.0" in text
    assert "dnc_worker_unseen_recoveries 0.0" in text
    assert 'dnc_worker_steps_total{loop="webhooks"} 1.0' in text
    assert 'dnc_worker_failures_total{loop="retention"} 1.0' in text
    assert 'dnc_worker_delayed{loop="retention"} 1.0' in text
    assert "10.0.0.7" not in text
