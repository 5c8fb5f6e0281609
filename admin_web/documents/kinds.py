"""The kinds of file that are accepted as consent documents, recognised by content and compared with the file's name.

A person can type any file name, but the content determines how a browser treats a file.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

import puremagic

from admin_web.documents.faults import WrongKind
from admin_web.documents.word import has_macros, is_word

HEAD = 64 * 1024
"""Number of bytes at the start of a file from which its kind is recognised. The header of a signed mail fits into them.
"""

PADDING = 4096
"""Maximum number of zero bytes between the ID3 tag of an MP3 file and its first frame."""

FIELD = re.compile(rb"[!-9;-~]+(?=[ \t]*:)")
"""The name of a header field (RFC 5322, section 2.2): printable ASCII up to the colon."""

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

PDF_HEADER_WITHIN = 1024
PDF_HEADER = re.compile(rb"%PDF-\d\.\d")
MARKUP = re.compile(rb"<[a-z!?/]", re.IGNORECASE)
OTHER_KINDS = (
    b"GIF8",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"RIFF",
    b"II*\0",
    b"MM\0*",
    b"PK",
    b"MZ",
    b"\x7fELF",
    b"Rar!",
    b"#!",
)
"""First bytes that determine the kind of a file, even if a PDF header follows them."""

LARGEST_BRANDS = 256
HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})

OFTEN_SENT = {
    b"MZ": "a Windows program",
    b"\x7fELF": "a Linux program",
    b"PK\x03\x04": "an Office document or a ZIP archive",
}
"""First bytes of common kinds of files that puremagic mistakes for rarer kinds."""


@dataclass(frozen=True, slots=True)
class DocumentKind:
    """One kind of file. `label` completes "it is …". `endings` are the endings of file names, the usual one first."""

    label: str
    media_type: str
    endings: tuple[str, ...]
    matches: Callable[[BinaryIO], bool]


def require_name(name: str) -> DocumentKind:
    """Return the kind that belongs to the ending of a file's name. Raises WrongKind."""
    ending = PurePosixPath(name).suffix.lower()
    for kind in KINDS:
        if ending in kind.endings:
            return kind
    raise WrongKind(f"“{name}” has no accepted file type. Choose a file whose name ends in {ACCEPTED}.")


def require_content(name: str, named: DocumentKind, file: BinaryIO, declared: str = "") -> None:
    """Raise WrongKind unless the content of a file matches `named`, the kind according to the file's name.

    If `declared`, the media type that the sender gave, belongs to an accepted kind, the content must match that kind
    too.
    """
    found = next((kind for kind in BY_CERTAINTY if kind.matches(file)), None)
    if found is None:
        raise WrongKind(
            f"“{name}” is not {named.label}: its content is {_description(file)}. "
            f"Choose a file of one of these types: {ACCEPTED}."
        )
    if found is not named:
        raise WrongKind(
            f"“{name}” is {found.label} by its content, not {named.label}: "
            f"check that it is the right file, and give it a name that ends in {found.endings[0]}."
        )
    if declared != found.media_type and declared in MEDIA_TYPES:
        raise WrongKind(f"“{name}” is {found.label}, but was sent as {declared}: check that it is the right file.")


def _description(file: BinaryIO) -> str:
    """Return a guess at the kind of a refused file, in words that complete "its content is …"."""
    head = _head(file)
    if has_macros(file):
        return "an Office document with macros or controls"
    for begin, what in OFTEN_SENT.items():
        if head.startswith(begin):
            return what
    try:
        guesses = puremagic.magic_string(head[:4096])
    except (puremagic.PureError, ValueError):
        guesses = []
    if guesses:
        return f"another kind of file ({guesses[0].name.strip()})"
    return "plain text" if _is_text(head) else "of another kind"


def _is_text(head: bytes) -> bool:
    return not any(byte < 32 and byte not in b"\t\r\n\f" for byte in head)


def _head(file: BinaryIO, most: int = HEAD) -> bytes:
    file.seek(0)
    return file.read(most)


def _begins(*patterns: bytes) -> Callable[[BinaryIO], bool]:
    """Return a function that checks first bytes against patterns. In a pattern `.` stands for any byte."""
    expressions = [re.compile(pattern, re.DOTALL) for pattern in patterns]
    return lambda file: any(expression.match(_head(file, 64)) for expression in expressions)


