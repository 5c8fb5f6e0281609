"""Downloads of consent documents: the content is verified first, and each download is recorded."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from admin_web.documents import DocumentDamaged, DocumentMissing, DocumentStore
from admin_web.record.changes import Actor, Records, public_words
from compliance.refusal import Refused

log = structlog.get_logger()


class DocumentNotGiven(Refused):
    """The file is missing, or its content is not what was uploaded. No part of the file is returned."""


@asynccontextmanager
async def document_given(
    records: Records, documents: DocumentStore, actor: Actor, override_id: int, sha256: str
) -> AsyncIterator[AsyncIterator[bytes]]:
    """Yield the pieces of an override's document, after its content is verified and the download is recorded.

    Raises DocumentNotGiven, which is recorded too, and DocumentsUnavailable.
    """
    try:
        async with documents.opened(sha256) as pieces:
            await _audit(records, actor, "read-document", override_id, sha256)
            yield pieces
    except (DocumentDamaged, DocumentMissing) as error:
        log.error("document not given", override=override_id, why=str(error))
        await _audit(records, actor, "document-unfit", override_id, sha256, why=str(error))
        raise DocumentNotGiven(
            f"The document of override {override_id} is not the file that was uploaded, so it is not shown. "
            f"{public_words(error)} Restore the file from a backup. Until then this override has no proof."
        ) from error


async def _audit(records: Records, actor: Actor, action: str, override_id: int, sha256: str, **more: str) -> None:
    async with records.change(actor) as change:
        change.audit(action, "override", override_id, document=sha256, **more)
