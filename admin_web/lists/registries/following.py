"""Whether a registry's new version is in force, for the person who imported it."""

from admin_web.projection.progress import Progress
from admin_web.projection.projection import Projection
from admin_web.projection.rebuild_outcome import NotRebuilt
from admin_web.record.changes import IN_FORCE, NotInForce, Standing
from admin_web.record.database import DatabaseUnavailable


async def standing(projection: Projection, progress: Progress) -> Standing:
    """Bring the registries' versions into force, and say whether they are. What was recorded stays so either way."""
    try:
        await projection.follow(progress=progress)
    except (NotInForce, NotRebuilt, DatabaseUnavailable) as error:
        return Standing(in_force=False, why_not=str(error))
    await projection.sweep()
    return IN_FORCE
