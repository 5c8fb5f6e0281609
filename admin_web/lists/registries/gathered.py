"""Numbers gathered from a file, as a bitmap for each exchange that holds one, in whatever order they come.

An exchange is a whole number here, the digits of an E.164 number before its last four. Memory is 1,250 bytes for each
exchange gathered; whoever gathers takes those out that have fallen silent.
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
"""As many as the numbering plan of +1 can have. The memory of one that is not used is never touched."""

SIX_DIGITS = 1_000_000
TABLED = (1, 44)
"""Country codes whose exchanges have six digits more, and come in their millions."""

WRITTEN_AT_ONCE = 4_000


class TooManyExchanges(Exception):
    """The numbers of a file are spread so thin that it can be no registry."""


class Gathered:
    """Bitmaps by exchange; duplicates fall together."""

    def __init__(self, most: int = MOST_EXCHANGES) -> None:
        self._most = most
        self._bits = np.zeros((most, BITMAP), np.uint8)
        self._exchanges = np.zeros(most, np.int64)
        self._silent = np.ones(most, np.bool_)
        self._tables = {code: np.full(SIX_DIGITS, -1, np.int32) for code in TABLED}
        self._others: dict[int, int] = {}
        self.size = 0

    def listen(self) -> None:
        """Take for silent, from now on, every exchange that nothing is put in for."""
        self._silent[: self.size] = True

    def put(self, exchanges: Ints, lines: Ints) -> None:
        """Put numbers in, given by exchange and line, as many of one as of the other."""
        if not len(exchanges):
            return
        slots = self._slots(exchanges)
        self._silent[slots] = False
        at, masks = _bytes_of(slots * LINES + lines)
        self._flat[at] |= masks

    def take_out(self, exchanges: Ints, lines: Ints) -> None:
        """Take numbers out, if they are in."""
        if len(exchanges):
            at, masks = _bytes_of(self._slots(exchanges) * LINES + lines)
            self._flat[at] &= ~masks

    @property
    def silent(self) -> int:
        """How many exchanges had nothing put in for them since `listen`."""
        return int(np.count_nonzero(self._silent[: self.size]))

    def pop(self, *, silent_only: bool) -> Iterator[tuple[Ints, Bytes]]:
        """Take exchanges out, ascending, some thousands at a time, with a bitmap in a row for each."""
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
        """Leave only these, in their order."""
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
        """Give the place of each exchange; the new ones get one in the order in which they come."""
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
        """Do the same for exchanges of any country."""
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
    """Give each byte that holds one of these bits, once, and a mask of those bits in it."""
    if len(bits) > 1 and (bits[1:] < bits[:-1]).any():
        bits = np.sort(bits)
    places = bits >> 3
    starts = np.flatnonzero(np.concatenate(([True], places[1:] != places[:-1])))
    masks = np.right_shift(0x80, bits & 7).astype(np.uint8)
    return places[starts], np.bitwise_or.reduceat(masks, starts)


def split(numbers: Sequence[E164]) -> tuple[Ints, Ints]:
    """Give exchanges and lines of numbers."""
    pairs = [exchange_and_line(number) for number in numbers]
    exchanges = np.array([int(exchange) for exchange, _ in pairs], np.int64)
    return exchanges, np.array([line for _, line in pairs], np.int64)
