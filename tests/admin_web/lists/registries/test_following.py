"""An imported version is recorded: whatever fails afterwards, the import says that, and not that it has failed."""

import pytest

from admin_web.lists.registries.following import standing
from admin_web.projection.live import ProjectionLost
from admin_web.projection.rebuild_outcome import (
    BuildLost,
    CountsDiffer,
    NotRebuilt,
    RebuildSuperseded,
    SuspiciousDrop,
)
from admin_web.projection.wire import RedisRefused, RedisUnavailable, StoreMoved, TooFewReplicas
from admin_web.record.database import DatabaseUnavailable, OutcomeUnknown

REDIS = (RedisUnavailable("x"), RedisRefused("x"), StoreMoved("x"), TooFewReplicas("x"), ProjectionLost("no-state"))
SQL = (DatabaseUnavailable("x", "nothing was changed; try again"), OutcomeUnknown("x"))
BUILD = (NotRebuilt("x"), CountsDiffer("x"), SuspiciousDrop("us-ftc", 9, 1), RebuildSuperseded(), BuildLost("x"))


class Failing:
    """A projection whose steps fail as a test chooses."""

    def __init__(self, *, follow: Exception | None = None, sweep: Exception | None = None) -> None:
        self._follow, self._sweep = follow, sweep

    async def follow(self, **_: object) -> None:
        if self._follow:
            raise self._follow

    async def sweep(self) -> int:
        if self._sweep:
            raise self._sweep
        return 0


@pytest.mark.parametrize("error", [*REDIS, *SQL, *BUILD], ids=lambda error: type(error).__name__)
async def test_a_version_that_cannot_be_followed_is_recorded_and_not_yet_in_force(error):
    stands = await standing(Failing(follow=error), lambda *_: None)
    assert not stands.in_force
    assert str(stands).startswith("recorded, not yet in force: ")
    assert "try again" not in str(stands)


@pytest.mark.parametrize("error", [*REDIS, *SQL], ids=lambda error: type(error).__name__)
async def test_a_version_is_in_force_although_the_one_before_could_not_be_removed(error):
    assert (await standing(Failing(sweep=error), lambda *_: None)).in_force
