"""Errors of storing or reading a document. Each message is for people and says what to do."""

from compliance.refusal import Refused


class DocumentNotKept(Refused):
    """A document was not stored, and no part of it remains."""


class EmptyDocument(DocumentNotKept):
    """No file was sent, or the file is empty."""


class DocumentTooLarge(DocumentNotKept):
    """The file is larger than the settings allow."""


class WrongKind(DocumentNotKept):
    """The content or the name of the file is not of an accepted kind."""


class DocumentsUnavailable(DocumentNotKept):
    """The directory or the bucket cannot be read or written now. The message names it; `public` does not."""

    public = "Documents cannot be kept or read at the moment. Try again later."


class DocumentMissing(Exception):
    """A document that is on record is not in its directory or bucket. The message names the place."""

    public = "The file is missing in the place where documents are kept."


class DocumentDamaged(Exception):
    """The content of a document does not match its SHA-256, so the file was changed after it was stored."""
