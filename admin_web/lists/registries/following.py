"""Enforcement of a registry's new version after its import."""

from contextlib import suppress

from admin_web.projection.progress import Progress
from admin_web.projection.projection import Projection
from admin_web.projection.rebuild_outcome import NotRebuilt
from admin_web.record.changes import IN_FORCE, NotInForce, Standing, not_in_force
from admin_web.record.database import DatabaseUnavailable


async def standing(projection: Projection, progress: Progress) -> Standing:
    """Apply the registries' versions to Redis. Return whether they are in force; they stay recorded either way."""
    try:
        await projection.follow(progress=progress)
    except (NotInForce, NotRebuilt, DatabaseUnavailable) as error:
        return not_in_force(error)
    with suppress(NotInForce, DatabaseUnavailable):  # The versions are in force; the worker sweeps again later.
        await projection.sweep()
    return IN_FORCE
