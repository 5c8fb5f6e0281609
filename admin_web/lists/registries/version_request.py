"""The version of a registry to import, what its files contain, and the version that was imported."""

from dataclasses import dataclass
from datetime import datetime

from admin_web.lists.sheet import NotASheet
from compliance.wording import counted

FULL, PART, CHANGES = "full", "part", "changes"
"""What a file contains: the whole registry, all numbers of some area codes, or a list of added and deleted numbers."""

NO_DEEDS = (
    "The file does not say which numbers were added and which deleted: a file of changes has A or D beside each number."
)
ARE_CHANGES = (
    "The file lists added and deleted numbers: import it as changes. As a whole registry, or as some area codes, it "
    "would take the unchanged numbers off the list."
)


@dataclass(frozen=True, slots=True)
class VersionRequest:
    """The version to import: of the registry `name`, obtained at `obtained_at` (aware UTC).

    A moment that is still to come, such as the start of a day that has begun only in the east, counts as now.

    `country` and `account` are as in `registry_for`. With `allow_drop` the list may become much smaller. `pause_s` is
    the pause, in seconds, after each transaction, for other writers. `over` is the version in force that the person has
    seen and wants to replace, 0 for none; None replaces whichever is in force.
    """

    name: str
    kind: str
    obtained_at: datetime
    country: str | None = None
    account: str | None = None
    allow_drop: bool = False
    pause_s: float = 0.0
    over: int | None = None


@dataclass(frozen=True, slots=True)
class ImportedVersion:
    """A complete version, which is in force in SQL. `not_read` says in sentences what was not read of the files."""

    version: int
    numbers: int
    added: int
    removed: int
    rows: int
    rejected: int
    not_read: str = ""

    def __str__(self) -> str:
        changed = f"{self.added:,} added and {self.removed:,} removed since the previous version"
        return f"{counted(self.numbers, 'number')}, {changed}; {counted(self.rows, 'row')}, {self.rejected:,} rejected"


def require_deeds(kind: str, *, says_deeds: bool) -> None:
    """Raise NotASheet unless the files say what was added and deleted if, and only if, they are imported as changes."""
    if kind == CHANGES and not says_deeds:
        raise NotASheet(NO_DEEDS)
    if kind != CHANGES and says_deeds:
        raise NotASheet(ARE_CHANGES)
