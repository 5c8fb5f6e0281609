"""Marks: how each write to Redis is tied to the history of the database that it came from.

Every write has a random mark. `dnc:state` holds the mark of the last write and the one before it, and SQL keeps all
marks (`history.py`). The mark reaches SQL only when its turn commits. If the writer dies before that, Redis is one
write ahead of SQL. So `dnc:state` also names the outbox rows and the registries' versions that were written, with a
digest of them: a database that has these very rows has not lost that write.
"""

import hashlib
import re
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from compliance.redis_schema import MARK, MARK_BEFORE, WRITTEN

OLDER, RECOVERED, FOREIGN = "older-history", "recovered-history", "other-history"
"""The reasons, as slugs, why Redis does not continue the history of this database."""

MARK_BYTES = 8
DIGEST_DIGITS = 32
MOST_IDS = 1_000_000
"""Maximum number of ids that are read from Redis. They then take some 100 MB for a moment."""

_MARK = re.compile(rb"[0-9a-f]{16}|")
_RANGE = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")  # Eighteen digits always fit into a 64-bit integer.


class Written(NamedTuple):
    """The last write to Redis: its mark, the one before it, the ids of its outbox rows as ranges, and their digest.

    A state that a version without marks has written has none: all fields are empty.
    """

    mark: str = ""
    before: str = ""
    rows: str = ""
    digest: str = ""

    def fields(self) -> dict[str, str]:
        """Return the fields of `dnc:state`."""
        return {MARK: self.mark, MARK_BEFORE: self.before, WRITTEN: f"{self.digest}|{self.rows}"}


NOTHING = Written()


def new_mark() -> str:
    """Return a mark that no other write has."""
    return secrets.token_hex(MARK_BYTES)


def read_written(fields: Mapping[bytes, bytes]) -> Written:
    """Parse the last write from all fields of `dnc:state`."""
    mark, before = (_mark_in(fields.get(name.encode(), b"")) for name in (MARK, MARK_BEFORE))
    digest, _, rows = fields.get(WRITTEN.encode(), b"").decode("ascii", "replace").partition("|")
    return Written(mark, before, rows, digest)


def _mark_in(value: bytes) -> str:
    """Return a mark; for a value that no version writes, one that no database knows."""
    return value.decode() if _MARK.fullmatch(value) else digest_of([value])[: 2 * MARK_BYTES]


def digest_of(items: Iterable[object]) -> str:
    """Return the digest of some items, whatever their order."""
    lines = sorted(map(repr, items))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:DIGEST_DIGITS]


def ranges_of(ids: Collection[int]) -> str:
    """Encode ids in a short text: `1-3,7` for 1, 2, 3 and 7."""
    return ",".join(_ranges(sorted(ids)))


def _ranges(ids: list[int]) -> Iterator[str]:
    first = 0
    for place, one in enumerate(ids):
        if place + 1 < len(ids) and ids[place + 1] == one + 1:
            continue
        yield f"{ids[first]}-{one}" if place > first else f"{one}"
        first = place + 1


def ids_in(ranges: str) -> set[int] | None:
    """Return the ids that `ranges_of` encoded; None for any other text, and for more than MOST_IDS."""
    found: set[int] = set()
    for part in ranges.split(",") if ranges else ():
        if (one := _RANGE.fullmatch(part)) is None:
            return None
        first, last = int(one[1]), int(one[2] or one[1])
        if last < first or len(found) + last - first >= MOST_IDS:
            return None
        found.update(range(first, last + 1))
    return found
