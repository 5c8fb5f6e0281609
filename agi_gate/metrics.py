"""The counts of the gate, and their text for Prometheus.

Counting a call only updates a few counters. All other work is done once per scrape.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from agi_gate.store.health import Health
from compliance.verdict import Decision

BUCKETS_S = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
NOT_ACCEPTING = "not-accepting"
"""Slug of the doubt that a process accepts no calls, although it could allow them."""

Snapshot = dict[str, Any]
"""The counts of one process, as plain JSON values: see `Metrics.snapshot`."""


class HasHealth(Protocol):
    """An object that reports the health of the link to Redis."""

    @property
    def health(self) -> Health:
        """The health of the link to Redis."""


class HasBacklog(Protocol):
    """An object that counts the decisions that are not recorded."""

    @property
    def backlog(self) -> int:
        """The number of decisions that are not recorded yet."""

    @property
    def dropped(self) -> int:
        """The number of decisions that were lost."""

    @property
    def on_disk(self) -> int:
        """The number of decisions in the backlog that survive the end of this process."""


@dataclass(slots=True)
class Metrics:
    """The counts of one gate process."""

    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused_peers: Counter[str] = field(default_factory=Counter)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    seconds: float = 0.0
    open_conversations: int = 0

    def count(self, decision: Decision, seconds: float) -> None:
        """Count one answered call, with the seconds from its request to its answer."""
        self.calls[decision.ruling.verdict, decision.ruling.reason] += 1
        self.buckets[bisect_left(BUCKETS_S, seconds)] += 1
        self.seconds += seconds

    def snapshot(self, link: HasHealth, log: HasBacklog) -> Snapshot:
        """Return all counts, with the link's health and the size of the log's backlog."""
        health = link.health
        return {
            "calls": [[*key, count] for key, count in self.calls.items()],
            "refused_peers": dict(self.refused_peers),
            "buckets": self.buckets,
            "seconds": self.seconds,
            "open_conversations": self.open_conversations,
            "live": True,
            "accepting": True,
            "ready": not health.doubt,
            "connected": health.connected,
            "connects": health.connects,
            "doubt": health.doubt,
            "clock": health.clock_doubt if health.connected and health.looked else "",
            "clock_behind_s": health.clock_behind_s or 0.0,
            "generation": health.state.generation if health.state else 0,
            "backlog": log.backlog,
            "dropped": log.dropped,
            "on_disk": log.on_disk,
        }


def not_accepting(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot of a process that accepts no calls: not yet, or no longer."""
    return snapshot | {"accepting": False, "ready": False, "doubt": snapshot["doubt"] or NOT_ACCEPTING}


def counters_only(*snapshots: Snapshot) -> Snapshot:
    """Return the counters of processes that no longer serve as those of one, with neutral values for all gauges."""
    return {
        "calls": [[*key, count] for key, count in _calls(snapshots).items()],
        "refused_peers": dict(_refused(snapshots)),
        "buckets": [sum(counts) for counts in zip(*(one["buckets"] for one in snapshots), strict=True)],
        **{name: sum(one[name] for one in snapshots) for name in ("seconds", "connects", "dropped")},
        "live": False,
        "accepting": False,
        "ready": True,
        "connected": True,
        "doubt": "",
        "generation": 0,
        "backlog": 0,
        "on_disk": 0,
        "open_conversations": 0,
        "clock": "",
        "clock_behind_s": 0.0,
    }


def _calls(snapshots: Iterable[Snapshot]) -> Counter[tuple[str, str]]:
    total: Counter[tuple[str, str]] = Counter()
    for verdict, reason, count in (row for one in snapshots for row in one["calls"]):
        total[verdict, reason] += count
    return total


def _refused(snapshots: Iterable[Snapshot]) -> Counter[str]:
    return sum((Counter(one["refused_peers"]) for one in snapshots), Counter())


class _Snapshots(Collector):
    """Sums the snapshots of all processes of one gate."""

    def __init__(self, snapshots: list[Snapshot]) -> None:
        self._all = snapshots

    def collect(self) -> Iterable[Metric]:
        yield self._calls()
        yield self._latency()
        yield self._refused()
        yield _gauge("dnc_gate_processes", "Processes that serve.", sum(self._each("accepting")))
        yield _gauge(
            "dnc_gate_ready",
            "1 if every process could allow a call now.",
            min(self._each("ready"), default=0),
        )
        yield _gauge(
            "dnc_gate_redis_connected",
            "1 if every process is connected.",
            min(self._each("connected"), default=0),
        )
        yield _gauge(
            "dnc_gate_generation",
            "Generation of the projection seen last.",
            max(self._each("generation"), default=0),
        )
        yield _gauge(
            "dnc_gate_clock_behind_seconds",
            "By how much the clock of this machine is behind that of Redis.",
            max(self._each("clock_behind_s"), default=0),
        )
        yield _gauge("dnc_gate_record_backlog", "Decisions that wait to be recorded.", sum(self._each("backlog")))
        yield _gauge("dnc_gate_records_on_disk", "Those of them that are on disk.", sum(self._each("on_disk")))
        yield _gauge("dnc_gate_open_conversations", "AGI connections open.", sum(self._each("open_conversations")))
        yield CounterMetricFamily("dnc_gate_redis_connects", "Connections made.", value=sum(self._each("connects")))
        yield CounterMetricFamily("dnc_gate_records_dropped", "Decisions lost.", value=sum(self._each("dropped")))

    def _each(self, name: str) -> list[Any]:
        return [snapshot[name] for snapshot in self._all]

    def _calls(self) -> Metric:
        calls = CounterMetricFamily("dnc_gate_calls", "Calls answered.", labels=["verdict", "reason"])
        for key, count in sorted(_calls(self._all).items()):
            calls.add_metric(list(key), count)
        return calls

    def _latency(self) -> Metric:
        running, rows = 0, []
        for bound, counts in zip((*BUCKETS_S, "+Inf"), zip(*self._each("buckets"), strict=True), strict=False):
            running += sum(counts)
            rows.append((str(bound), float(running)))
        latency = HistogramMetricFamily("dnc_gate_seconds", "From the request to the answer.")
        latency.add_metric([], rows or [("+Inf", 0.0)], sum(self._each("seconds")))
        return latency

    def _refused(self) -> Metric:
        refused = CounterMetricFamily("dnc_gate_refused_peers", "Connections closed unanswered.", labels=["why"])
        for why, count in sorted(_refused(self._all).items()):
            refused.add_metric([why], count)
        return refused


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=value)


def exposition(snapshots: list[Snapshot]) -> bytes:
    """Return the text for a Prometheus scrape, from the snapshots of all processes."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshots(snapshots))
    return generate_latest(registry)
