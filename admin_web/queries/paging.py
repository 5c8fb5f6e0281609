"""Pages by key: the next page begins behind the last row shown, however many rows there are."""

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
"""PostgreSQL stores no NUL; half of a UTF-16 pair is no character."""

Row = TypeVar("Row")
Key = tuple[str | int | datetime, ...]


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, and where the next ones begin: opaque text for the URL, empty when these are the last."""

    rows: Sequence[Row]
    next_key: str = ""


def page_of(found: Sequence[Row], key: Callable[[Row], Key], rows: int = PAGE_ROWS) -> Page[Row]:
    """Make a page of up to `rows` + 1 rows found: the one too many tells that there are more."""
    if len(found) <= rows:
        return Page(found)
    return Page(found[:rows], spelled(key(found[rows - 1])))


def spelled(key: Key) -> str:
    """Spell a key as URL-safe text."""
    values = [{"at": value.isoformat()} if isinstance(value, datetime) else value for value in key]
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def read_key(text: str, *types: type) -> Key | None:
    """Read back what `spelled` wrote; None for no key, and for what a person made of one: then it is page one."""
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
    """Tell whether both databases can compare a value: a 64-bit integer, text that they store, a moment within UTC."""
    if isinstance(value, datetime):
        return value.tzinfo is not None and MINYEAR < value.year < MAXYEAR
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return isinstance(value, str) and STORABLE.fullmatch(value) is not None


def behind(columns: Sequence[InstrumentedAttribute[Any]], key: Key, *, descending: bool) -> ColumnElement[bool]:
    """Compare rows with a key, all columns ordered the same way: both databases use the index on the columns."""
    here, there = tuple_(*columns), tuple_(*key)
    return here < there if descending else here > there
