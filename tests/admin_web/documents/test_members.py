"""An archive whose members share bytes, or lie about themselves, is not read."""

import io
import struct
import zipfile
from pathlib import Path

import pytest

from admin_web.documents.members import require_honest
from admin_web.documents.word import is_word
from admin_web.lists.registries.source import Source
from admin_web.lists.sheet import NotASheet
from tests.support.samples import DOCX

DIRECTORY_ENTRY = b"PK\x01\x02"
OFFSET_AT, COMPRESSED_AT, SIZE_AT = 42, 20, 24


def archive(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members:
            made.writestr(name, content)
    return buffer.getvalue()


def with_field(content: bytes, entry: int, at: int, value: int) -> bytes:
    """Return an archive with another value in one directory entry (APPNOTE, 4.3.12)."""
    where = -1
    for _ in range(entry + 1):
        where = content.index(DIRECTORY_ENTRY, where + 1)
    return content[: where + at] + struct.pack("<I", value) + content[where + at + 4 :]


TWO = archive(("a.txt", b"2025550100\n" * 400), ("b.txt", b"2025550101\n" * 400))
SECOND = TWO.index(b"PK\x03\x04", 4)
SHARED = with_field(TWO, 1, OFFSET_AT, 0)
REACHING_OVER = with_field(TWO, 0, COMPRESSED_AT, SECOND + 100)
OUTSIDE = with_field(TWO, 1, COMPRESSED_AT, len(TWO) * 2)


def same_name() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return archive(("a.txt", b"2025550100\n"), ("a.txt", b"2025550101\n"))


@pytest.mark.parametrize(
    ("content", "said"),
    [(SHARED, "overlap"), (REACHING_OVER, "overlap"), (OUTSIDE, "overlap"), (same_name, "named a.txt")],
    ids=["the-same-bytes", "into-the-next", "into-the-directory", "the-same-name"],
)
def test_members_that_overlap_or_share_a_name_are_not_read(tmp_path: Path, content, said: str):
    path = tmp_path / "list.zip"
    path.write_bytes(content() if callable(content) else content)
    with zipfile.ZipFile(path) as opened, pytest.raises(zipfile.BadZipFile, match=said):
        require_honest(opened)
    with pytest.raises(NotASheet, match=said):
        Source([path])


@pytest.mark.parametrize(("at", "value"), [(SIZE_AT, 11), (SIZE_AT, 2200), (COMPRESSED_AT, 10)])
def test_a_member_that_lies_about_its_size_is_never_half_a_list(tmp_path: Path, at: int, value: int):
    path = tmp_path / "list.zip"
    path.write_bytes(with_field(TWO, 0, at, value))
    with pytest.raises(NotASheet, match="damaged"):
        for part in (source := Source([path])).parts:
            list(source.blocks(part))


def test_honest_archives_are_read(tmp_path: Path):
    path = tmp_path / "list.zip"
    path.write_bytes(TWO)
    assert [part.name for part in Source([path]).parts] == ["a.txt in list.zip", "b.txt in list.zip"]
    assert is_word(io.BytesIO(DOCX))


def test_a_word_document_whose_parts_overlap_is_none():
    assert not is_word(io.BytesIO(with_field(DOCX, 1, OFFSET_AT, 0)))
