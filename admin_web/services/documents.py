"""Documents that no override rests on: taken away, and never one that an override is just being placed on.

Whoever places an override writes the document's row, then looks whether its file is still there, then commits. Whoever
takes a file away first waits for all who write rows, and looks for one. So one of the two always sees the other.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select

from admin_web.documents import DocumentStore, DocumentsUnavailable, Kept
from admin_web.record.database import Database, DatabaseUnavailable
from admin_web.record.dialect import each_of, hold_against_writers
from admin_web.record.models import Document

GRACE = timedelta(hours=24)
"""How long a document may be without a row before a sweep looks at it."""

LOOKED_UP_AT_ONCE = 500

FEW, SHARE = 20, 0.1
"""More orphans than both, that many and that share of all documents, are not taken away but told."""

log = structlog.get_logger()


class TooManyOrphans(Exception):
    """So many documents have no row that the record is more likely to be wrong than they are."""


@asynccontextmanager
async def or_discarded(database: Database, documents: DocumentStore, kept: Kept) -> AsyncIterator[None]:
    """Take a document away again when what it was uploaded for does not come on record in this block."""
    try:
        yield
    except Exception:
        try:
            await discard(database, documents, kept.sha256)
        except (DatabaseUnavailable, DocumentsUnavailable) as error:
            log.info("left to the sweep", document=kept.sha256, why=str(error))
        raise


async def discard(database: Database, documents: DocumentStore, sha256: str) -> bool:
    """Take a document away unless a row points at it; tell whether it was taken.

    Raises DatabaseUnavailable, DocumentsUnavailable.
    """
    async with database.write() as session:
        await hold_against_writers(session, Document)
        if await session.scalar(select(Document.id).where(Document.sha256 == sha256).limit(1)) is not None:
            return False
        await documents.shelf.remove(sha256)
    return True


async def sweep_documents(database: Database, documents: DocumentStore, at: datetime) -> int:
    """Take away what was kept longer than the grace before `at` (aware UTC) and never came on record; tell how many.

    Raises TooManyOrphans, DatabaseUnavailable, DocumentsUnavailable.
    """
    before, seen, orphans = at - GRACE, 0, list[str]()
    await documents.forget_arrivals(before)
    async for some in _portions(documents, before):
        seen += len(some)
        orphans += await _without_row(database, some)
    if len(orphans) > max(FEW, SHARE * seen):
        raise TooManyOrphans(
            f"{len(orphans)} of {seen} documents are on no record; none was taken away. "
            "Is this the database that they belong to?"
        )
    return sum([await discard(database, documents, sha256) for sha256 in orphans])


async def _portions(documents: DocumentStore, before: datetime) -> AsyncIterator[list[str]]:
    some: list[str] = []
    async for sha256 in documents.shelf.kept_before(before):
        some.append(sha256)
        if len(some) == LOOKED_UP_AT_ONCE:
            yield some
            some = []
    if some:
        yield some


async def _without_row(database: Database, some: list[str]) -> list[str]:
    async with database.read() as session:
        known = await session.scalars(
            select(Document.sha256).where(Document.sha256.in_(select(each_of(session, some))))
        )
        return sorted(set(some) - set(known))
