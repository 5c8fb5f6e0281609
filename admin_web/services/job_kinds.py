"""The kinds of background work: what each is called, and who may ask for it.

How the worker carries a kind out stands in `worker/jobs`, under the same name.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from admin_web.people.permissions import Permission


@dataclass(frozen=True, slots=True)
class JobKind:
    """One kind of background work. `alone`: there is never more than one open job of this kind."""

    name: str
    title: str
    may: Permission
    alone: bool = False


IMPORT_NUMBERS = JobKind("import-numbers", "Import to the Do-Not-Call list", Permission.IMPORT)
IMPORT_LEADS = JobKind("import-leads", "Import of leads", Permission.IMPORT)
IMPORT_REGISTRY = JobKind("import-registry", "Import of a registry", Permission.IMPORT)
"""Its place names the `version` that it is at."""

REBUILD = JobKind("rebuild", "Rebuild", Permission.REBUILD, alone=True)
VERIFY = JobKind("verify", "Verify", Permission.REBUILD, alone=True)
CANARY = JobKind("canary", "Ask the gates", Permission.REBUILD, alone=True)

JOB_KINDS: Mapping[str, JobKind] = {
    kind.name: kind for kind in (IMPORT_NUMBERS, IMPORT_LEADS, IMPORT_REGISTRY, REBUILD, VERIFY, CANARY)
}
"""Every kind, by name. A kind that is not in this table does not exist."""
