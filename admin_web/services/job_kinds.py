"""The kinds of background jobs: their names, their titles, and who may request them.

`worker/jobs` has the code of each kind, under the same name.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from admin_web.people.permissions import Permission


@dataclass(frozen=True, slots=True)
class JobKind:
    """One kind of background job. With `alone`, at most one job of this kind may be queued or running."""

    name: str
    title: str
    may: Permission
    alone: bool = False


IMPORT_NUMBERS = JobKind("import-numbers", "Import to the Do-Not-Call list", Permission.IMPORT)
IMPORT_LEADS = JobKind("import-leads", "Import of leads", Permission.IMPORT)
IMPORT_REGISTRY = JobKind("import-registry", "Import of a registry", Permission.IMPORT)
"""In a job of this kind, `place` has the id of the `version` that it imports."""

LIFT_NUMBERS = JobKind("lift-numbers", "Lifting of the numbers of a file", Permission.LIFT)
UNDO_IMPORT = JobKind("undo-import", "Undo of an import", Permission.LIFT)
REBUILD = JobKind("rebuild", "Rebuild", Permission.REBUILD, alone=True)
VERIFY = JobKind("verify", "Verify", Permission.REBUILD, alone=True)
CANARY = JobKind("canary", "Ask the gates", Permission.REBUILD, alone=True)

_ALL = (
    IMPORT_NUMBERS, IMPORT_LEADS, IMPORT_REGISTRY, LIFT_NUMBERS, UNDO_IMPORT, REBUILD, VERIFY, CANARY,
)  # fmt: skip

JOB_KINDS: Mapping[str, JobKind] = {kind.name: kind for kind in _ALL}
"""All kinds by name."""
