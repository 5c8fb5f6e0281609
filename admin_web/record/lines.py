"""How the line numbers of one exchange are kept: in SQL, and in what Redis is handed.

In SQL an exchange is the shorter of two forms, and its length tells which: ascending unsigned 16-bit big-endian line
numbers, or, where more than 624 of the ten thousand are listed, a bitmap of 10,000 bits, line 0 first.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from anycrc import CRC

Lines: TypeAlias = npt.NDArray[np.uint16]
"""Ascending line numbers."""

Bytes: TypeAlias = npt.NDArray[np.uint8]

Places: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

LINES = 10_000
BITMAP = LINES // 8
BYTES_PER_LINE = 2

_BIG = np.dtype(">u2")
_INTSET = b"\x0b"
"""RDB_TYPE_SET_INTSET (rdb.h)."""
_RDB_VERSION = (9).to_bytes(2, "little")
"""The version of Redis 5: whatever is newer reads it (verifyDumpPayload in cluster.c)."""
_INT16 = (2).to_bytes(4, "little")
"""INTSET_ENC_INT16 (intset.c)."""
_CRC = CRC(width=64, poly=0xAD93D23594C935A9, init=0, refin=True, refout=True, xorout=0)
"""CRC-64 as in Redis's crc64.c."""


def pack(bitmap: Bytes) -> bytes:
    """Spell an exchange for SQL, given as a bitmap of `BITMAP` bytes."""
    lines = unpack_bitmap(bitmap)
    if len(lines) * BYTES_PER_LINE < BITMAP:
        return lines.astype(_BIG).tobytes()
    return bitmap.tobytes()


def unpack(kept: bytes) -> Lines:
    """Read an exchange of SQL back. Raises ValueError for what is none."""
    if len(kept) == BITMAP:
        return unpack_bitmap(np.frombuffer(kept, np.uint8))
    return np.frombuffer(kept, _BIG).astype(np.uint16)


def unpack_bitmap(bitmap: Bytes) -> Lines:
    """Give the line numbers of a bitmap."""
    return np.flatnonzero(np.unpackbits(bitmap)).astype(np.uint16)


def bitmap_of(kept: bytes) -> Bytes:
    """Read an exchange of SQL back as a bitmap; a new array."""
    if len(kept) == BITMAP:
        return np.frombuffer(kept, np.uint8).copy()
    flags = np.zeros(LINES, np.uint8)
    flags[unpack(kept)] = 1
    return np.packbits(flags)


def held(kept: Sequence[bytes], places: Places, lines: Places) -> Flags:
    """Tell for each pair of a place and a line whether the exchange of SQL at that place of `kept` holds the line."""
    sizes = np.array([len(one) for one in kept], np.int64)
    found = np.zeros(len(places), np.bool_)
    full = (sizes == BITMAP)[places]
    found[full] = _in_bitmaps(kept, sizes, places[full], lines[full])
    found[~full] = _in_lines(kept, sizes, places[~full], lines[~full])
    return found


def _in_bitmaps(kept: Sequence[bytes], sizes: Places, places: Places, lines: Places) -> Flags:
    text, begins = np.frombuffer(b"".join(kept), np.uint8), np.cumsum(sizes) - sizes
    bits = text[begins[places] + (lines >> 3)] & (0x80 >> (lines & 7))
    return np.asarray(bits != 0)


def _in_lines(kept: Sequence[bytes], sizes: Places, places: Places, lines: Places) -> Flags:
    """Place and line make one number: those of all exchanges ascend as each one's lines do."""
    short = np.flatnonzero(sizes != BITMAP)
    text = b"".join(kept[place] for place in short.tolist())
    listed = np.repeat(short, sizes[short] // BYTES_PER_LINE) * LINES + np.frombuffer(text, _BIG)
    return found_in(listed, places * LINES + lines)


def found_in(ascending: Places, wanted: Places) -> Flags:
    """Tell which of some numbers stand among others that ascend."""
    if not len(ascending):
        return np.zeros(len(wanted), np.bool_)
    at = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return np.asarray(ascending[at] == wanted)


def dump(lines: Lines) -> bytes:
    """Spell what Redis's RESTORE takes for a set of these line numbers, one or more."""
    blob = _INT16 + len(lines).to_bytes(4, "little") + lines.astype("<u2").tobytes()
    body = _INTSET + _length(len(blob)) + blob + _RDB_VERSION
    checksum: int = _CRC.calc(body)
    return body + checksum.to_bytes(8, "little")


def _length(length: int) -> bytes:
    """Spell a length of fewer than 2**32 bytes as RDB does (rdbSaveLen in rdb.c)."""
    if length < 1 << 6:
        return bytes([length])
    if length < 1 << 14:
        return (length | 0x4000).to_bytes(2, "big")
    return b"\x80" + length.to_bytes(4, "big")
