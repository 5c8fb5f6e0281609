"""Keyset pagination: the next page starts after the last row shown, however many rows there are."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, tuple_
from sqlalchemy.orm import InstrumentedAttribute

PAGE_ROWS = 50
LONGEST_KEY = 500

STORABLE = re.compile("[^\0\ud800-\udfff]*")
"""Text that both databases can store: PostgreSQL rejects NUL, and lone UTF-16 surrogates are not characters."""

Row = TypeVar("Row")
Key = tuple[str | int | datetime, ...]


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, and the key of the next page: opaque text for the URL, empty on the last page."""

    rows: Sequence[Row]
    next_key: str = ""


def page_of(found: Sequence[Row], key: Callable[[Row], Key], rows: int = PAGE_ROWS) -> Page[Row]:
    """Build a page from up to `rows` + 1 rows; the extra row shows that there is a next page."""
    if len(found) <= rows:
        return Page(found)
    return Page(found[:rows], spelled(key(found[rows - 1])))


def spelled(key: Key) -> str:
    """Encode a key as URL-safe text."""
    values = [{"at": value.isoformat()} if isinstance(value, datetime) else value for value in key]
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def read_key(text: str, *types: type) -> Key | None:
    """Decode a key; None for an empty or invalid text, which means the first page."""
    if not text or len(text) > LONGEST_KEY:
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        key = tuple(datetime.fromisoformat(value["at"]) if isinstance(value, dict) else value for value in values)
    except (binascii.Error, ValueError, TypeError, KeyError):
        return None
    fits = len(key) == len(types) and all(type(value) is kind for value, kind in zip(key, types, strict=True))
    return key if fits and all(map(_is_storable, key)) else None


def _is_storable(value: object) -> bool:
    """Return whether both databases can compare a value: a 64-bit integer, storable text, a moment in UTC's range."""
    if isinstance(value, datetime):
        return value.tzinfo is not None and MINYEAR < value.year < MAXYEAR
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return isinstance(value, str) and STORABLE.fullmatch(value) is not None


def behind(columns: Sequence[InstrumentedAttribute[Any]], key: Key, *, descending: bool) -> ColumnElement[bool]:
    """Return the condition for rows after a key, as a row comparison: both databases use the columns' index for it."""
    here, there = tuple_(*columns), tuple_(*key)
    return here < there if descending else here > there
