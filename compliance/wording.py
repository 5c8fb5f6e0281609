"""Words that every message uses alike: a number with its noun, and the name of a list."""

from compliance.redis_schema import INTERNAL


def noun(number: int, one: str, many: str = "") -> str:
    """Return the noun for a number of things. `many` is the plural, by default `one` with an s."""
    return one if number == 1 else many or f"{one}s"


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: `1 row`, `2,500 rows`; see `noun`."""
    return f"{number:,} {noun(number, one, many)}"


def the_list(name: str) -> str:
    """Return what people call a list: `the company's own list`, or `the list us-ftc`."""
    return "the company's own list" if name == INTERNAL else f"the list {name}"
