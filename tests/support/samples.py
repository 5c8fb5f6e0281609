"""The smallest valid file of each type that a consent document may have, and some files of other types."""

import io
import struct
import zipfile
import zlib
from pathlib import Path

from admin_web.cli.one_page import pdf_of

PDF = pdf_of(["I agree to be called on +1 415 555 0100."])


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


PNG = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(b"\0\0"))
    + _chunk(b"IEND", b"")
)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xd9"
TIFF = b"II*\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00"
TIFF_OF_A_MAC = b"MM\x00*\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00"
WAV = (
    b"RIFF"
    + struct.pack("<I", 36)
    + b"WAVEfmt "
    + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8)
    + b"data\0\0\0\0"
)
FRAME = b"\xff\xfb\x90\x64" + b"\0" * 413
MP3 = FRAME * 2
TAGGED_MP3 = b"ID3\x04\x00\x00\x00\x00\x01\x00" + b"\0" * 128 + FRAME
EML = (
    b"Received: from mail.example by mx.example;\r\n Mon, 2 Feb 2026 10:00:00 +0000\r\n"
    b"From: lead@example.com\r\nTo: office@example.com\r\nSubject: You may call me\r\n"
    b"Date: Mon, 2 Feb 2026 10:00:00 +0000\r\n\r\nYou may call me.\r\n"
)
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
HEIC_OF_MIF1 = b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic"


def archive(entries: dict[str, bytes]) -> bytes:
    """Return a ZIP archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in entries.items():
            written.writestr(name, content)
    return file.getvalue()


MAIN = "vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
WITH_MACROS = "vnd.ms-word.document.macroEnabled.main+xml"


def word(main: str = MAIN, **more: bytes) -> bytes:
    """Return a Word document whose main part has the content type `application/<main>`, and further entries."""
    types = f'<Types><Override PartName="/word/document.xml" ContentType="application/{main}"/></Types>'
    return archive({"[Content_Types].xml": types.encode(), "word/document.xml": b"<w:document/>", **more})


DOCX = word()
HTML = b"<!DOCTYPE html><html><script>alert(document.cookie)</script></html>"
EXE = b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00" + b"\0" * 200

ACCEPTED = [
    ("consent.pdf", PDF, "application/pdf"),
    ("scan.PNG", PNG, "image/png"),
    ("scan.jpg", JPEG, "image/jpeg"),
    ("scan.jpeg", JPEG, "image/jpeg"),
    ("fax.tif", TIFF, "image/tiff"),
    ("fax.tiff", TIFF_OF_A_MAC, "image/tiff"),
    ("call.wav", WAV, "audio/wav"),
    ("call.mp3", MP3, "audio/mpeg"),
    ("call.mp3", TAGGED_MP3, "audio/mpeg"),
    ("letter.eml", EML, "message/rfc822"),
    ("bom.pdf", b"\xef\xbb\xbf" + PDF, "application/pdf"),
    ("IMG_0042.HEIC", HEIC, "image/heic"),
    ("photo.heif", HEIC_OF_MIF1, "image/heic"),
    ("consent.docx", DOCX, "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
]


def written(directory: Path) -> list[Path]:
    """Write one file of each accepted type, for a browser's file chooser; return their paths."""
    paths = []
    for name, content, _ in ACCEPTED:
        path = directory / name
        path.write_bytes(content)
        paths.append(path)
    return paths
