"""One conversation with the PBX: read the request, answer it with one line, hear the reply, close.

With the line the PBX hears that nothing follows: it goes on with the call while its reply is still on the way here.
A conversation has one deadline for the whole header and one for the reply. A peer that keeps neither is closed;
Asterisk then goes on with the answer that the dialplan preset, which is BLOCK.
"""

from enum import StrEnum
from time import perf_counter
from typing import NamedTuple

from agi_gate.call_log import CallLog
from agi_gate.deadlines import Deadlines
from agi_gate.fastagi.listener import Connection
from agi_gate.fastagi.protocol import HungUp, PeerBroke, Reader, Reply, SetVariables
from agi_gate.metrics import Metrics
from agi_gate.request import Request
from agi_gate.screening import Beginning
from compliance import channel_vars
from compliance.verdict import Decision, Verdict

_ANSWER = SetVariables(
    *(channel_vars.NUMBER, channel_vars.REASON, channel_vars.DECISION),
    *channel_vars.GATE_CDR_FIELDS,
    channel_vars.VERDICT,
)
"""The verdict comes last: Asterisk carries out a line that was cut off when its sender died, and a verdict that
arrived whole means that all before it did."""


class Stage(StrEnum):
    """How far a conversation is: what comes next."""

    HEADER = "header"
    DECISION = "decision"
    REPLY = "reply"
    OVER = "over"


class Switchboard:
    """What all conversations share. `peer_s` bounds how many seconds a peer may take for its header, and its reply."""

    def __init__(self, screenings: Beginning, metrics: Metrics, calls: CallLog, *, peer_s: float) -> None:
        self.screenings, self.metrics, self.calls = screenings, metrics, calls
        self.waits = Deadlines[Wait](peer_s)
        self.sessions: set[Session] = set()


class Session:
    """One conversation over `connection`."""

    def __init__(self, board: Switchboard, connection: Connection) -> None:
        self._board, self._connection = board, connection
        self._reader = Reader()
        self.stage = Stage.HEADER
        board.sessions.add(self)
        board.metrics.open_conversations += 1
        board.waits.watch(Wait(self, Stage.HEADER))

    def heard(self, data: bytes) -> None:
        """Take what the peer says."""
        try:
            events = self._reader.feed(data)
        except PeerBroke as error:
            self.refuse(str(error))
            return
        for event in events:
            match event:
                case Request():
                    self.stage, self._started = Stage.DECISION, perf_counter()
                    self._board.screenings.begin(event, self._answer)
                case Reply() if self.stage is Stage.DECISION:
                    self.refuse("reply-before-command")
                case Reply():
                    self._connection.close()
                case HungUp():
                    """The verdict still goes on record; Asterisk itself ends the conversation."""

    def gone(self) -> None:
        """Forget the connection. A decision under way still reaches its record."""
        self.stage = Stage.OVER
        self._board.sessions.discard(self)
        self._board.metrics.open_conversations -= 1

    def refuse(self, why: str) -> None:
        """Close a conversation that has no answer."""
        self._board.metrics.refused_peers[why] += 1
        self._connection.close()

    def _answer(self, decision: Decision) -> None:
        """Send the one line, and start the clock for the reply."""
        board = self._board
        if self.stage is Stage.DECISION and self._connection.say(self._line(decision)):
            self.stage = Stage.REPLY
            board.waits.watch(Wait(self, Stage.REPLY))
        seconds = perf_counter() - self._started
        board.metrics.count(decision, seconds)
        board.calls.note(decision, seconds)

    def _line(self, decision: Decision) -> bytes:
        """Spell the answer. Raises ValueError for one that cannot be said; the PBX goes on with its preset BLOCK."""
        try:
            return spelled(decision)
        except ValueError:
            self.refuse("no-answer")
            raise


class Wait(NamedTuple):
    """A conversation that waits for its peer's header, or reply; it is refused when that does not come."""

    session: Session
    stage: Stage

    @property
    def over(self) -> bool:
        """Tell whether the conversation has gone on."""
        return self.session.stage is not self.stage

    def expire(self) -> None:
        """Close the conversation."""
        self.session.refuse(f"slow-{self.stage}")


def spelled(decision: Decision) -> bytes:
    """Spell what the dialplan is told. ALLOW is bound to the very channel that asked. Raises ValueError."""
    ruling, number, reason = decision.ruling, decision.number, decision.ruling.reason
    allowed = ruling.verdict is Verdict.ALLOW and decision.channel
    bound = f"{Verdict.ALLOW}-{decision.channel}" if allowed else Verdict.BLOCK
    return _ANSWER.to(number, reason, decision.id, ruling.verdict, reason, decision.id, number, bound)
