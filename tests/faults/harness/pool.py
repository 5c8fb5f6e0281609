"""The telephone numbers of a run, in sixty exchanges, so that every shard of a cluster has some of each sort."""

EXCHANGES = range(200, 260)
BLOCK = 20
"""Numbers of one imported file."""


def _of(lines: range) -> tuple[str, ...]:
    return tuple(f"+1415{exchange}{line:04}" for line in lines for exchange in EXCHANGES)


FREE = _of(range(100, 108))
"""Numbers that are never listed: they show when calls are back."""

LISTED = _of(range(200, 202))
"""Numbers that are listed before the run and stay so."""

CHANGING = _of(range(300, 304))
"""Numbers that are listed, lifted and opened during the run, one change at a time each."""

FILES = tuple(_of(range(400, 403))[at : at + BLOCK] for at in range(0, 3 * len(EXCHANGES), BLOCK))
"""Blocks of numbers that are imported as one file, and then lifted together."""

IMPORTED = tuple(number for file in FILES for number in file)


def holder(number: str) -> str:
    """Return the lead that may get an override on this number."""
    return f"holder-{number[1:]}"


def stranger(number: str) -> str:
    """Return another lead with the same number, which never gets an override."""
    return f"other-{number[1:]}"
