"""The kinds of file that a consent document may be: told by their content, and held against their names.

A name is what somebody typed; only the content decides what a browser would make of a file.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

import puremagic

from admin_web.documents.faults import WrongKind

HEAD = 64 * 1024
"""Bytes that a kind is told by; the header of a mail with all its signatures fits in."""

PADDING = 4096
"""Most zero bytes between the tag of an MP3 file and its sound."""

FIELD = re.compile(rb"[!-9;-~]+(?=[ \t]*:)")
"""The name of a header field (RFC 5322, section 2.2): printable ASCII without the colon that ends it."""


OFTEN_SENT = {
    b"MZ": "a Windows program",
    b"\x7fELF": "a Linux program",
    b"PK\x03\x04": "an Office document or a ZIP archive",
}
"""Files that puremagic takes for rarer ones."""


@dataclass(frozen=True, slots=True)
class DocumentKind:
    """One kind of file; `called` as in "it is …", `endings` of its names, the usual one first."""

    called: str
    media_type: str
    endings: tuple[str, ...]
    tells: Callable[[BinaryIO], bool]


def require_name(name: str) -> DocumentKind:
    """Give the kind that a file's name ends in. Raises WrongKind."""
    ending = PurePosixPath(name).suffix.lower()
    for kind in KINDS:
        if ending in kind.endings:
            return kind
    raise WrongKind(f"“{name}” is no consent document by its name. Kept are files that end in {ACCEPTED}.")


def require_content(name: str, named: DocumentKind, file: BinaryIO, declared: str = "") -> None:
    """Raise WrongKind unless a file is what its name says, and what its sender declares if that is one of the kinds."""
    found = next((kind for kind in KINDS if kind.tells(file)), None)
    if found is None:
        raise WrongKind(
            f"“{name}” is not {named.called}: its content is {_something(file)}. Kept are files that end in {ACCEPTED}."
        )
    if found is not named:
        raise WrongKind(
            f"“{name}” is {found.called} by its content, not {named.called}: "
            f"check that it is the right file, and give it a name that ends in {found.endings[0]}."
        )
    if declared != found.media_type and declared in MEDIA_TYPES:
        raise WrongKind(f"“{name}” is {found.called}, and was sent as {declared}: check that it is the right file.")


def _something(file: BinaryIO) -> str:
    """Say what a file of no accepted kind is, as well as that can be told."""
    head = _head(file)
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
    """Tell by the first bytes, of which `.` in a pattern is any one."""
    expressions = [re.compile(pattern, re.DOTALL) for pattern in patterns]
    return lambda file: any(expression.match(_head(file, 64)) for expression in expressions)


def _is_mp3(file: BinaryIO) -> bool:
    """Tell MPEG sound of layer III, after an ID3 tag or without one; the tag's length is four 7-bit bytes."""
    head = _head(file, 10)
    if head[:3] != b"ID3":
        return _is_frame(head)
    if len(head) < 10 or any(byte > 127 for byte in head[6:]):
        return False
    length = sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
    file.seek(10 + length)
    return _is_frame(file.read(PADDING).lstrip(b"\0"))


def _is_frame(start: bytes) -> bool:
    """Tell the header of a layer III frame: eleven bits set, then no value that the standard reserves."""
    if len(start) < 4 or start[0] != 0xFF or start[1] & 0xE0 != 0xE0:
        return False
    version, layer, bitrate, rate = start[1] >> 3 & 3, start[1] >> 1 & 3, start[2] >> 4, start[2] >> 2 & 3
    return version != 1 and layer == 1 and bitrate not in {0, 15} and rate != 3


def _is_mail(file: BinaryIO) -> bool:
    """Tell a mail: it begins with header fields and nothing else, among them From and Date (RFC 5322, section 3.6)."""
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
    DocumentKind("a PDF document", "application/pdf", (".pdf",), _begins(rb"%PDF-\d\.\d")),
    DocumentKind("a PNG image", "image/png", (".png",), _begins(rb"\x89PNG\r\n\x1a\n.{4}IHDR")),
    DocumentKind("a JPEG image", "image/jpeg", (".jpg", ".jpeg"), _begins(rb"\xff\xd8\xff[\xc0-\xfe]")),
    DocumentKind("a TIFF image", "image/tiff", (".tif", ".tiff"), _begins(rb"II[*+]\0", rb"MM\0[*+]")),
    DocumentKind("a WAV recording", "audio/wav", (".wav",), _begins(rb"(RIFF|RF64|BW64).{4}WAVE")),
    DocumentKind("an MP3 recording", "audio/mpeg", (".mp3",), _is_mp3),
    DocumentKind("a mail (EML)", "message/rfc822", (".eml",), _is_mail),
)

MEDIA_TYPES = frozenset(kind.media_type for kind in KINDS)
ENDINGS = tuple(ending for kind in KINDS for ending in kind.endings)
ACCEPTED = ", ".join(ENDINGS)
