"""A consent document is complete, and named by its hash, before any record refers to it, in every kind of store."""

import hashlib
import os
import stat
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore, S3Store

from admin_web.documents import (
    DocumentDamaged,
    DocumentMissing,
    DocumentNotKept,
    DocumentStore,
    DocumentsUnavailable,
    DocumentTooLarge,
    EmptyDocument,
    WrongKind,
    pieces_of,
    plain_name,
)
from admin_web.documents.bucket import Bucket
from admin_web.documents.shelf import relative_path
from tests.support.samples import EXE, PDF

LIMIT = 2000
OTHER = PDF.replace(b"agree", b"AGREE")
SHA256 = hashlib.sha256(PDF).hexdigest()


@pytest.fixture
def local(tmp_path: Path) -> DocumentStore:
    """A document store in a directory."""
    return DocumentStore(tmp_path / "documents", LIMIT)


@pytest.fixture(params=["directory", "bucket in memory", "bucket in a directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> DocumentStore:
    """A document store in a directory, and in two kinds of obstore bucket."""
    arriving = tmp_path / "documents"
    if request.param == "directory":
        return DocumentStore(arriving, LIMIT)
    bucket = MemoryStore() if "memory" in request.param else LocalStore(tmp_path / "bucket", mkdir=True)
    return DocumentStore(arriving, LIMIT, Bucket(bucket, arriving))


async def arriving(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def kept_in(store: DocumentStore) -> list[str]:
    return [sha256 async for sha256 in store.shelf.kept_before(datetime.now(UTC) + timedelta(days=1))]


async def content(store: DocumentStore, sha256: str) -> bytes:
    async with store.opened(sha256) as pieces:
        return b"".join([piece async for piece in pieces])


def files(store: DocumentStore) -> list[Path]:
    return [path for path in store.directory.rglob("*") if path.is_file()]


async def test_a_document_is_found_under_the_sha256_of_its_content(store: DocumentStore):
    kept = await store.keep(arriving(PDF[:7], PDF[7:]), "consent.pdf", "application/pdf")
    assert (kept.sha256, kept.size, kept.name, kept.media_type) == (SHA256, len(PDF), "consent.pdf", "application/pdf")
    assert await kept_in(store) == [SHA256]
    assert await content(store, SHA256) == PDF
    await kept.require_there()


async def test_the_media_type_is_that_of_the_content_not_that_of_the_sender(store: DocumentStore):
    assert (await store.keep(arriving(PDF), "consent.pdf", "text/html")).media_type == "application/pdf"


async def test_nothing_but_the_document_is_left_where_it_arrived(store: DocumentStore):
    await store.keep(arriving(PDF), "consent.pdf")
    assert [path for path in files(store) if "arriving" in path.name] == []


async def test_only_its_owner_reads_a_document(local: DocumentStore):
    kept = await local.keep(arriving(PDF), "x.pdf")
    path = local.directory / relative_path(kept.sha256)
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent, local.directory)]
    assert modes == [0o600, 0o700, 0o700]


async def test_the_same_content_twice_is_one_file(store: DocumentStore):
    first = await store.keep(arriving(PDF), "a.pdf")
    second = await store.keep(arriving(PDF[:100], PDF[100:]), "b.PDF")
    assert first.sha256 == second.sha256
    assert len(await kept_in(store)) == 1


async def test_keeping_again_mends_a_damaged_file(local: DocumentStore):
    kept = await local.keep(arriving(PDF), "a.pdf")
    (local.directory / relative_path(kept.sha256)).write_bytes(b"dam")
    await local.keep(arriving(PDF), "a.pdf")
    assert await content(local, kept.sha256) == PDF


async def test_the_limit_is_exact_and_what_is_beyond_it_leaves_nothing(store: DocumentStore):
    await store.keep(arriving(PDF.ljust(LIMIT)), "a.pdf")
    with pytest.raises(DocumentTooLarge, match=r"larger than 0\.002 MB"):
        await store.keep(arriving(PDF.ljust(LIMIT), b"y"), "a.pdf")
    assert len(await kept_in(store)) == 1


@pytest.mark.parametrize("pieces", [(), (b"", b"")])
async def test_an_empty_document_shows_nothing_and_is_refused(store: DocumentStore, pieces):
    with pytest.raises(EmptyDocument, match="empty"):
        await store.keep(arriving(*pieces), "a.pdf")
    assert files(store) == await kept_in(store) == []


async def test_a_program_that_is_named_pdf_leaves_nothing(store: DocumentStore):
    with pytest.raises(WrongKind, match="Windows"):
        await store.keep(arriving(EXE), "consent.pdf", "application/pdf")
    assert files(store) == await kept_in(store) == []


async def test_a_name_of_no_accepted_kind_is_refused_before_the_file_is_read(store: DocumentStore):
    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError
        yield b""

    with pytest.raises(WrongKind, match=r"consent\.exe"):
        await store.keep(unread(), "consent.exe")
    assert files(store) == []


async def test_a_document_that_breaks_off_leaves_nothing(store: DocumentStore):
    async def breaking() -> AsyncIterator[bytes]:
        yield PDF[:100]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store.keep(breaking(), "a.pdf")
    assert files(store) == await kept_in(store) == []


async def test_file_and_directories_reach_the_disk_before_it_is_called_kept(local: DocumentStore, monkeypatch):
    synced: list[tuple[str, list[Path]]] = []
    fsync = os.fsync

    def noticed(descriptor: int) -> None:
        synced.append((str(Path(f"/proc/self/fd/{descriptor}").readlink()), files(local)))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noticed)
    kept = await local.keep(arriving(PDF), "a.pdf")
    final = local.directory / relative_path(kept.sha256)
    (written, before), (inner, after), (outer, _) = synced
    assert "arriving-" in written
    assert final not in before
    assert (inner, outer) == (str(final.parent), str(local.directory))
    assert after == [final]


