"""The connection of a generated call, and the form of the gate's answer, written again without the product's code."""

import re

from agi_gate.fastagi.session import Session

LINE = re.compile(
    rb'EXEC MSet "DNC_NUMBER=(?P<number>(?:\+[0-9]{5,15}|911)?),DNC_REASON=(?P<reason>[a-z0-9-]+),'
    rb"DNC_DECISION=(?P<decision>[0-9a-f-]+),CDR\(dnc_verdict\)=(?P<verdict>ALLOW|BLOCK),CDR\(dnc_reason\)=(?P=reason),"
    rb"CDR\(dnc_decision\)=(?P=decision),CDR\(dnc_number\)=(?P=number),"
    rb'DNC_VERDICT=(?:BLOCK|ALLOW-(?P<channel>[A-Za-z0-9._-]{1,150}))"\n'
)
"""The only line that the gate may send. It allows a call if it has a `channel`."""


class Violation(Exception):
    """The gate did what no rule allows. The message says what, and shows what was sent."""


class Connection:
    """The connection of one call. It keeps the lines that the gate sends."""

    __slots__ = ("closed", "lines", "owner", "peer")

    def __init__(self, peer: str) -> None:
        self.peer, self.closed = peer, False
        self.lines: list[bytes] = []
        self.owner: Session | None = None

    def send_last(self, line: bytes) -> bool:
        """Keep the line."""
        self.lines.append(line)
        return True

    def close(self) -> None:
        """Call the session's `connection_lost`, once."""
        if not self.closed:
            self.closed = True
            if self.owner:
                self.owner.connection_lost()

    def answer(self) -> re.Match[bytes] | None:
        """Return the parts of the answer; None if none was sent. Raises Violation for anything but one whole line."""
        if not self.lines:
            return None
        found = LINE.fullmatch(self.lines[0])
        if found is None or len(self.lines) > 1:
            raise Violation(f"an odd answer: {self.lines}")
        return found
