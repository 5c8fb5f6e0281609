"""Long sequences cut into batches, each small enough for one command or statement."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Yield `items` in their order, in batches of at most `size`."""
    return (items[at : at + size] for at in range(0, len(items), size))
