"""Removal of documents that no override refers to. A document that is about to be used by an override is never removed.

Placing an override writes the document's row, then checks that its file still exists, then commits. Removing a file
first waits until no transaction writes such rows, then checks that the document has no row. So either the override's
transaction finds that the file is gone, or the removal finds the row.
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
"""A sweep removes no document that is younger than this, even if the document has no row."""

LOOKED_UP_AT_ONCE = 500

FEW, SHARE = 20, 0.1
"""A sweep fails and removes nothing if the documents without a row exceed both this number and this share of all."""

log = structlog.get_logger()


class TooManyOrphans(Exception):
    """So many documents have no row that the program probably uses the wrong database."""


@asynccontextmanager
async def or_discarded(database: Database, documents: DocumentStore, kept: Kept) -> AsyncIterator[None]:
    """Remove an uploaded document if the body of the `async with`, which should record it, raises."""
    try:
        yield
    except Exception:
        try:
            await discard(database, documents, kept.sha256)
        except (DatabaseUnavailable, DocumentsUnavailable) as error:
            log.info("left to the sweep", document=kept.sha256, why=str(error))
        raise


async def discard(database: Database, documents: DocumentStore, sha256: str) -> bool:
    """Remove a document unless a row refers to it. Returns whether it was removed.

    Raises DatabaseUnavailable, DocumentsUnavailable.
    """
    async with database.write() as session:
        await hold_against_writers(session, Document)
        if await session.scalar(select(Document.id).where(Document.sha256 == sha256).limit(1)) is not None:
            return False
        await documents.shelf.remove(sha256)
    return True


async def sweep_documents(database: Database, documents: DocumentStore, at: datetime) -> int:
    """Remove documents without a row that are older than the grace at `at` (aware UTC). Returns how many.

    Raises TooManyOrphans, DatabaseUnavailable, DocumentsUnavailable.
    """
    before, seen, orphans = at - GRACE, 0, list[str]()
    await documents.forget_arrivals(before)
    async for some in _batches(documents, before):
        seen += len(some)
        orphans += await _without_row(database, some)
    if len(orphans) > max(FEW, SHARE * seen):
        raise TooManyOrphans(
            f"{len(orphans)} of {seen} documents are on no record; none was removed. "
            "Check that DNC_DATABASE_URL names the database that they belong to."
        )
    return sum([await discard(database, documents, sha256) for sha256 in orphans])


async def _batches(documents: DocumentStore, before: datetime) -> AsyncIterator[list[str]]:
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