async def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DocumentsUnavailable, match="Not a directory"):
        await DocumentStore(tmp_path / "file" / "documents", LIMIT).keep(arriving(PDF), "a.pdf")


async def test_a_bucket_that_cannot_be_reached_is_one_sentence_and_keeps_nothing(tmp_path: Path):
    nowhere = S3Store(
        "documents", endpoint="http://127.0.0.1:9", region="us-east-1", access_key_id="a", secret_access_key="b",
        client_options={"allow_http": True}, retry_config={"max_retries": 0},
    )  # fmt: skip
    store = DocumentStore(tmp_path / "documents", LIMIT, Bucket(nowhere, tmp_path / "documents"))
    with pytest.raises(DocumentsUnavailable, match="bucket for documents cannot be reached") as caught:
        await store.keep(arriving(PDF), "a.pdf")
    assert "\n" not in str(caught.value)
    with pytest.raises(DocumentsUnavailable):
        await content(store, SHA256)
    assert files(store) == []


async def test_a_file_of_this_machine_arrives_whole(tmp_path: Path, store: DocumentStore):
    (tmp_path / "letter.pdf").write_bytes(PDF)
    kept = await store.keep(pieces_of(tmp_path / "letter.pdf"), "letter.pdf")
    assert await content(store, kept.sha256) == PDF


async def test_not_one_byte_of_a_document_that_was_changed_is_given_out(store: DocumentStore, tmp_path: Path):
    changed = tmp_path / "changed"
    await store.keep(arriving(PDF), "a.pdf")
    for damage in (PDF + b" ", PDF[:-1], OTHER, b""):
        changed.write_bytes(damage)
        await store.shelf.put(changed, SHA256)
        given: list[bytes] = []
        with pytest.raises(DocumentDamaged, match=SHA256):
            async with store.opened(SHA256) as pieces:
                given.extend([piece async for piece in pieces])
        assert given == []


async def test_a_document_that_is_gone_is_told_from_one_that_is_damaged(store: DocumentStore):
    kept = await store.keep(arriving(PDF), "a.pdf")
    await store.shelf.remove(kept.sha256)
    await store.shelf.remove(kept.sha256)
    with pytest.raises(DocumentMissing):
        await content(store, kept.sha256)
    with pytest.raises(DocumentNotKept, match="Upload it again"):
        await kept.require_there()


async def test_only_what_was_kept_before_a_moment_is_named_and_nothing_else_that_lies_there(store: DocumentStore):
    kept = await store.keep(arriving(PDF), "a.pdf")
    stranger = store.directory / "no" / "document"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("a stranger")
    now = datetime.now(UTC)
    assert [one async for one in store.shelf.kept_before(now + timedelta(minutes=1))] == [kept.sha256]
    assert [one async for one in store.shelf.kept_before(now - timedelta(minutes=1))] == []


async def test_what_a_crash_cut_short_is_forgotten_later_and_what_arrives_now_is_not(local: DocumentStore):
    local.directory.mkdir()
    old, young = local.directory / "arriving-old", local.directory / "arriving-young"
    for path in (old, young):
        path.write_bytes(PDF)
    os.utime(old, (0, 0))
    await local.forget_arrivals(datetime.now(UTC) - timedelta(hours=1))
    assert files(local) == [young]


@pytest.mark.parametrize("kind", ["directory", "bucket"])
async def test_a_large_document_comes_and_goes_in_flat_memory(tmp_path: Path, kind: str):
    bucket = Bucket(LocalStore(tmp_path / "bucket", mkdir=True), tmp_path) if kind == "bucket" else None
    store = DocumentStore(tmp_path / "documents", 25_000_000, bucket)

    async def many() -> AsyncIterator[bytes]:
        yield PDF
        for _ in range(90):
            yield bytes(256 * 1024)

    tracemalloc.start()
    try:
        kept = await store.keep(many(), "a.pdf")
        async with store.opened(kept.sha256) as pieces:
            assert sum([len(piece) async for piece in pieces]) == kept.size
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000 < kept.size


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("consent.pdf", "consent.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\consent.pdf", "consent.pdf"),
        ("a\r\nSet-Cookie: x", "aSet-Cookie: x"),
        ("consent\u202efdp.exe", "consentfdp.exe"),
        (" consent.pdf ", "consent.pdf"),
        ("", "document"),
        ("..", "document"),
        ("x" * 300, "x" * 255),
        ("x" * 300 + ".pdf", "x" * 251 + ".pdf"),
        ("x." + "y" * 300, "." + "y" * 254),
    ],
)
def test_a_name_is_shown_and_never_a_path(name, shown):
    assert plain_name(name) == shown
