"""Decision ids: unique across gates and restarts, ascending in time, and safe on an AGI line and in a CDR."""

import itertools
import secrets
from datetime import datetime

from compliance.redis_schema import epoch_ms


class DecisionIds:
    """Generates ids such as `019ab3c4d5e6-9f3a1c22-0000001a`.

    The parts are milliseconds since 1970, a random id of the process, and a counter, all in hexadecimal.
    """

    def __init__(self) -> None:
        self._process = secrets.token_hex(4)
        self._counter = itertools.count()

    def next(self, at: datetime) -> str:
        """Return a new id of 30 characters."""
        return f"{epoch_ms(at):012x}-{self._process}-{next(self._counter) & 0xFFFFFFFF:08x}"
