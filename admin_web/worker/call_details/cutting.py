"""Split a CSV file, while another process writes to it, into complete records, whatever their fields contain.

A field may contain line breaks (in a caller's name, for example), so a line is not always a record. But every record
starts a line with a time such as `"1795495769.220612",`. Nothing inside a field can look like that, because Asterisk
doubles each quote there. So a torn record affects only itself, not the records after it.
"""

import csv
import re
from collections.abc import Iterator
from io import StringIO
from itertools import pairwise

LONGEST = 65_536
"""Maximum bytes of one record. Longer data is treated as unreadable, without waiting for its end."""

_BEGINS = re.compile(rb'^"\d{1,10}\.\d{6}",', re.MULTILINE)


def begins_record(data: bytes) -> bool:
    """Return whether `data` begins with a record."""
    return _BEGINS.match(data) is not None


def whole_records(data: bytes) -> Iterator[bytes]:
    """Yield the complete records in `data`, in order and without gaps.

    The last record is complete when its quotes are balanced and its line has ended. Otherwise it is not yielded,
    because its rest has not been written yet.
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
    """Parse a piece into rows of fields: one row if it is a record, more if something else follows the record."""
    text = piece.decode("utf-8", errors="replace").replace("\0", "\ufffd")
    try:
        return [line for line in csv.reader(StringIO(text, newline="")) if line]
    except csv.Error:
        return [[text]]
