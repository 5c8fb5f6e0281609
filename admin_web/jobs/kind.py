"""What a kind of background work is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from admin_web.jobs.run import Run
from admin_web.permissions import Permission


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of background work, entered in `kinds.KINDS`.

    `work` carries out one job and gives the sentence that says how it ended. It raises JobFailed, or what a service
    refuses, when it cannot; it may be cut off at any moment, and is then called again with the place that it kept.
    `alone`: there is never more than one open job of this kind.
    """

    name: str
    title: str
    may: Permission
    work: Callable[[Run], Awaitable[str]]
    alone: bool = False
