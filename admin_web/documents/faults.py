"""Why a document is not kept, or not given out: each message is one sentence that helps."""

from compliance.refusal import Refused


class DocumentNotKept(Refused):
    """A document was not kept; nothing of it is left."""


class EmptyDocument(DocumentNotKept):
    """There was no file, or nothing in it."""


class DocumentTooLarge(DocumentNotKept):
    """The file is larger than the settings allow."""


class WrongKind(DocumentNotKept):
    """The file is, by its content or by its name, none of the kinds that are kept."""


class DocumentsUnavailable(DocumentNotKept):
    """The directory, or the bucket, cannot be written or read at this moment."""


class DocumentMissing(Exception):
    """A document that is on record is not where it is kept."""


class DocumentDamaged(Exception):
    """A document's content is not what its name says: it was changed after it was kept."""
