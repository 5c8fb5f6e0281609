"""Progress reports of long operations on the projection."""

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with the name of the phase, the amount done, and the total amount."""


def quiet(phase: str, done: int, total: int) -> None:
    """Report nothing."""
    del phase, done, total
