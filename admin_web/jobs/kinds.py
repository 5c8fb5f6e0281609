"""Every kind of background work. A kind that is not in this table does not exist."""

from collections.abc import Mapping

from admin_web.jobs import imports, registries, upkeep
from admin_web.jobs.kind import Kind

_ALL: tuple[Kind, ...] = (*imports.KINDS, *registries.KINDS, *upkeep.KINDS)

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}
