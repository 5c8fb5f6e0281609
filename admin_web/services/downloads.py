"""Consent documents given out: verified first, and on record whoever read which."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from admin_web.documents import DocumentDamaged, DocumentMissing, DocumentStore
from admin_web.record.changes import Actor, Records
from compliance.refusal import Refused

log = structlog.get_logger()


class DocumentNotGiven(Refused):
    """The file is not the one that was uploaded, or is gone; nothing of it is given out."""


@asynccontextmanager
async def document_given(
    records: Records, documents: DocumentStore, actor: Actor, override_id: int, sha256: str
) -> AsyncIterator[AsyncIterator[bytes]]:
    """Give an override's document in pieces, once its content is verified and its reading on record.

    Raises DocumentNotGiven, after that is on record too, and DocumentsUnavailable.
    """
    try:
        async with documents.opened(sha256) as pieces:
            await _note(records, actor, "read-document", override_id, sha256)
            yield pieces
    except (DocumentDamaged, DocumentMissing) as error:
        log.error("document not given", override=override_id, why=str(error))
        await _note(records, actor, "document-unfit", override_id, sha256, why=str(error))
        raise DocumentNotGiven(
            f"The document of override {override_id} is not the file that was uploaded, so none of it is given out. "
            f"{error} Put the file back from a backup; until then this override has no proof."
        ) from error


async def _note(records: Records, actor: Actor, action: str, override_id: int, sha256: str, **more: str) -> None:
    async with records.change(actor) as change:
        change.audit(action, "override", override_id, document=sha256, **more)
