"""Numbers collected from a file in any order, as one bitmap per exchange.

An exchange is an integer here: the digits of an E.164 number before its last four. Each collected exchange takes 1,250
bytes of memory; the importer removes exchanges that have received no more numbers for a while.
"""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from admin_web.record.lines import BITMAP, LINES, Bytes
from compliance.numbers import E164
from compliance.redis_schema import exchange_and_line

Ints: TypeAlias = npt.NDArray[np.int64]

MOST_EXCHANGES = 640_000
"""Maximum number of exchanges that the numbering plan of +1 can have.

Unused slots take no memory, because they are never written.
"""

SIX_DIGITS = 1_000_000
TABLED = (1, 44)
"""Country codes with exchanges of six more digits and millions of listed numbers, which get a look-up table."""

WRITTEN_AT_ONCE = 4_000


class TooManyExchanges(Exception):
    """The numbers of a file are in more exchanges than any registry has."""


class Gathered:
    """Bitmaps by exchange. Duplicate numbers count once."""

    def __init__(self, most: int = MOST_EXCHANGES) -> None:
        self._most = most
        self._bits = np.zeros((most, BITMAP), np.uint8)
        self._exchanges = np.zeros(most, np.int64)
        self._silent = np.ones(most, np.bool_)
        self._tables = {code: np.full(SIX_DIGITS, -1, np.int32) for code in TABLED}
        self._others: dict[int, int] = {}
        self.size = 0

    def listen(self) -> None:
        """Mark every exchange as silent until the next number for it."""
        self._silent[: self.size] = True

    def put(self, exchanges: Ints, lines: Ints) -> None:
        """Add numbers, given as exchanges and lines in two arrays of the same length."""
        if not len(exchanges):
            return
        slots = self._slots(exchanges)
        self._silent[slots] = False
        at, masks = _bytes_of(slots * LINES + lines)
        self._flat[at] |= masks

    def take_out(self, exchanges: Ints, lines: Ints) -> None:
        """Remove numbers, given as in `put`; absent ones are ignored."""
        if len(exchanges):
            at, masks = _bytes_of(self._slots(exchanges) * LINES + lines)
            self._flat[at] &= ~masks

    @property
    def silent(self) -> int:
        """Number of exchanges without a new number since `listen`."""
        return int(np.count_nonzero(self._silent[: self.size]))

    def pop(self, *, silent_only: bool) -> Iterator[tuple[Ints, Bytes]]:
        """Remove and yield exchanges, ascending, a few thousand at a time, with one row of bitmaps for each."""
        gone = np.flatnonzero(self._silent[: self.size] | (not silent_only))
        gone = gone[np.argsort(self._exchanges[gone])]
        for first in range(0, len(gone), WRITTEN_AT_ONCE):
            some = gone[first : first + WRITTEN_AT_ONCE]
            yield self._exchanges[some], self._bits[some]
        self._keep(np.flatnonzero(~self._silent[: self.size]) if silent_only else gone[:0])

    @property
    def _flat(self) -> Bytes:
        return self._bits.reshape(-1)

    def _keep(self, slots: Ints) -> None:
        """Keep only these slots, in their order."""
        self._forget_places()
        bits, exchanges, size = self._bits[slots], self._exchanges[slots], self.size
        self.size = 0
        self._bits[:size] = 0
        self._bits[: len(slots)] = bits
        if len(slots):
            self._slots(exchanges)
        self._silent[: self.size] = False

    def _forget_places(self) -> None:
        for table in self._tables.values():
            table.fill(-1)
        self._others.clear()

    def _slots(self, exchanges: Ints) -> Ints:
        """Return the slot of each exchange. New exchanges get the next free slots, in their order."""
        code = int(exchanges[0]) // SIX_DIGITS
        if code not in self._tables or not (exchanges // SIX_DIGITS == code).all():
            return self._mixed_slots(exchanges)
        table, six = self._tables[code], exchanges - code * SIX_DIGITS
        slots = table[six]
        if slots.min() < 0:
            new, first = np.unique(six[slots < 0], return_index=True)
            new = new[np.argsort(first)]
            table[new] = self._new_slots(new + code * SIX_DIGITS)
            slots = table[six]
        return slots.astype(np.int64)

    def _mixed_slots(self, exchanges: Ints) -> Ints:
        """Return the slot of each exchange, for exchanges of any country."""
        distinct, inverse = np.unique(exchanges, return_inverse=True)
        slots = np.array([self._slot(exchange) for exchange in distinct.tolist()], np.int64)
        return slots[inverse]

    def _slot(self, exchange: int) -> int:
        code, six = divmod(exchange, SIX_DIGITS)
        table = self._tables.get(code)
        if table is not None:
            if table[six] < 0:
                table[six] = self._new_slots(np.array([exchange]))[0]
            return int(table[six])
        if exchange not in self._others:
            self._others[exchange] = int(self._new_slots(np.array([exchange]))[0])
        return self._others[exchange]

    def _new_slots(self, exchanges: Ints) -> Ints:
        end = self.size + len(exchanges)
        if end > self._most:
            raise TooManyExchanges
        slots = np.arange(self.size, end)
        self._exchanges[slots] = exchanges
        self.size = end
        return slots


def _bytes_of(bits: Ints) -> tuple[Ints, Bytes]:
    """Return the index of each byte that contains any of these bits, without duplicates, and the mask of its bits."""
    if len(bits) > 1 and (bits[1:] < bits[:-1]).any():
        bits = np.sort(bits)
    places = bits >> 3
    starts = np.flatnonzero(np.concatenate(([True], places[1:] != places[:-1])))
    masks = np.right_shift(0x80, bits & 7).astype(np.uint8)
    return places[starts], np.bitwise_or.reduceat(masks, starts)


def split(numbers: Sequence[E164]) -> tuple[Ints, Ints]:
    """Split numbers into two arrays: exchanges and lines."""
    pairs = [exchange_and_line(number) for number in numbers]
    exchanges = np.array([int(exchange) for exchange, _ in pairs], np.int64)
    return exchanges, np.array([line for _, line in pairs], np.int64)
