"""Word documents without macros: ZIP archives whose directory is small, read without unpacking anything large."""

import zipfile
import zlib
from typing import BinaryIO

from admin_web.documents.members import require_honest

LARGEST_DIRECTORY = 1_000_000
"""Maximum size of an archive's directory, in bytes. A Word document has some 20 entries."""

LARGEST_PART = 1_000_000
"""Maximum size of the unpacked list of content types, in bytes."""

TYPES = "[Content_Types].xml"
DOCUMENT = "word/document.xml"
DOCUMENT_TYPE = b'"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"'
ACTIVE = ("vbaproject", "vbadata", "activex")
"""An entry whose name contains one of these words holds a program: a macro or an ActiveX control."""

_END = b"PK\x05\x06"
_END64_LOCATOR = b"PK\x06\x07"
_END_SIZE = 22
_LONGEST_COMMENT = 65_535


def is_word(file: BinaryIO) -> bool:
    """Return whether a file is a Word document (.docx) without macros, according to its content types."""
    found = _parts(file)
    if found is None:
        return False
    names, types = found
    return DOCUMENT in names and DOCUMENT_TYPE in types and not _is_active(names, types)


def has_macros(file: BinaryIO) -> bool:
    """Return whether a file is an Office document with macros or controls."""
    found = _parts(file)
    return found is not None and _is_active(*found)


def _is_active(names: frozenset[str], types: bytes) -> bool:
    return b"macroenabled" in types.lower() or any(part in name.lower() for name in names for part in ACTIVE)


def _parts(file: BinaryIO) -> tuple[frozenset[str], bytes] | None:
    """Return the names of an archive's entries, and its list of content types; None if it is no Office document."""
    if not _has_small_directory(file):
        return None
    try:
        with zipfile.ZipFile(file) as archive:
            require_honest(archive)
            with archive.open(TYPES) as part:
                types = part.read(LARGEST_PART + 1)
            names = frozenset(archive.namelist())
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, OSError, EOFError, RuntimeError, NotImplementedError):
        return None
    return (names, types) if len(types) <= LARGEST_PART else None


def _has_small_directory(file: BinaryIO) -> bool:
    """Return whether a file begins and ends like a ZIP archive whose directory is small (APPNOTE, 4.3.16)."""
    file.seek(0)
    if file.read(4) != b"PK\x03\x04":
        return False
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_SIZE - _LONGEST_COMMENT))
    tail = file.read()
    at = tail.rfind(_END)
    # A locator of ZIP64 before the end record would replace the size that is checked here.
    if at < 0 or len(tail) - at < _END_SIZE or tail[max(0, at - 20) : at].startswith(_END64_LOCATOR):
        return False
    return int.from_bytes(tail[at + 12 : at + 16], "little") <= LARGEST_DIRECTORY
