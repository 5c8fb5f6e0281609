"""The loops of each shard of Redis: keep the projection current, compare it with SQL, archive decisions."""

from collections.abc import Sequence

from admin_web.projection.projection import Projection
from admin_web.projection.store import Store
from admin_web.record.database import Database
from admin_web.record.steady_clock import SteadyClock
from admin_web.settings import AdminSettings
from admin_web.worker.decision_archive import DecisionArchive
from admin_web.worker.keeper import Archivist, Keeper
from admin_web.worker.repeating import Repeater
from admin_web.worker.steps import Step, by_a_right_clock
from admin_web.worker.verifier import Checked, Verifier

ARRANGE_S = 1.0
"""Interval, in seconds, at which the shards of Redis are listed again."""


class Shards:
    """Starts and cancels the loops of shards. A Redis that is no cluster is one shard.

    `streams` are the streams of decisions, and `checked` the outcome of the comparisons of each shard.
    """

    def __init__(
        self,
        database: Database,
        projection: Projection,
        settings: AdminSettings,
        clock: SteadyClock,
        repeater: Repeater,
    ) -> None:
        self._database, self._projection, self._settings = database, projection, settings
        self._clock, self._repeater = clock, repeater
        self._started: set[str] = set()
        self.streams: Sequence[Store] = ()
        self.checked: dict[str, Checked] = {}

    async def step(self) -> float:
        """Start the loops of each new shard of Redis, and cancel those of each shard that no longer exists."""
        wanted: dict[str, Step] = {}
        shards = await self._projection.shards()
        for one in shards:
            wanted |= self._loops_of(one)
        for gone in self.checked.keys() - {_name_of(one.sides.store) for one in shards}:
            del self.checked[gone]
        self.streams = await self._projection.streams()
        for store in self.streams:
            archive = DecisionArchive(self._database, store, self._clock.now)
            wanted[f"archive{_name_of(store)}"] = Archivist(archive).step
        for name in self._started - wanted.keys():
            self._repeater.cancel(name)
        self._repeater.start(wanted)
        self._started = set(wanted)
        return ARRANGE_S

    def _loops_of(self, one: Projection) -> dict[str, Step]:
        shard = _name_of(one.sides.store)
        keeper = Keeper(one, self._settings)
        checked = self.checked.setdefault(shard, Checked())
        loops = keeper.loops | {
            "verify": Verifier(one, self._settings, self._clock.now, checked).look,
            "sweep": by_a_right_clock(self._clock, keeper.sweep),
        }
        return {f"{loop}{shard}": step for loop, step in loops.items()}


def _name_of(store: Store) -> str:
    """Return the suffix for a loop's name: the shard's lowest slot in a cluster, else empty."""
    return "" if store.keys.first_slot is None else f" of slot {store.keys.first_slot}"
