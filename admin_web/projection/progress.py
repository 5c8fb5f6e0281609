"""Progress reports of long operations on the projection."""

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with the name of the phase, the amount done, and the total amount."""


def of_shard(progress: Progress, first_slot: int | None) -> Progress:
    """Return a progress that names the shard of a cluster in each phase; `progress` itself outside a cluster."""
    if first_slot is None:
        return progress

    def shown(phase: str, done: int, total: int) -> None:
        progress(f"{phase} of the shard from slot {first_slot}", done, total)

    return shown


def quiet(phase: str, done: int, total: int) -> None:
    """Report nothing."""
    del phase, done, total
