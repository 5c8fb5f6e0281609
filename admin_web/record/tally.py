"""How many changes a command or a request has recorded, so that it can say so if it cannot go on."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """The number of recorded changes."""

    changes: int = 0


_TALLY: ContextVar[Tally | None] = ContextVar("tally", default=None)


@contextmanager
def tallied() -> Iterator[Tally]:
    """Count the changes that are recorded during the block, also in tasks that it starts."""
    tally = Tally()
    token = _TALLY.set(tally)
    try:
        yield tally
    finally:
        _TALLY.reset(token)


def note_change() -> None:
    """Count one recorded change."""
    if tally := _TALLY.get():
        tally.changes += 1
