"""The log of every program: JSON objects on standard error, one per line.

A log never contains the values of variables, because a variable may hold a password. So a traceback has only files,
lines, source text and the messages of exceptions. Values that some libraries put into these messages are left out, and
so are the passwords of the settings, wherever they occur.
"""

import io
import logging
import re
import sys
from collections.abc import Collection, MutableMapping
from contextlib import suppress
from functools import partial
from time import monotonic
from types import TracebackType
from typing import Any, TextIO, cast

import structlog

REPEAT_S = 10.0
"""Seconds in which the same message of a library is logged only once."""

MOST_MESSAGES = 100
"""Maximum number of different messages of libraries that are counted at a time."""

_LIBRARIES = "WARNING"
"""Lowest level of libraries' messages. Below it, libraries log what they send: asyncio the arguments of callbacks."""

SHORTEST_SECRET = 6
"""Shortest password that is masked, in characters. Masking `dnc` would make the log unreadable."""

MASKED = "***"

# PostgreSQL adds the values of a row or of a COPY to its messages (libpq, PQresultErrorField, DETAIL and CONTEXT), and
# pydantic adds the value that it refused (errors.md, "Customize error messages").
_VALUES = re.compile(r"(?m)^(DETAIL|CONTEXT|HINT): .*$|(input_value)=.*?(?=, input_type=)")

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None] | None


def log_to_stderr(level: str, secrets: Collection[str] = ()) -> None:
    """Configure the log of this program for `level` (`INFO`, …) and everything more severe, and mask `secrets`."""
    lowest = logging.getLevelNamesMapping()[level]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Unlike structlog's default, this formatter shows no local variables.
            structlog.processors.format_exc_info,
            _without_values,
            partial(_masked, frozenset(filter(_is_long_enough, secrets))),
            structlog.processors.JSONRenderer(default=_kind),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
        # Unlike PrintLogger, this logger writes a line and its end together, so lines of several processes do not mix.
        logger_factory=lambda *_: structlog.WriteLogger(_STDERR),
        cache_logger_on_first_use=False,
    )
    logging.captureWarnings(capture=True)
    logging.basicConfig(
        handlers=[LibraryMessages()], level=max(lowest, logging.getLevelNamesMapping()[_LIBRARIES]), force=True
    )


class _Stderr(io.TextIOBase):
    """Standard error, whichever stream that is at the moment. A message that cannot be written is lost.

    A full disk, or a reader that has gone, must not fail the call or the request that is logged. Without a standard
    error, Python has None in its place.
    """

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()


_STDERR = cast("TextIO", _Stderr())


def _is_long_enough(secret: str) -> bool:
    return len(secret) >= SHORTEST_SECRET


def _without_values(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Remove values from the messages of the exceptions in a traceback."""
    if trace := event.get("exception"):
        event["exception"] = _VALUES.sub(lambda found: f"{found[1] or found[2]}: {MASKED}", trace)
    return event


def _masked(secrets: frozenset[str], _: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask every secret in every text of a message."""
    for secret in secrets:
        for name, value in event.items():
            if isinstance(value, str):
                event[name] = value.replace(secret, MASKED)
    return event


def _kind(value: object) -> str:
    """Return what the log shows of an object that JSON cannot express: its type, never its content."""
    return f"<{type(value).__name__}>"


class Thinned:
    """Counts messages by key, and passes each key once per `REPEAT_S`. `now` is a clock in seconds."""

    def __init__(self) -> None:
        self._seen: dict[object, tuple[float, int]] = {}

    def passes(self, key: object, now: float) -> int | None:
        """Return how many messages with this key were left out since the last one; None to leave this one out."""
        since, left_out = self._seen.get(key, (-REPEAT_S, 0))
        if now - since < REPEAT_S:
            self._seen[key] = since, left_out + 1
            return None
        self._seen.pop(key, None)
        while len(self._seen) >= MOST_MESSAGES:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = now, 0
        return left_out


class LibraryMessages(logging.Handler):
    """Writes messages of libraries to the same log, thinned: a flood of connections must not fill the disk."""

    def __init__(self) -> None:
        super().__init__()
        self._thinned = Thinned()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message, unless a client caused it or the same message was written a moment ago."""
        if is_fault_of_the_client(record.name, record.exc_info):
            return
        left_out = self._thinned.passes((record.name, record.msg), monotonic())
        if left_out is None:
            return
        more: dict[str, Any] = {"left_out": left_out} if left_out else {}
        if record.exc_info and record.exc_info[0]:
            more["exc_info"] = record.exc_info
        structlog.get_logger().log(record.levelno, record.name, said=record.getMessage(), **more)


def is_fault_of_the_client(logger: str, exc_info: _ExcInfo) -> bool:
    """Return whether a web server's message is about a request that violates HTTP, or a client that left."""
    # aiohttp logs a traceback for each malformed request (web_protocol.py, handle_error). It has answered 400 by then.
    if logger != "aiohttp.server" or not exc_info or exc_info[0] is None:
        return False
    names = {kind.__name__ for kind in exc_info[0].__mro__}
    return bool(names & {"HttpProcessingError", "ConnectionError", "RequestPayloadError"})
