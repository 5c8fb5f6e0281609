"""Encodings of the line numbers of one exchange: in SQL, and as a payload for Redis's RESTORE.

SQL stores the shorter of two forms: ascending unsigned 16-bit big-endian line numbers, or, from 625 lines on, a bitmap
of 10,000 bits with line 0 first. The length distinguishes the two forms: only a bitmap has 1,250 bytes.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from anycrc import CRC

Lines: TypeAlias = npt.NDArray[np.uint16]
"""Ascending line numbers."""

Bytes: TypeAlias = npt.NDArray[np.uint8]

Ints: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

LINES = 10_000
BITMAP = LINES // 8
BYTES_PER_LINE = 2

_BIG = np.dtype(">u2")
_INTSET = b"\x0b"
"""The type byte of an intset: RDB_TYPE_SET_INTSET (rdb.h)."""
_RDB_VERSION = (9).to_bytes(2, "little")
"""The RDB version of Redis 5. Newer servers accept it, because a server refuses only versions newer than its own
(verifyDumpPayload in cluster.c).
"""
_INT16 = (2).to_bytes(4, "little")
"""The encoding of an intset of 16-bit integers: INTSET_ENC_INT16 (intset.c)."""
_CRC = CRC(width=64, poly=0xAD93D23594C935A9, init=0, refin=True, refout=True, xorout=0)
"""CRC-64 as in Redis's crc64.c."""


def pack(bitmap: Bytes) -> bytes:
    """Encode an exchange for SQL. `bitmap` has `BITMAP` bytes."""
    lines = unpack_bitmap(bitmap)
    if len(lines) * BYTES_PER_LINE < BITMAP:
        return lines.astype(_BIG).tobytes()
    return bitmap.tobytes()


def unpack(kept: bytes) -> Lines:
    """Decode an exchange from SQL into its line numbers. Raises ValueError when `kept` has an odd length."""
    if len(kept) == BITMAP:
        return unpack_bitmap(np.frombuffer(kept, np.uint8))
    return np.frombuffer(kept, _BIG).astype(np.uint16)


def unpack_bitmap(bitmap: Bytes) -> Lines:
    """Return the line numbers that a bitmap marks, ascending."""
    return np.flatnonzero(np.unpackbits(bitmap)).astype(np.uint16)


def bitmap_of(kept: bytes) -> Bytes:
    """Decode an exchange from SQL into a bitmap: a new array of `BITMAP` bytes."""
    if len(kept) == BITMAP:
        return np.frombuffer(kept, np.uint8).copy()
    flags = np.zeros(LINES, np.uint8)
    flags[unpack(kept)] = 1
    return np.packbits(flags)


def held(kept: Sequence[bytes], indexes: Ints, lines: Ints) -> Flags:
    """Return, for each pair of `indexes` and `lines`, whether the exchange `kept[index]` from SQL lists the line."""
    sizes = np.array([len(one) for one in kept], np.int64)
    found = np.zeros(len(indexes), np.bool_)
    full = (sizes == BITMAP)[indexes]
    found[full] = _in_bitmaps(kept, sizes, indexes[full], lines[full])
    found[~full] = _in_lines(kept, sizes, indexes[~full], lines[~full])
    return found


def _in_bitmaps(kept: Sequence[bytes], sizes: Ints, indexes: Ints, lines: Ints) -> Flags:
    text, begins = np.frombuffer(b"".join(kept), np.uint8), np.cumsum(sizes) - sizes
    bits = text[begins[indexes] + (lines >> 3)] & (0x80 >> (lines & 7))
    return np.asarray(bits != 0)


def _in_lines(kept: Sequence[bytes], sizes: Ints, indexes: Ints, lines: Ints) -> Flags:
    # Lines ascend within each exchange, so `index * LINES + line` ascends across all exchanges. One search finds all
    # pairs.
    short = np.flatnonzero(sizes != BITMAP)
    text = b"".join(kept[index] for index in short.tolist())
    listed = np.repeat(short, sizes[short] // BYTES_PER_LINE) * LINES + np.frombuffer(text, _BIG)
    return found_in(listed, indexes * LINES + lines)


def found_in(ascending: Ints, wanted: Ints) -> Flags:
    """Return, for each of `wanted`, whether `ascending` contains it."""
    if not len(ascending):
        return np.zeros(len(wanted), np.bool_)
    at = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return np.asarray(ascending[at] == wanted)


def dump(lines: Lines) -> bytes:
    """Encode a set of one or more line numbers as a payload for Redis's RESTORE."""
    blob = _INT16 + len(lines).to_bytes(4, "little") + lines.astype("<u2").tobytes()
    body = _INTSET + _length(len(blob)) + blob + _RDB_VERSION
    checksum: int = _CRC.calc(body)
    return body + checksum.to_bytes(8, "little")


def _length(length: int) -> bytes:
    """Encode a length of less than 2**32 bytes as RDB does (rdbSaveLen in rdb.c)."""
    if length < 1 << 6:
        return bytes([length])
    if length < 1 << 14:
        return (length | 0x4000).to_bytes(2, "big")
    return b"\x80" + length.to_bytes(4, "big")
