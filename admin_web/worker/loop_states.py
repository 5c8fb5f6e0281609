"""The state of each loop of the worker, for its log, its readiness and its metrics."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from time import monotonic, time

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from admin_web.projection.health import Backlog
from admin_web.record.steady_clock import SteadyClock
from admin_web.worker.verifier import Checked

RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds to wait after consecutive failures; the last value repeats."""

ARCHIVE_RETRY_S = 0.5
"""The longest such wait for the archive: decisions that are not archived yet are in Redis alone."""

STALLED_S = 30.0
"""Seconds without a successful step after which a loop that calls depend on counts as stalled."""

ARCHIVE = "archive"

CALLS_DEPEND_ON = ("redis", "projection", ARCHIVE)
"""Beginnings of the names of loops without which calls stop, or are no longer archived."""

log = structlog.get_logger()


@dataclass(slots=True)
class LoopState:
    """The state of one loop: its current failure, the number of its steps, and when the last one succeeded."""

    name: str
    clock: Callable[[], float] = monotonic
    trouble: str = ""
    steps: int = 0
    failures: int = 0
    succeeded_at: float = 0.0
    _begun: float = field(init=False)
    _met: int = 0

    def __post_init__(self) -> None:
        self._begun = self.clock()

    @property
    def calls_depend_on_it(self) -> bool:
        """Whether calls stop, or are no longer archived, without this loop."""
        return self.name.startswith(CALLS_DEPEND_ON)

    def fail(self, error: Exception) -> float:
        """Record a failure. It is logged when it changes. Return the seconds to wait before the retry."""
        trouble = str(error) or type(error).__name__
        if trouble != self.trouble:
            log.warning("loop delayed", loop=self.name, trouble=trouble)
        self.trouble = trouble
        self.failures += 1
        self._met += 1
        wait_s = RETRY_S[min(self._met, len(RETRY_S)) - 1]
        return min(wait_s, ARCHIVE_RETRY_S) if self.name.startswith(ARCHIVE) else wait_s

    def succeed(self) -> None:
        """Record a success."""
        if self._met:
            log.info("loop resumed", loop=self.name)
        self.trouble, self._met = "", 0
        self.steps += 1
        self._begun, self.succeeded_at = self.clock(), time()

    @property
    def doubt(self) -> str:
        """Why this loop does not work; empty if it does. It contains no address and no path."""
        if self.trouble:
            return f"{self.name}: delayed; the log of the worker says why"
        if not self.steps:
            return f"{self.name}: not run yet"
        silent_s = self.clock() - self._begun
        return f"{self.name}: no step has ended for {silent_s:.0f} s" if silent_s > STALLED_S else ""


class LoopStates(Collector):
    """The states of all loops, and the decisions that are in Redis alone (`unarchived`; None if not known yet).

    Loops of a shard that no longer exists are forgotten. `unseen_recoveries` is how many recoveries wait for an admin
    to look at them.
    """

    def __init__(self, clock: SteadyClock | None = None) -> None:
        self._loops: dict[str, LoopState] = {}
        self._clock = clock or SteadyClock()
        self.checked: dict[str, Checked] = {}
        self.unarchived: Backlog | None = None
        self.unseen_recoveries = 0

    def of(self, name: str) -> LoopState:
        """Return the new state of a loop that starts."""
        state = self._loops[name] = LoopState(name)
        return state

    def forget(self, name: str) -> None:
        """Forget a loop that has ended."""
        self._loops.pop(name, None)

    def doubts(self) -> Iterator[str]:
        """Yield what is wrong with the loops that calls depend on."""
        needed = [state for state in self._loops.values() if state.calls_depend_on_it]
        for beginning in CALLS_DEPEND_ON:
            if not any(state.name.startswith(beginning) for state in needed):
                yield f"{beginning}: not run yet"
        yield from filter(None, (state.doubt for state in needed))

    def exposition(self) -> bytes:
        """Return the text for a Prometheus scrape."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics."""
        yield GaugeMetricFamily("dnc_worker_ready", "1 if every needed loop works.", value=not any(self.doubts()))
        yield GaugeMetricFamily(
            "dnc_worker_unseen_recoveries",
            "Recoveries from Redis at which no admin has looked yet.",
            value=self.unseen_recoveries,
        )
        steps = CounterMetricFamily("dnc_worker_steps", "Steps that succeeded.", labels=["loop"])
        failures = CounterMetricFamily("dnc_worker_failures", "Steps that failed.", labels=["loop"])
        delayed = GaugeMetricFamily("dnc_worker_delayed", "1 while a loop fails.", labels=["loop"])
        last = GaugeMetricFamily("dnc_worker_last_success", "Unix time of the last success.", labels=["loop"])
        for state in self._loops.values():
            for family, value in (
                (steps, state.steps),
                (failures, state.failures),
                (delayed, bool(state.trouble)),
                (last, state.succeeded_at),
            ):
                family.add_metric([state.name], value)
        yield from (steps, failures, delayed, last)
        right, step = "1 if the worker's clock can be trusted.", "By how much the worker's clock was set."
        yield GaugeMetricFamily("dnc_worker_clock_right", right, value=self._clock.right)
        yield GaugeMetricFamily("dnc_worker_clock_step_seconds", step, value=self._clock.step_s)
        about = "Differences between SQL and Redis, since a comparison found none."
        drift = GaugeMetricFamily("dnc_worker_drift", about, labels=["projection"])
        compared = GaugeMetricFamily(
            "dnc_worker_compared", "Unix time of the last complete comparison of SQL and Redis.", labels=["projection"]
        )
        for name, one in self.checked.items():
            drift.add_metric([name.strip() or "all"], one.found.total())
            compared.add_metric([name.strip() or "all"], one.complete_at)
        yield from (drift, compared)
        if self.unarchived:
            yield from _unarchived(self.unarchived)


def _unarchived(backlog: Backlog) -> Iterator[Metric]:
    oldest_s = time() - backlog.since.timestamp() if backlog.since else 0.0
    yield GaugeMetricFamily("dnc_worker_unarchived", "Decisions that Redis alone holds.", value=backlog.waiting)
    yield GaugeMetricFamily(
        "dnc_worker_unarchived_oldest_seconds", "For how long the oldest one waits.", value=max(0.0, oldest_s)
    )
    yield GaugeMetricFamily(
        "dnc_worker_unreadable", "Decisions that SQL cannot store, kept aside in Redis.", value=backlog.unreadable
    )
