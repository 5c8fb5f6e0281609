"""The call log: one JSON object per call, with masked numbers, written once per tick of the event loop."""

import asyncio
from datetime import UTC, datetime
from typing import TextIO

from compliance.numbers import mask
from compliance.verdict import Decision


class CallLog:
    """Writes the lines to `out`; if `out` is None, writes nothing."""

    def __init__(self, out: TextIO | None) -> None:
        self._out = out
        self._lines: list[str] = []

    def add(self, decision: Decision, seconds: float) -> None:
        """Add the line of a call that was answered within `seconds`."""
        if self._out is None:
            return
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._write)
        self._lines.append(log_line(decision, seconds))

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        if self._out is not None:
            self._out.write("".join(lines))
            self._out.flush()


def log_line(decision: Decision, seconds: float) -> str:
    """Return the line of a call as JSON, with a newline."""
    ruling = decision.ruling
    # json.dumps is not needed: slugs, ids and masked numbers contain no character that JSON escapes. Patterns have
    # already checked the channel and the lead, and `mask` leaves only digits, `+`, `*` and `?` in the number.
    return (
        f'{{"event":"screened","decision":"{decision.id}","verdict":"{ruling.verdict}","reason":"{ruling.reason}",'
        f'"detail":"{ruling.detail}","number":"{mask(decision.number or decision.dialed)}","lead":"{decision.lead}",'
        f'"channel":"{decision.channel}","ms":{seconds * 1000:.2f},"level":"info",'
        f'"timestamp":"{datetime.now(UTC).isoformat()}"}}\n'
    )
