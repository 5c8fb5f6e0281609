"""Documents in a bucket: S3 or another object store that obstore supports. Needs the extra `s3`."""

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
from admin_web.documents.shelf import RELATIVE_PATH, relative_path

PIECE = 1024 * 1024
CONNECT_S, ANSWER_S, RETRY_S = 3, 30, 10

QUICK_S = 2.0
"""Time limit, in seconds, of a request inside a database transaction. It is short, because other writers wait
meanwhile.
"""


class Bucket:
    """A Shelf in `store`.

    A downloaded document is written to an unnamed file in `spool`, so memory use stays constant.
    """

    def __init__(self, store: ObjectStore, spool: Path) -> None:
        self._store = store
        self._spool = spool

    async def put(self, arrived: Path, sha256: str) -> None:
        """Upload the file.

        A large file is sent in parts, and appears in the bucket only when the last part has arrived.
        """
        with _translated_errors():
            await obstore.put_async(self._store, relative_path(sha256), arrived)

    async def fetch(self, sha256: str) -> BinaryIO:
        """Download a document and open it at its beginning."""
        self._spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        spooled = tempfile.TemporaryFile(dir=self._spool)  # noqa: SIM115 - the caller closes it
        try:
            with _translated_errors():
                answer = await obstore.get_async(self._store, relative_path(sha256))
                async for piece in answer.stream(min_chunk_size=PIECE):
                    await asyncio.to_thread(spooled.write, piece)
        except FileNotFoundError:
            spooled.close()
            raise DocumentMissing(f"There is no {relative_path(sha256)} in the bucket.") from None
        except BaseException:
            spooled.close()
            raise
        spooled.seek(0)
        return spooled

    async def holds(self, sha256: str) -> bool:
        """Return whether a document exists."""
        async with _quick_request():
            try:
                await obstore.head_async(self._store, relative_path(sha256))
            except FileNotFoundError:
                return False
        return True

    async def remove(self, sha256: str) -> None:
        """Remove a document."""
        async with _quick_request():
            try:
                await obstore.delete_async(self._store, relative_path(sha256))
            except FileNotFoundError:
                return

    async def kept_before(self, moment: datetime) -> AsyncIterator[str]:
        """Yield the documents that were stored before `moment`. The bucket is listed page by page."""
        with _translated_errors():
            async for page in obstore.list(self._store):
                for found in page:
                    if RELATIVE_PATH.fullmatch(found["path"]) and found["last_modified"] < moment:
                        yield found["path"].replace("/", "")


def s3_bucket(url: str, spool: Path) -> Bucket:
    """Return the bucket at `s3://BUCKET/PREFIX`. Its credentials come from the usual environment variables of AWS."""
    store = S3Store.from_url(
        url,
        client_options={"connect_timeout": timedelta(seconds=CONNECT_S), "timeout": timedelta(seconds=ANSWER_S)},
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=RETRY_S)},
    )
    return Bucket(store, spool)


@asynccontextmanager
async def _quick_request() -> AsyncIterator[None]:
    with _translated_errors():
        try:
            async with asyncio.timeout(QUICK_S):
                yield
        except TimeoutError:
            raise DocumentsUnavailable("The bucket for documents does not answer. Try again.") from None


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Turn obstore's errors, except FileNotFoundError, into DocumentsUnavailable with the first line of the message."""
    try:
        yield
    except BaseError as error:
        cause = str(error).splitlines()[0]
        raise DocumentsUnavailable(f"The bucket for documents cannot be reached: {cause}.") from error
