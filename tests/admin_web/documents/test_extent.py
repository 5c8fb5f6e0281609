"""The pages of a PDF, and the size of an image, as the file says them. Hostile files cost little and show nothing."""

import struct
import time
import zlib
from collections.abc import AsyncIterator, Callable
from io import BytesIO
from pathlib import Path

import pytest

from admin_web.documents import DocumentStore
from admin_web.documents.extent import LARGEST_PDF, MOST_PAGES, Extent, extent_of
from tests.support.samples import DOCX, EML, JPEG, PDF, PNG, TIFF, WAV

ROOT = b"<< /Type /Pages /Kids [3 0 R] /Count %d /Resources << /Font << /F 1 0 R >> >> >>"


def pages(content: bytes) -> int | None:
    found = extent_of(BytesIO(content), "application/pdf")
    return found.pages if found else None


def pdf(*parts: bytes) -> bytes:
    return b"%PDF-1.5\n" + b"\n".join(parts)


def node(count: int) -> bytes:
    return b"2 0 obj " + ROOT % count + b" endobj"


def object_stream(text: bytes) -> bytes:
    return (
        b"9 0 obj << /Length 99 /Type /ObjStm /N 1 /First 4 /Filter /FlateDecode >> stream\r\n"
        + zlib.compress(text)
        + b"\nendstream endobj"
    )


def test_the_pages_are_the_count_of_the_trees_root():
    assert pages(PDF) == 1
    assert pages(pdf(node(12))) == 12
    child = b"5 0 obj << /Type /Pages /Parent 2 0 R /Kids [7 0 R] /Count 7 >> endobj"
    assert pages(pdf(child, node(12), child)) == 12
    outline = b"8 0 obj << /Type /Outlines /Count 44 >> endobj"
    assert pages(pdf(outline, node(3), outline)) == 3


def test_an_update_that_adds_or_removes_pages_counts():
    assert pages(pdf(node(12), node(9))) == 9
    assert pages(pdf(node(9), object_stream(ROOT % 10))) == 10


def test_a_tree_in_an_object_stream_is_found():
    assert pages(pdf(object_stream(b"2 0 " + ROOT % 31), b"trailer")) == 31


@pytest.mark.parametrize(
    "content",
    [
        pdf(), pdf(node(0)), pdf(node(MOST_PAGES + 1)), pdf(b"/Type /Pages /Count 4"),
        pdf(b"<< /Type /Pages /Count -4 >>"),
        pdf(b"<< /Type /Pages /Count 99999999999 >>"), pdf(object_stream(ROOT % 4).replace(b"x", b"y")),
        pdf(node(4)) + b" " * LARGEST_PDF,
    ],
)  # fmt: skip
def test_a_count_that_is_missing_or_beyond_belief_is_not_shown(content):
    assert pages(content) is None


HOSTILE: dict[str, Callable[[], bytes]] = {
    "bomb": lambda: pdf(object_stream(b" " * 400_000_000)),
    "bombs": lambda: pdf(*[object_stream(b"<<" * 10_000_000)] * 20),
    "damaged-bombs": lambda: pdf(*[object_stream(b" " * 31_000_000)[:-30] + b"damaged"] * 400),
    "many-damaged": lambda: pdf(*[object_stream(b" " * 200_000)[:200] + b"damaged"] * 2_000),
    "brackets": lambda: pdf(b"<<" * 2_000_000 + b"/Type /Pages " * 100_000),
    "nodes": lambda: pdf(b"/Type /Pages << " * 1_000_000),
    "streams": lambda: pdf(b"/Type /ObjStm " * 1_000_000),
}
"""What makes each file. The collection of the tests, in every worker, would take seconds if it made them."""


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_costs_seconds_at_most(make: Callable[[], bytes]):
    content = make()
    began = time.process_time()
    assert pages(content) is None
    assert time.process_time() - began < 5


def jpeg(*segments: bytes) -> bytes:
    return b"\xff\xd8" + b"".join(segments)


FRAME_HEADER = b"\xff\xc2\x00\x0b\x08" + struct.pack(">HH", 3024, 4032) + b"\x01\x01\x11\x00"
HUFFMAN = b"\xff\xc4\x00\x0b\x08" + struct.pack(">HH", 1, 1) + b"\x01\x01\x11\x00"
EXIF = b"\xff\xe1\x00\x0fExif\0\0\xff\xc0\x00\x0b\x08\0\1"


def ispe(width: int, height: int) -> bytes:
    return b"\0\0\0\x14ispe\0\0\0\0" + struct.pack(">II", width, height)


@pytest.mark.parametrize(
    ("content", "media_type", "size"),
    [
        (PNG, "image/png", (1, 1)),
        (PNG[:16] + struct.pack(">II", 2480, 3508), "image/png", (2480, 3508)),
        (PNG[:20], "image/png", None),
        (PNG[:16] + bytes(8), "image/png", None),
        (jpeg(EXIF, HUFFMAN, b"\xff", FRAME_HEADER), "image/jpeg", (4032, 3024)),
        (jpeg(EXIF, HUFFMAN), "image/jpeg", None),
        (jpeg(b"\xff\xe0\0\0" * 100), "image/jpeg", None),
        (JPEG, "image/jpeg", None),
        (b"\0\0\0\x18ftypheic" + ispe(320, 240) + ispe(4032, 3024) + ispe(512, 512), "image/heic", (4032, 3024)),
        (b"\0\0\0\x18ftypheic" + ispe(320, 240)[:-2], "image/heic", None),
    ],
)
def test_the_size_of_an_image_is_that_of_its_headers(content, media_type, size):
    found = extent_of(BytesIO(content), media_type)
    assert (found.pixels if found else None) == size


@pytest.mark.parametrize("content", [EML, DOCX, WAV, TIFF])
def test_other_kinds_have_no_extent(content):
    assert extent_of(BytesIO(content), "message/rfc822") is None


def test_an_extent_is_written_for_people():
    assert [str(Extent(pages=1)), str(Extent(pages=1200)), str(Extent(pixels=(640, 480)))] == [
        "1 page", "1,200 pages", "640 × 480 pixels",
    ]  # fmt: skip


async def test_a_document_is_read_once_and_a_missing_one_shows_nothing(tmp_path: Path):
    async def pieces() -> AsyncIterator[bytes]:
        yield PDF

    store = DocumentStore(tmp_path, 1_000_000)
    kept = await store.keep(pieces(), "consent.pdf")
    assert await store.extent("0" * 64, "application/pdf") is None
    assert await store.extent(kept.sha256, "application/pdf") == Extent(pages=1)
    await store.shelf.remove(kept.sha256)
    assert await store.extent(kept.sha256, "application/pdf") == Extent(pages=1)
