"""Consent documents. Each is named by the hash of its content, and stored completely before any row refers to it."""

from admin_web.documents.faults import (
    DocumentDamaged,
    DocumentMissing,
    DocumentNotKept,
    DocumentsUnavailable,
    DocumentTooLarge,
    EmptyDocument,
    WrongKind,
)
from admin_web.documents.store import DocumentStore, Kept, documents_of, pieces_of, plain_name

__all__ = [
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
