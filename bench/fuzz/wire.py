"""The gate's side of the wire in this process: parser and session, with a verdict for each request at once."""

from collections import Counter
from random import Random
from typing import cast

from agi_gate.call_log import CallLog
from agi_gate.fastagi.listener import Connection as ListenersConnection
from agi_gate.fastagi.session import OpenSessions, Session
from agi_gate.metrics import Metrics
from agi_gate.peers import Peers
from agi_gate.request import Request
from agi_gate.screening import OnDecision
from bench.fuzz.answers import Connection, Violation
from bench.fuzz.environments import Dialogue, dialogue
from bench.fuzz.hearing import heard
from bench.fuzz.worlds import NOW
from compliance import verdict
from compliance.verdict import Decision, allow

FREE = allow(verdict.NOT_LISTED)
NEVER_S = 1e9


class FuzzedWire:
    """Sends dialogues to sessions. Each request that they understand must be the one that was sent.

    Create it on a running event loop.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.counts: Counter[str] = Counter()
        self.metrics = Metrics()
        self._peers = Peers([], 100)
        self._open = OpenSessions(self, self.metrics, CallLog(None), peer_s=NEVER_S)
        self._numbered = 0
        self._request: Request | None = None

    def begin(self, request: Request, decided: OnDecision) -> None:
        """Allow the call, so that a request that nobody has sent would be allowed."""
        self._request = request
        decided(Decision("0-0", NOW, FREE, "", "+14155550100", "", request.channel, 7, "gate:1"))

    def tick(self) -> int:
        """Send one dialogue, and judge the request that the session has read. Return 1."""
        self._numbered += 1
        sent = dialogue(self._rng, self._numbered)
        connection = Connection(f"127.0.0.{self._numbered % 250}")
        peer = self._peers.of(connection.peer)
        session = connection.owner = Session(self._open, cast("ListenersConnection", connection), peer)
        self._request = None
        for piece in (*sent.pieces, sent.after):
            if piece and not connection.closed:
                session.data_received(piece)
        connection.close()
        self._judge(sent, connection)
        if self._open.sessions or peer.open:
            raise Violation(f"a session is still open: {sent}")
        return 1

    def _judge(self, sent: Dialogue, connection: Connection) -> None:
        read, answer = self._request, connection.answer()
        if read is None:
            self.counts["refused"] += 1
            if sent.whole or answer:
                raise Violation(f"no request was read: {sent} {connection.lines}")
            return
        self.counts["understood"] += 1
        asked = heard(b"".join(sent[:3]))
        meant = asked and (
            asked.script.decode("utf-8", "replace"),
            tuple(argument.decode("utf-8", "replace") for argument in asked.arguments),
            asked.channel.decode(),
        )
        if meant != read[:3]:
            raise Violation(f"{read} was read instead of {meant}: {sent}")
        if answer and (answer["channel"] or b"") != read.channel.encode():
            raise Violation(f"an answer for another channel: {sent} {connection.lines}")
