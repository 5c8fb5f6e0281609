"""A sweep deletes documents without a record, but never one of an override, not even while it is being placed."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from admin_web.documents import DocumentNotKept, DocumentStore, Kept, WrongKind
from admin_web.documents.directory import Directory
from admin_web.documents.shelf import relative_path
from admin_web.record.changes import Records, utc_now
from admin_web.record.database import Database
from admin_web.record.models import Document, Override, SuppressionEntry
from admin_web.services.documents import FEW, GRACE, TooManyOrphans, discard, or_discarded, sweep_documents
from admin_web.services.leads import add_lead
from admin_web.services.overrides import grant_override
from admin_web.services.requests import record_request
from admin_web.services.suppression import suppress
from compliance.consent_statement import NotAttested
from tests.support.records import ADMIN, CONSENT, LEAD, NUMBER, OTHER, SUPERVISOR, rows
from tests.support.samples import PDF


@pytest.fixture
def documents(tmp_path: Path) -> DocumentStore:
    return DocumentStore(tmp_path / "documents", 1_000_000)


@pytest.fixture
async def listed(records: Records) -> None:
    await suppress(records, ADMIN, NUMBER, source="phone")
    await add_lead(records, ADMIN, LEAD, NUMBER)


async def keep(documents: DocumentStore, more: str = "", age: timedelta = timedelta()) -> Kept:
    """Store a PDF as if it had been uploaded `age` ago."""

    async def pieces() -> AsyncIterator[bytes]:
        yield PDF + more.encode()

    kept = await documents.keep(pieces(), "consent.pdf")
    then = (utc_now() - age).timestamp()
    os.utime(documents.directory / relative_path(kept.sha256), (then, then))
    return kept


def there(documents: DocumentStore, kept: Kept) -> bool:
    return (documents.directory / relative_path(kept.sha256)).exists()


OLD = GRACE + timedelta(minutes=1)


@pytest.mark.usefixtures("listed")
async def test_a_sweep_takes_what_is_old_and_on_no_record_and_nothing_else(records: Records, documents: DocumentStore):
    on_record, orphan = await keep(documents, "a", OLD), await keep(documents, "b", OLD)
    young = await keep(documents, "c", GRACE - timedelta(minutes=1))
    await grant_override(records, SUPERVISOR, replace(CONSENT, document=on_record))
    assert await sweep_documents(records.database, documents, utc_now()) == 1
    assert [there(documents, kept) for kept in (on_record, orphan, young)] == [True, False, True]
    assert await sweep_documents(records.database, documents, utc_now()) == 0


async def test_a_sweep_of_what_was_never_used_finds_nothing(database: Database, documents: DocumentStore):
    assert await sweep_documents(database, documents, utc_now()) == 0


async def test_a_record_that_knows_none_of_its_documents_loses_none(database: Database, documents: DocumentStore):
    kept = [await keep(documents, str(number), OLD) for number in range(FEW + 1)]
    with pytest.raises(TooManyOrphans, match=f"{FEW + 1} of {FEW + 1} documents are on no record; none was removed"):
        await sweep_documents(database, documents, utc_now())
    assert all(there(documents, one) for one in kept)


class Crossing(Directory):
    """A store in which a sweep begins while an override is being placed, just before its commit."""

    def __init__(self, root: Path, database: Database, documents: DocumentStore) -> None:
        super().__init__(root)
        self.crossing: asyncio.Task[bool] | None = None
        self._wanted = database, documents

    async def holds(self, sha256: str) -> bool:
        answer = await super().holds(sha256)
        self.crossing = asyncio.create_task(discard(*self._wanted, sha256))
        await asyncio.wait({self.crossing}, timeout=0.3)
        return answer


@pytest.mark.usefixtures("listed")
async def test_a_sweep_waits_for_the_override_that_is_being_placed_and_then_sees_it(
    records: Records, documents: DocumentStore
):
    kept = await keep(documents)
    shelf = Crossing(documents.directory, records.database, documents)
    await grant_override(records, SUPERVISOR, replace(CONSENT, document=replace(kept, shelf=shelf)))
    assert shelf.crossing is not None
    assert await shelf.crossing is False
    assert there(documents, kept)


class Asked(Directory):
    """A store in which somebody asks not to be called while it looks for a document."""

    def __init__(self, root: Path, records: Records) -> None:
        super().__init__(root)
        self._records = records

    async def holds(self, sha256: str) -> bool:
        async with asyncio.timeout(60):
            await record_request(self._records, SUPERVISOR, OTHER, source="phone")
        return await super().holds(sha256)


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)  # SQLite has one writer at a time.
@pytest.mark.usefixtures("listed")
async def test_a_request_does_not_wait_for_a_slow_store_of_documents(records: Records, documents: DocumentStore):
    kept = replace(await keep(documents), shelf=Asked(documents.directory, records))
    await grant_override(records, SUPERVISOR, replace(CONSENT, document=kept))
    assert {entry.number for entry in await rows(records, SuppressionEntry)} == {NUMBER, OTHER}


@pytest.mark.usefixtures("listed")
async def test_an_override_whose_document_a_sweep_took_is_not_placed(records: Records, documents: DocumentStore):
    kept = await keep(documents)
    assert await discard(records.database, documents, kept.sha256)
    with pytest.raises(DocumentNotKept, match="Upload it again"):
        await grant_override(records, SUPERVISOR, replace(CONSENT, document=kept))
    assert await rows(records, Override) == await rows(records, Document) == []
    await grant_override(records, SUPERVISOR, replace(CONSENT, document=await keep(documents)))


@pytest.mark.usefixtures("listed")
async def test_of_many_who_place_and_sweep_at_once_every_override_has_its_document(
    records: Records, documents: DocumentStore
):
    ended: list[object] = []
    for number in range(8):
        kept = await keep(documents, str(number))
        consent = replace(CONSENT, document=kept, expires_at=records.now() + timedelta(seconds=1))
        some = asyncio.gather(
            discard(records.database, documents, kept.sha256),
            grant_override(records, SUPERVISOR, consent),
            discard(records.database, documents, kept.sha256),
            return_exceptions=True,
        )
        ended += await some
        records.now.move(seconds=2)  # type: ignore[attr-defined]
    assert not [one for one in ended if isinstance(one, Exception) and not isinstance(one, DocumentNotKept)]
    recorded = await rows(records, Document)
    assert len(await rows(records, Override)) == len(recorded)
    assert all((documents.directory / relative_path(row.sha256)).exists() for row in recorded)


@pytest.mark.usefixtures("listed")
async def test_a_refused_override_leaves_neither_row_nor_file(records: Records, documents: DocumentStore):
    kept = await keep(documents)
    with pytest.raises(NotAttested):
        async with or_discarded(records.database, documents, kept):
            await grant_override(records, SUPERVISOR, replace(CONSENT, document=kept, attestation=""))
    assert not there(documents, kept)
    assert await rows(records, Document) == []


@pytest.mark.usefixtures("listed")
async def test_a_refused_second_override_on_the_same_document_leaves_the_first_its_own(
    records: Records, documents: DocumentStore
):
    kept = await keep(documents)
    await grant_override(records, SUPERVISOR, replace(CONSENT, document=kept))
    again = await keep(documents)
    with pytest.raises(NotAttested):
        async with or_discarded(records.database, documents, again):
            await grant_override(records, SUPERVISOR, replace(CONSENT, document=again, attestation=""))
    assert there(documents, kept)


async def test_what_was_refused_for_its_kind_never_was_there(documents: DocumentStore):
    async def pieces() -> AsyncIterator[bytes]:
        yield b"MZ\x90\x00"

    with pytest.raises(WrongKind):
        await documents.keep(pieces(), "consent.pdf")
    assert [path for path in documents.directory.rglob("*") if path.is_file()] == []


async def test_a_refusal_is_told_even_when_the_document_cannot_be_taken_away(documents: DocumentStore, tmp_path: Path):
    kept = await keep(documents)
    async with Database(f"sqlite:///{tmp_path}/none/there.sqlite3") as nowhere:
        with pytest.raises(NotAttested):
            async with or_discarded(nowhere, documents, kept):
                raise NotAttested("The statement was not confirmed.")
    assert there(documents, kept)
