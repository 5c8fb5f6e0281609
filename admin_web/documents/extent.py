"""How much a document holds: the pages of a PDF, or the size of an image, read from its headers and never rendered.

The extent helps a reviewer to notice a wrong document. It is what the file claims, and no proof.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

LARGEST_PDF = 32_000_000
"""Maximum size of a PDF whose pages are counted, and of its unpacked object streams together, in bytes."""

MOST_PAGES = 100_000
"""Maximum number of pages. If a PDF claims more, its extent counts as unknown."""

IMAGE_HEAD = 1_000_000
"""Number of bytes at the start of an image that are searched for its size."""

MOST_NODES, NODE = 300, 16_384
"""Maximum number of nodes of a page tree that are read, and of bytes that are read before and after a node's type."""

MOST_STREAMS, STREAM_HEAD = 2_000, 400
"""Maximum number of object streams that are unpacked, and of bytes between the type of a stream and its data."""

PACKED_PIECE = 256
"""Number of packed bytes that are unpacked at a time. They become at most a thousand times as many."""

_PAGES = re.compile(rb"/Type\s*/Pages\b")
_COUNT = re.compile(rb"/Count\s+([0-9]{1,7})\b")
_BRACKETS = re.compile(rb"<<|>>")
_OBJECT_STREAM = re.compile(rb"/Type\s*/ObjStm\b")
_DATA = re.compile(rb"\bstream\r?\n")


@dataclass(frozen=True, slots=True)
class Extent:
    """The extent of a document: its pages, or its width and height in pixels."""

    pages: int | None = None
    pixels: tuple[int, int] | None = None

    def __str__(self) -> str:
        if self.pixels:
            return f"{self.pixels[0]} × {self.pixels[1]} pixels"  # noqa: RUF001 - the sign for people
        return "1 page" if self.pages == 1 else f"{self.pages:,} pages"


def extent_of(file: BinaryIO, media_type: str) -> Extent | None:
    """Return the extent of a document; None if its kind has no extent, or if the file does not state it."""
    file.seek(0)
    if media_type == "application/pdf":
        pages = _pages(file.read(LARGEST_PDF + 1))
        return Extent(pages=pages) if pages else None
    if (read := _PIXELS.get(media_type)) and (pixels := read(file.read(IMAGE_HEAD))) and all(pixels):
        return Extent(pixels=pixels)
    return None


def _pages(data: bytes) -> int | None:
    """Return the count in the root of the page tree (ISO 32000-1, 7.7.3.2). An update appends another root."""
    if len(data) > LARGEST_PDF:
        return None
    found: int | None = None
    for node in islice(_nodes(data), MOST_NODES):
        count = _COUNT.search(node)
        if count and b"/Parent" not in node:
            found = int(count[1])
    return found if found and found <= MOST_PAGES else None


def _with_object_streams(data: bytes) -> Iterator[bytes]:
    """Yield a PDF's text in parts and in order: each object stream, and the text between the object streams."""
    at, left = 0, LARGEST_PDF
    for stream in islice(_OBJECT_STREAM.finditer(data), MOST_STREAMS):
        packed = _DATA.search(data, stream.end(), stream.end() + STREAM_HEAD)
        if packed is None:
            continue
        yield data[at : stream.start()]
        at = packed.end()
        text, size = _unpacked(memoryview(data)[at:], left)
        left -= size
        yield text
        if left <= 0:
            return
    yield data[at:]


def _unpacked(packed: memoryview, most: int) -> tuple[bytes, int]:
    """Unpack at most `most` bytes. Return the text, or b"" if it is damaged, and how many bytes were unpacked.

    A text that turns out to be damaged at its end was unpacked too, so it counts. Encrypted texts fail at once.
    """
    unpacker, text = zlib.decompressobj(), bytearray()
    try:
        for at in range(0, len(packed), PACKED_PIECE):
            text += unpacker.decompress(packed[at : at + PACKED_PIECE], most - len(text))
            if unpacker.eof or len(text) >= most:
                break
    except zlib.error:
        return b"", len(text)
    return bytes(text), len(text)


def _nodes(data: bytes) -> Iterator[bytes]:
    """Yield the dictionary of each node of a page tree; b"" if the bounds of a dictionary are not found."""
    for text in _with_object_streams(data):
        for found in _PAGES.finditer(text):
            begin = _open_bracket(text, found.start())
            end = _close_bracket(text, found.end())
            yield text[begin:end] if begin is not None and end is not None else b""


def _open_bracket(text: bytes, at: int) -> int | None:
    """Return where the dictionary around a position begins; None if that is too far away."""
    first, depth = max(0, at - NODE), 0
    while (opening := text.rfind(b"<<", first, at)) >= 0:
        closing = text.rfind(b">>", first, at)
        depth += 1 if closing > opening else -1
        at = max(opening, closing)
        if depth < 0:
            return at
    return None


def _close_bracket(text: bytes, at: int) -> int | None:
    depth = 0
    for bracket in _BRACKETS.finditer(text, at, at + NODE):
        depth += 1 if bracket[0] == b"<<" else -1
        if depth < 0:
            return bracket.start()
    return None


def _png(head: bytes) -> tuple[int, int] | None:
    return _size(head, 16, 4) if head[12:16] == b"IHDR" else None


def _jpeg(head: bytes) -> tuple[int, int] | None:
    """Return the size in the frame header (ITU-T T.81, B.2.2), which follows segments of known length."""
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker, length = head[at + 1], int.from_bytes(head[at + 2 : at + 4], "big")
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            height, width = _size(head, at + 5, 2) or (0, 0)
            return width, height
        at += 2 + max(length, 2)
    return None


def _heic(head: bytes) -> tuple[int, int] | None:
    """Return the largest of the image sizes (ISO/IEC 23008-12, 6.5.3): thumbnails and tiles have sizes too."""
    sizes = [size for at in _places(head, b"ispe") if (size := _size(head, at + 8, 4))]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _places(data: bytes, word: bytes) -> Iterator[int]:
    at = data.find(word)
    while at >= 0:
        yield at
        at = data.find(word, at + 1)


def _size(data: bytes, at: int, width: int) -> tuple[int, int] | None:
    """Return two numbers of `width` bytes each; None if the data ends before them."""
    if len(data) < at + 2 * width:
        return None
    first, second = data[at : at + width], data[at + width : at + 2 * width]
    return int.from_bytes(first, "big"), int.from_bytes(second, "big")


_PIXELS: dict[str, Callable[[bytes], tuple[int, int] | None]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/heic": _heic,
}
