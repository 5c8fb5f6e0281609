"""The metrics of the worker. Each source yields the metrics of one subject."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from time import time
from typing import TypeAlias

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from admin_web.projection.health import Backlog
from admin_web.record.steady_clock import SteadyClock
from admin_web.worker.loop_states import LoopStates
from admin_web.worker.verifier import Checked

Source: TypeAlias = Callable[[], Iterable[Metric]]


class Metrics(Collector):
    """The metrics of all sources."""

    def __init__(self, *sources: Source) -> None:
        self._sources = sources

    def exposition(self) -> bytes:
        """Return the text for a Prometheus scrape."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics."""
        return chain.from_iterable(source() for source in self._sources)


def of_loops(loops: LoopStates) -> Iterator[Metric]:
    """Yield whether the worker is ready, and the steps and failures of each loop."""
    yield _gauge("dnc_worker_ready", "1 if every needed loop works.", not any(loops.doubts()))
    steps = CounterMetricFamily("dnc_worker_steps", "Steps that succeeded.", labels=["loop"])
    failures = CounterMetricFamily("dnc_worker_failures", "Steps that failed.", labels=["loop"])
    delayed = GaugeMetricFamily("dnc_worker_delayed", "1 while a loop fails.", labels=["loop"])
    last = GaugeMetricFamily("dnc_worker_last_success", "Unix time of the last success.", labels=["loop"])
    for state in loops:
        steps.add_metric([state.name], state.steps)
        failures.add_metric([state.name], state.failures)
        delayed.add_metric([state.name], bool(state.trouble))
        last.add_metric([state.name], state.succeeded_at)
    yield from (steps, failures, delayed, last)


def of_clock(clock: SteadyClock) -> Iterator[Metric]:
    """Yield whether the clock of the worker can be trusted."""
    yield _gauge("dnc_worker_clock_right", "1 if the worker's clock can be trusted.", clock.right)
    yield _gauge("dnc_worker_clock_step_seconds", "By how much the worker's clock was set.", clock.step_s)


def of_comparisons(checked: Mapping[str, Checked]) -> Iterator[Metric]:
    """Yield the outcome of the comparisons of SQL and Redis, by the name of the projection."""
    about = "Differences between SQL and Redis, since a comparison found none."
    drift = GaugeMetricFamily("dnc_worker_drift", about, labels=["projection"])
    about = "Unix time of the last complete comparison of SQL and Redis."
    compared = GaugeMetricFamily("dnc_worker_compared", about, labels=["projection"])
    for name, one in checked.items():
        drift.add_metric([name.strip() or "all"], one.found.total())
        compared.add_metric([name.strip() or "all"], one.complete_at)
    yield from (drift, compared)


def of_unarchived(backlog: Backlog | None) -> Iterator[Metric]:
    """Yield how many decisions Redis alone holds; nothing if that is not known yet."""
    if backlog is None:
        return
    oldest_s = time() - backlog.since.timestamp() if backlog.since else 0.0
    yield _gauge("dnc_worker_unarchived", "Decisions that Redis alone holds.", backlog.waiting)
    about = "For how long the oldest one waits."
    yield _gauge("dnc_worker_unarchived_oldest_seconds", about, max(0.0, oldest_s))
    yield _gauge("dnc_worker_unreadable", "Decisions that SQL cannot store, kept aside in Redis.", backlog.unreadable)


def of_recoveries(unseen: int) -> Iterator[Metric]:
    """Yield how many recoveries wait for an admin."""
    yield _gauge("dnc_worker_unseen_recoveries", "Recoveries from Redis at which no admin has looked yet.", unseen)


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=value)
