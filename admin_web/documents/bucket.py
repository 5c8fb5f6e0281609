"""Documents in a bucket: S3, or anything else that obstore speaks. Needs the extra `s3`."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore, S3Store

from admin_web.documents.faults import DocumentMissing, DocumentsUnavailable
from admin_web.documents.shelf import PLACE, place

PIECE = 1024 * 1024
CONNECT_S, ANSWER_S, RETRY_S = 3, 30, 10

QUICK_S = 2.0
"""How long what is asked within a transaction of the record may take: others wait for it."""


class Bucket:
    """A Shelf in `store`; what is fetched goes through an unnamed file in `spool`, so that memory stays flat."""

    def __init__(self, store: ObjectStore, spool: Path) -> None:
        self._store = store
        self._spool = spool

    async def put(self, arrived: Path, sha256: str) -> None:
        """Send the file; a large one goes in parts and is there only when the last one is."""
        with _reaching():
            await obstore.put_async(self._store, place(sha256), arrived)

    async def fetch(self, sha256: str) -> BinaryIO:
        """Bring a document here and open it at its beginning."""
        self._spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        spooled = tempfile.TemporaryFile(dir=self._spool)  # noqa: SIM115 - the caller closes it
        try:
            with _reaching():
                answer = await obstore.get_async(self._store, place(sha256))
                async for piece in answer.stream(min_chunk_size=PIECE):
                    await asyncio.to_thread(spooled.write, piece)
        except FileNotFoundError:
            spooled.close()
            raise DocumentMissing(f"There is no {place(sha256)} in the bucket.") from None
        except BaseException:
            spooled.close()
            raise
        spooled.seek(0)
        return spooled

    async def holds(self, sha256: str) -> bool:
        """Tell whether a document is there."""
        async with _quickly():
            try:
                await obstore.head_async(self._store, place(sha256))
            except FileNotFoundError:
                return False
        return True

    async def remove(self, sha256: str) -> None:
        """Take a document away."""
        async with _quickly():
            try:
                await obstore.delete_async(self._store, place(sha256))
            except FileNotFoundError:
                return

    async def kept_before(self, moment: datetime) -> AsyncIterator[str]:
        """Name the documents that were put before `moment`; the bucket is read a page at a time."""
        with _reaching():
            async for page in obstore.list(self._store):
                for found in page:
                    if PLACE.fullmatch(found["path"]) and found["last_modified"] < moment:
                        yield found["path"].replace("/", "")


def s3_bucket(url: str, spool: Path) -> Bucket:
    """Give the bucket at `s3://BUCKET/PREFIX`; who may is told by AWS's usual environment. Opens nothing."""
    store = S3Store.from_url(
        url,
        client_options={"connect_timeout": timedelta(seconds=CONNECT_S), "timeout": timedelta(seconds=ANSWER_S)},
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=RETRY_S)},
    )
    return Bucket(store, spool)


@asynccontextmanager
async def _quickly() -> AsyncIterator[None]:
    with _reaching():
        try:
            async with asyncio.timeout(QUICK_S):
                yield
        except TimeoutError:
            raise DocumentsUnavailable("The bucket of documents does not answer.") from None


@contextmanager
def _reaching() -> Iterator[None]:
    """Turn what obstore raises into DocumentsUnavailable; its messages go on for lines. Raises FileNotFoundError."""
    try:
        yield
    except BaseError as error:
        said = str(error).splitlines()[0]
        raise DocumentsUnavailable(f"The bucket of documents cannot be reached: {said}.") from error
