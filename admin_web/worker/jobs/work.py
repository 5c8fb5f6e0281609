"""The function that carries out each kind of job."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from admin_web.services import job_kinds
from admin_web.services.job_kinds import JobKind
from admin_web.worker.jobs import imports, registry_imports, undoing, upkeep
from admin_web.worker.jobs.run import Run

Work: TypeAlias = Callable[[Run], Awaitable[str]]
"""Carries out one job and returns the sentence that says how it ended.

Raises JobFailed, or an exception of a service, if the job fails. The function may be interrupted at any moment. It is
then called again with its last checkpoint.
"""

WORK: Mapping[JobKind, Work] = {
    job_kinds.IMPORT_NUMBERS: imports.numbers,
    job_kinds.IMPORT_LEADS: imports.leads,
    job_kinds.IMPORT_REGISTRY: registry_imports.take_in,
    job_kinds.LIFT_NUMBERS: imports.lifts,
    job_kinds.UNDO_IMPORT: undoing.take_back,
    job_kinds.REBUILD: upkeep.rebuild,
    job_kinds.VERIFY: upkeep.verify,
    job_kinds.CANARY: upkeep.canary,
}
