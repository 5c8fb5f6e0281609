"""The outcomes of a rebuild: a new generation, or an error that says why there is none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compliance.wording import counted, the_list

FEW_NUMBERS = 100
SMALL_SHARE = 0.1
"""A drop is suspicious when a list would lose both more numbers than the first value and a larger share than the
second.
"""


class NotRebuilt(Exception):
    """The projection was not rebuilt, and the live generation is unchanged. The message says why."""


class NotNeeded(NotRebuilt):
    """Redis already holds the projection on record, and it is complete."""


class RebuildUnderWay(NotRebuilt):
    """Another builder is working: its last heartbeat is recent."""


class RebuildSuperseded(NotRebuilt):
    """Another rebuild has begun. This one was ended, and the other continues."""

    def __init__(self) -> None:
        super().__init__("another rebuild has begun, so this one has stopped; the live projection is unchanged")


class BuildLost(NotRebuilt):
    """Redis lost a part of the new generation while it was being built. `happened` says what happened to Redis."""

    def __init__(self, happened: str) -> None:
        super().__init__(f"{happened} while the projection was being rebuilt; run `dnc-admin rebuild` again")


class RegistriesMoved(NotRebuilt):
    """A new version of a registry came into force in SQL while the previous version was being loaded."""


class CountsDiffer(NotRebuilt):
    """The count of numbers that Redis acknowledged differs from the count in SQL."""


class SuspiciousDrop(NotRebuilt):
    """SQL holds far fewer numbers than Redis, so it may be the wrong database, or incomplete.

    `fact` is the message without the advice for people at a shell.
    """

    def __init__(self, list_name: str, was: int, now: int) -> None:
        self.fact = f"{the_list(list_name)} would shrink from {was:,} to {counted(now, 'number')}"
        self.public = self.fact
        super().__init__(
            f"{self.fact}; check DNC_DATABASE_URL, and if that is right, run `dnc-admin rebuild --allow-drop`"
        )


@dataclass(frozen=True, slots=True)
class Built:
    """A finished rebuild: the live generation, its numbers per list, and the seconds that the rebuild took."""

    generation: int
    counts: dict[str, int]
    seconds: float


def all_built(each: Sequence[Built]) -> Built:
    """Combine the rebuilds of several shards into one outcome. They run one after the other, so their times add up."""
    names = dict.fromkeys(name for one in each for name in one.counts)
    counts = {name: sum(one.counts.get(name, 0) for one in each) for name in names}
    return Built(max(one.generation for one in each), counts, sum(one.seconds for one in each))


def require_credible(live: Mapping[str, int], recorded: Mapping[str, int]) -> None:
    """Raise SuspiciousDrop when SQL (`recorded`) has far fewer numbers on a list than Redis (`live`)."""
    for list_name, was in live.items():
        lost = was - recorded.get(list_name, 0)
        if lost > FEW_NUMBERS and lost > was * SMALL_SHARE:
            raise SuspiciousDrop(list_name, was, was - lost)