def _is_pdf(file: BinaryIO) -> bool:
    """Return whether a PDF header is in the first 1,024 bytes, and no other kind of file begins before it.

    ISO 32000-1, annex H, note 13: viewers accept a header there. In practice, byte order marks, blank lines and
    printer commands stand before it.
    """
    head = _head(file, PDF_HEADER_WITHIN)
    header = PDF_HEADER.search(head)
    if header is None:
        return False
    before = head[: header.start()]
    return not MARKUP.search(before) and not before.startswith(OTHER_KINDS)


def _is_heic(file: BinaryIO) -> bool:
    """Return whether a file begins with a file type box of HEIC (ISO/IEC 23008-12, annex B)."""
    head = _head(file, LARGEST_BRANDS)
    size = int.from_bytes(head[:4], "big")
    if head[4:8] != b"ftyp" or not 16 <= size <= LARGEST_BRANDS:
        return False
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, min(size, len(head)), 4))}
    return bool(brands & HEIC_BRANDS)


def _is_mp3(file: BinaryIO) -> bool:
    """Return whether a file begins with MPEG layer III audio, or with an ID3 tag and then such audio.

    The length of the tag is encoded in four bytes of 7 bits each.
    """
    head = _head(file, 10)
    if head[:3] != b"ID3":
        return _is_frame(head)
    if len(head) < 10 or any(byte > 127 for byte in head[6:]):
        return False
    length = sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
    file.seek(10 + length)
    return _is_frame(file.read(PADDING).lstrip(b"\0"))


def _is_frame(start: bytes) -> bool:
    """Return whether bytes are the header of a layer III frame: eleven bits set, and no reserved value after them."""
    if len(start) < 4 or start[0] != 0xFF or start[1] & 0xE0 != 0xE0:
        return False
    version, layer, bitrate, rate = start[1] >> 3 & 3, start[1] >> 1 & 3, start[2] >> 4, start[2] >> 2 & 3
    return version != 1 and layer == 1 and bitrate not in {0, 15} and rate != 3


def _is_mail(file: BinaryIO) -> bool:
    """Return whether a file is a mail: its first lines are header fields that include From and Date (RFC 5322, 3.6)."""
    head, fields = _head(file), set[bytes]()
    if b"\0" in head:
        return False
    whole = head if len(head) < HEAD else head.rpartition(b"\n")[0]
    for line in whole.replace(b"\r", b"").split(b"\n"):
        if not line:
            break
        if line[:1] in {b" ", b"\t"} and fields:
            continue
        if (field := FIELD.match(line)) is None:
            return False
        fields.add(field[0].lower())
    return {b"from", b"date"} <= fields


KINDS = (
    DocumentKind("a PDF document", "application/pdf", (".pdf",), _is_pdf),
    DocumentKind("a PNG image", "image/png", (".png",), _begins(rb"\x89PNG\r\n\x1a\n.{4}IHDR")),
    DocumentKind("a JPEG image", "image/jpeg", (".jpg", ".jpeg"), _begins(rb"\xff\xd8\xff[\xc0-\xfe]")),
    DocumentKind("a HEIC image", "image/heic", (".heic", ".heif"), _is_heic),
    DocumentKind("a TIFF image", "image/tiff", (".tif", ".tiff"), _begins(rb"II[*+]\0", rb"MM\0[*+]")),
    DocumentKind("a WAV recording", "audio/wav", (".wav",), _begins(rb"(RIFF|RF64|BW64).{4}WAVE")),
    DocumentKind("an MP3 recording", "audio/mpeg", (".mp3",), _is_mp3),
    DocumentKind("a mail (EML)", "message/rfc822", (".eml",), _is_mail),
    DocumentKind("a Word document", WORD, (".docx",), is_word),
)
BY_CERTAINTY = (*KINDS[1:], KINDS[0])
"""The kinds in the order in which they are tried. A PDF is the last, because its header need not be at the start."""

MEDIA_TYPES = frozenset(kind.media_type for kind in KINDS)
ENDINGS = tuple(ending for kind in KINDS for ending in kind.endings)
ACCEPTED = ", ".join(ENDINGS)
