"""The log of the long-running programs: JSON objects on standard error, one per line."""

import logging
import sys

import structlog


def log_to_stderr(level: str) -> None:
    """Configure structlog for `level` (`INFO`, …) and everything more severe."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
