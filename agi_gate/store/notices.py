"""Log lines about the links to Redis, at most one a second.

A Redis that accepts connections and refuses its state, such as a cluster that is down, would otherwise fill the log.
"""

import asyncio
from time import monotonic
from typing import NamedTuple

import structlog

SECOND_S = 1.0
"""Least seconds between two lines."""

log = structlog.get_logger()


class _Line(NamedTuple):
    level: str
    event: str
    fields: dict[str, object]
    left_out: int


class Notices:
    """Writes the lines of one gate process. A line that must wait is replaced by a later one about the same subject."""

    def __init__(self) -> None:
        self._waiting: dict[object, _Line] = {}
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def note(self, subject: object, level: str, event: str, **fields: object) -> None:
        """Write a line, now or as soon as a second has passed since the last one."""
        waits = self._waiting.get(subject)
        self._waiting[subject] = _Line(level, event, fields, waits.left_out + 1 if waits else 0)
        if self._timer is None:
            self._write_next()

    def _write_next(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        if (left_s := self._due - monotonic()) > 0:
            self._timer = asyncio.get_running_loop().call_later(left_s, self._write_next)
            return
        line = self._waiting.pop(next(iter(self._waiting)))
        more = {"left_out": line.left_out} if line.left_out else {}
        getattr(log, line.level)(line.event, **line.fields, **more)
        self._due = monotonic() + SECOND_S
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(SECOND_S, self._write_next)
