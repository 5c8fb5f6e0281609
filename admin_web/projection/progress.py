"""Progress reports of long operations on the projection."""

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with the name of the phase, how much of it is done, and how much there is in all."""


def quiet(phase: str, done: int, total: int) -> None:
    """No-op callback."""
    del phase, done, total
