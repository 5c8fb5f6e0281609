"""How far an import has come."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.changes import IN_FORCE, Standing


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of an import: rows read so far, by result.

    `line` is the line on which the last row began, `report_bytes` the size of the report of rejected rows.
    `import_id` is the import on record, 0 for none. `kept` counts numbers that stay on the list because the person
    asked not to be called; `such_as` are the first of them. At the end, `not_read` says in sentences what was not read,
    and `unread` is whether columns that contain numbers are among it.

    The first `taken` items of the rows after these are on record too. `mark` is a checksum of all items of the window
    to which they belong.
    """

    rows: int = 0
    added: int = 0
    already: int = 0
    rejected: int = 0
    line: int = 0
    report_bytes: int = 0
    import_id: int = 0
    kept: int = 0
    such_as: Sequence[str] = ()
    taken: int = 0
    mark: int = 0
    standing: Standing = IN_FORCE
    not_read: str = ""
    unread: bool = False


NOT_BEGUN = Progress()


async def keep_nothing(session: AsyncSession, done: Progress) -> None:
    """Save no checkpoint."""
    del session, done
