"""An alarm, as the banner shows it."""

from typing import NamedTuple

PATIENCE_S = 0.5
"""Seconds that a page waits for the state of Redis."""


class Alarm(NamedTuple):
    """What is wrong, in a few words, and what it means for calls."""

    title: str
    text: str
