"""A consent document is whole, on disk and under the name of its content before anything points at it."""

import hashlib
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from admin_web.documents import DocumentNotKept, DocumentStore, pieces_of, plain_name

LIMIT = 1000


@pytest.fixture
def store(tmp_path: Path) -> DocumentStore:
    return DocumentStore(tmp_path / "documents", LIMIT)


async def arriving(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def files(store: DocumentStore) -> list[Path]:
    return [path for path in store.directory.rglob("*") if path.is_file()]


async def test_a_document_is_found_under_the_sha256_of_its_content(store: DocumentStore):
    kept = await store.keep(arriving(b"I agree ", b"to be called."), "consent.txt", "text/plain")
    sha256 = hashlib.sha256(b"I agree to be called.").hexdigest()
    assert (kept.sha256, kept.size, kept.name, kept.media_type) == (sha256, 21, "consent.txt", "text/plain")
    assert store.path(sha256) == store.directory / sha256[:2] / sha256[2:]
    assert store.path(sha256).read_bytes() == b"I agree to be called."
    assert files(store) == [store.path(sha256)]


async def test_only_its_owner_reads_a_document(store: DocumentStore):
    kept = await store.keep(arriving(b"private"), "x", "text/plain")
    path = store.path(kept.sha256)
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent, store.directory)] == [0o600, 0o700, 0o700]


async def test_the_same_content_twice_is_one_file(store: DocumentStore):
    first = await store.keep(arriving(b"same"), "a.txt", "text/plain")
    second = await store.keep(arriving(b"sa", b"me"), "b.pdf", "application/pdf")
    assert first.sha256 == second.sha256
    assert len(files(store)) == 1


async def test_keeping_again_mends_a_damaged_file(store: DocumentStore):
    kept = await store.keep(arriving(b"whole"), "a", "text/plain")
    store.path(kept.sha256).write_bytes(b"dam")
    await store.keep(arriving(b"whole"), "a", "text/plain")
    assert store.path(kept.sha256).read_bytes() == b"whole"


async def test_the_limit_is_exact_and_what_is_beyond_it_leaves_nothing(store: DocumentStore):
    await store.keep(arriving(b"x" * LIMIT), "a", "text/plain")
    with pytest.raises(DocumentNotKept, match="larger than 1,000 bytes"):
        await store.keep(arriving(b"x" * LIMIT, b"y"), "a", "text/plain")
    assert len(files(store)) == 1


async def test_an_empty_document_shows_nothing_and_is_refused(store: DocumentStore):
    with pytest.raises(DocumentNotKept, match="empty"):
        await store.keep(arriving(), "a", "text/plain")
    assert files(store) == []


async def test_a_document_that_breaks_off_leaves_nothing(store: DocumentStore):
    async def breaking() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store.keep(breaking(), "a", "text/plain")
    assert files(store) == []


async def test_file_and_directories_reach_the_disk_before_it_is_called_kept(store: DocumentStore, monkeypatch):
    synced: list[tuple[str, list[Path]]] = []
    fsync = os.fsync

    def noticed(descriptor: int) -> None:
        synced.append((str(Path(f"/proc/self/fd/{descriptor}").readlink()), files(store)))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noticed)
    kept = await store.keep(arriving(b"kept"), "a", "text/plain")
    final = store.path(kept.sha256)
    (content, before), (inner, after), (outer, _) = synced
    assert "arriving-" in content
    assert final not in before
    assert (inner, outer) == (str(final.parent), str(store.directory))
    assert after == [final]


async def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DocumentNotKept, match="Not a directory"):
        await DocumentStore(tmp_path / "file" / "documents", LIMIT).keep(arriving(b"x"), "a", "text/plain")


async def test_a_file_of_this_machine_arrives_whole(tmp_path: Path, store: DocumentStore):
    (tmp_path / "letter").write_bytes(bytes(range(256)))
    kept = await store.keep(pieces_of(tmp_path / "letter"), "letter", "application/octet-stream")
    assert store.path(kept.sha256).read_bytes() == bytes(range(256))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("consent.pdf", "consent.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\consent.pdf", "consent.pdf"),
        ("a\r\nSet-Cookie: x", "aSet-Cookie: x"),
        ("", "document"),
        ("..", "document"),
        ("x" * 300, "x" * 255),
    ],
)
def test_a_name_is_shown_and_never_a_path(name, shown):
    assert plain_name(name) == shown
