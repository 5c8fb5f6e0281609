"""Consent documents, named by the hash of their content, and complete on disk before any row refers to them."""

from admin_web.documents.faults import (
    DocumentDamaged,
    DocumentMissing,
    DocumentNotKept,
    DocumentsUnavailable,
    DocumentTooLarge,
    EmptyDocument,
    WrongKind,
)
from admin_web.documents.kinds import ENDINGS, MEDIA_TYPES
from admin_web.documents.store import DocumentStore, Kept, documents_of, pieces_of, plain_name

__all__ = [
    "ENDINGS",
    "MEDIA_TYPES",
    "DocumentDamaged",
    "DocumentMissing",
    "DocumentNotKept",
    "DocumentStore",
    "DocumentTooLarge",
    "DocumentsUnavailable",
    "EmptyDocument",
    "Kept",
    "WrongKind",
    "documents_of",
    "pieces_of",
    "plain_name",
]
