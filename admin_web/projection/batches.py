"""Long sequences, cut into pieces that one command or one statement takes."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Give `items` in their order, at most `size` at a time."""
    return (items[at : at + size] for at in range(0, len(items), size))
