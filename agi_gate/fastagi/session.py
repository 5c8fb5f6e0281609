"""One FastAGI session: read the request, send one line, read the reply, close.

The gate ends the stream together with the line, so the PBX continues with the call while its reply is still on the way.
A session has one deadline for the whole header and one for the reply. If the peer misses one of them, the gate closes
the connection. Asterisk then continues with the verdict BLOCK, which the dialplan has set before.
"""

from enum import StrEnum
from time import perf_counter
from typing import NamedTuple

from agi_gate.call_log import CallLog
from agi_gate.deadlines import Deadlines
from agi_gate.fastagi.listener import Connection
from agi_gate.fastagi.protocol import HungUp, PeerBroke, Reader, Reply, SetVariables
from agi_gate.metrics import Metrics
from agi_gate.peers import Peer
from agi_gate.request import Request
from agi_gate.screening import Screener
from compliance import channel_vars
from compliance.verdict import Decision, Verdict

# The verdict must be last. If the gate dies in the middle of the line, Asterisk executes the part that it has received
# (res_agi.c, run_agi: fgets and feof; seen on Asterisk 22). MSet sets the variables in order, so a complete verdict
# means that all values before it are complete too.
_ANSWER = SetVariables(
    *(channel_vars.NUMBER, channel_vars.REASON, channel_vars.DECISION),
    *channel_vars.GATE_CDR_FIELDS,
    channel_vars.VERDICT,
)


class Stage(StrEnum):
    """The stage of a session, named after what the session waits for."""

    HEADER = "header"
    DECISION = "decision"
    REPLY = "reply"
    OVER = "over"


class OpenSessions:
    """The open sessions of a process, and the objects that they share.

    `peer_s` is the time limit in seconds for a peer's header, and again for its reply.
    """

    def __init__(self, screener: Screener, metrics: Metrics, calls: CallLog, *, peer_s: float) -> None:
        self.screener, self.metrics, self.calls = screener, metrics, calls
        self.deadlines = Deadlines[PeerDeadline](peer_s)
        self.sessions: set[Session] = set()


class Session:
    """One FastAGI session, for one call, over `connection` from `peer`."""

    __slots__ = ("_connection", "_peer", "_reader", "_shared", "_started", "stage")

    def __init__(self, shared: OpenSessions, connection: Connection, peer: Peer) -> None:
        self._shared, self._connection, self._peer = shared, connection, peer
        self._reader = Reader(peer.address)
        self.stage = Stage.HEADER
        shared.sessions.add(self)
        peer.open += 1
        shared.metrics.open_conversations += 1

    def wait(self) -> None:
        """Start the deadline of the header, unless it has arrived."""
        # The limit is for the whole header. With a limit for each read, a peer could send one byte at a time and keep
        # the session open for ever. Most headers arrive with the connection, and need no deadline.
        if self.stage is Stage.HEADER:
            self._shared.deadlines.watch(PeerDeadline(self, Stage.HEADER))

    def data_received(self, data: bytes) -> None:
        """Process bytes from the peer."""
        try:
            events = self._reader.feed(data)
        except PeerBroke as error:
            self.refuse(str(error))
            return
        for event in events:
            match event:
                case Request():
                    self.stage, self._started = Stage.DECISION, perf_counter()
                    self._shared.screener.begin(event, self._answer)
                case Reply() if self.stage is Stage.DECISION:
                    self.refuse("reply-before-command")
                case Reply():
                    self._connection.close()
                case HungUp():
                    # The decision still goes on record, and Asterisk ends the session. The product's dialplan sets
                    # AGISIGHUP=no, so Asterisk does not send HANGUP (res_agi.c). Another dialplan may not set it.
                    pass

    def connection_lost(self) -> None:
        """End the session. A decision that is still pending is recorded when it is made."""
        self.stage = Stage.OVER
        self._shared.sessions.discard(self)
        self._peer.open -= 1
        self._shared.metrics.open_conversations -= 1

    def refuse(self, why: str) -> None:
        """Close the session without an answer, and count it in the metrics under `why`."""
        self._shared.metrics.refused_peers[why] += 1
        self._connection.close()

    def _answer(self, decision: Decision) -> None:
        """Send the answer, and start the deadline of the reply."""
        shared = self._shared
        if self.stage is Stage.DECISION and self._connection.send_last(self._line(decision)):
            self.stage = Stage.REPLY
            shared.deadlines.watch(PeerDeadline(self, Stage.REPLY))
        # The call is counted and logged even if the caller has hung up, because its decision is on record.
        seconds = perf_counter() - self._started
        shared.metrics.count(decision, seconds)
        shared.calls.add(decision, seconds)

    def _line(self, decision: Decision) -> bytes:
        """Return the answer line. For an unsafe value, close the session and raise ValueError."""
        try:
            return answer_line(decision)
        except ValueError:
            self.refuse("no-answer")
            raise


class PeerDeadline(NamedTuple):
    """The deadline in one session for the peer's header or reply."""

    session: Session
    stage: Stage

    @property
    def over(self) -> bool:
        """Whether the session has left the stage."""
        return self.session.stage is not self.stage

    def expire(self) -> None:
        """Close the session."""
        self.session.refuse(f"slow-{self.stage}")


def answer_line(decision: Decision) -> bytes:
    """Return the line that sets the dialplan's variables. Raises ValueError for an unsafe value."""
    ruling, number, reason = decision.ruling, decision.number, decision.ruling.reason
    # An ALLOW contains the channel's unique id, which the dialplan compares with its own UNIQUEID. So the answer to
    # another call can never allow this one.
    allowed = ruling.verdict is Verdict.ALLOW and decision.channel
    bound = f"{Verdict.ALLOW}-{decision.channel}" if allowed else Verdict.BLOCK
    return _ANSWER.to(number, reason, decision.id, ruling.verdict, reason, decision.id, number, bound)
