"""A CSV file that somebody else writes, cut into records: whole ones, whatever stands in their fields.

A field may hold line breaks (a caller's name, say), so a line is not a record. But a record begins with a moment,
`"1795495769.220612",`, at the beginning of a line, and nothing inside a field can look like that: Asterisk doubles
each quote there. So a torn record spoils itself, and not those behind it.
"""

import csv
import re
from collections.abc import Iterator
from io import StringIO
from itertools import pairwise

LONGEST = 65_536
"""Bytes of one record; more is none, and is not waited for."""

_BEGINS = re.compile(rb'^"\d{1,10}\.\d{6}",', re.MULTILINE)


def whole_records(data: bytes) -> Iterator[bytes]:
    """Give what stands between the beginnings of records, in order and without gaps, as far as it is whole.

    The last record is whole when its quotes are paired and its line has ended; the rest of it may be on its way.
    """
    edges = [0, *(found.start() for found in _BEGINS.finditer(data) if found.start()), len(data)]
    for begin, end in pairwise(edges):
        piece = data[begin:end]
        if end < len(data) or _whole(piece):
            yield piece
        elif len(piece) > LONGEST:
            yield piece[: piece.rfind(b"\n") + 1] or piece


def _whole(piece: bytes) -> bool:
    return piece.endswith(b"\n") and piece.count(b'"') % 2 == 0


def lines_of(piece: bytes) -> list[list[str]]:
    """Give the fields of each line of a piece: one line if it is a record, more if something else stands behind it."""
    text = piece.decode("utf-8", errors="replace").replace("\0", "\ufffd")
    try:
        return [line for line in csv.reader(StringIO(text, newline="")) if line]
    except csv.Error:
        return [[text]]
