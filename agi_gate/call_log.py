"""One line of JSON for each call, numbers masked, written together once a tick."""

import asyncio
from datetime import UTC, datetime
from typing import TextIO

from compliance.numbers import mask
from compliance.verdict import Decision


class CallLog:
    """Writes to `out`; to nothing when that is None. Every value is of letters, digits and marks that JSON keeps."""

    def __init__(self, out: TextIO | None) -> None:
        self._out = out
        self._lines: list[str] = []

    def note(self, decision: Decision, seconds: float) -> None:
        """Take the line of one call."""
        if self._out is None:
            return
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._write)
        self._lines.append(spelled(decision, seconds))

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        if self._out is not None:
            self._out.write("".join(lines))
            self._out.flush()


def spelled(decision: Decision, seconds: float) -> str:
    """Spell the line of a call that was answered within `seconds`."""
    ruling = decision.ruling
    return (
        f'{{"event":"screened","decision":"{decision.id}","verdict":"{ruling.verdict}","reason":"{ruling.reason}",'
        f'"detail":"{ruling.detail}","number":"{mask(decision.number or decision.dialed)}","lead":"{decision.lead}",'
        f'"channel":"{decision.channel}","ms":{seconds * 1000:.2f},"level":"info",'
        f'"timestamp":"{datetime.now(UTC).isoformat()}"}}\n'
    )
