"""Where documents are kept: one set of verbs for a directory and for a bucket."""

import re
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

PLACE = re.compile(r"[0-9a-f]{2}/[0-9a-f]{62}")


class Shelf(Protocol):
    """Documents by the SHA-256 of their content (64 hex digits). Each verb raises DocumentsUnavailable."""

    async def put(self, arrived: Path, sha256: str) -> None:
        """Keep the file `arrived`, which is on disk; when this returns, it is kept whole and for good."""

    async def fetch(self, sha256: str) -> BinaryIO:
        """Open a document at its beginning. Raises DocumentMissing."""

    async def holds(self, sha256: str) -> bool:
        """Tell whether a document is there."""

    async def remove(self, sha256: str) -> None:
        """Take a document away; one that is not there is no error."""

    def kept_before(self, moment: datetime) -> AsyncIterator[str]:
        """Name the documents that were put before `moment` (aware UTC)."""


def place(sha256: str) -> str:
    """Give the relative place of a document: `ab/cdef…`."""
    return f"{sha256[:2]}/{sha256[2:]}"
