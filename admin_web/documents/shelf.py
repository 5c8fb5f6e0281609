"""The interface of document storage, which a directory and a bucket implement."""

import re
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

RELATIVE_PATH = re.compile(r"[0-9a-f]{2}/[0-9a-f]{62}")


class Shelf(Protocol):
    """Documents by the SHA-256 of their content (64 hex digits). Each method raises DocumentsUnavailable."""

    async def put(self, arrived: Path, sha256: str) -> None:
        """Store the file `arrived`, which is on disk. On return it is stored completely and durably."""

    async def fetch(self, sha256: str) -> BinaryIO:
        """Open a document at its beginning. Raises DocumentMissing."""

    async def holds(self, sha256: str) -> bool:
        """Return whether a document exists."""

    async def remove(self, sha256: str) -> None:
        """Remove a document. A document that does not exist is no error."""

    def kept_before(self, moment: datetime) -> AsyncIterator[str]:
        """Yield the SHA-256 of each document that was stored before `moment` (aware UTC)."""


def relative_path(sha256: str) -> str:
    """Return the path of a document within its directory or bucket: `ab/cdef…`."""
    return f"{sha256[:2]}/{sha256[2:]}"
