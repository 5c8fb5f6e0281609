"""The one rule that decides whether a day has begun. It applies to every date that a person enters."""

from datetime import date, datetime, timedelta

EASTERNMOST = timedelta(hours=14)
"""The offset of Kiribati from UTC. A new date begins there before it begins anywhere else."""


def is_to_come(day: date, at: datetime) -> bool:
    """Return whether a day has not begun anywhere on earth at `at` (aware UTC)."""
    return day > (at + EASTERNMOST).date()
