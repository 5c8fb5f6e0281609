"""One conversation with the PBX: read the request, answer it with one line, wait for the reply, close.

A conversation has one deadline for the whole header and one for the reply. A peer that keeps neither is closed;
Asterisk then goes on with the answer that the dialplan preset, which is BLOCK.
"""

import asyncio
from collections.abc import Iterator
from time import perf_counter
from typing import cast

import structlog

from agi_gate import channel_vars
from agi_gate.gate import Gate
from agi_gate.metrics import Metrics
from agi_gate.protocol import HungUp, PeerBroke, Reader, Reply, Request, set_variables
from compliance.numbers import mask
from compliance.verdict import Decision, Verdict

log = structlog.get_logger()


class Session(asyncio.Protocol):
    """One connection. `peer_s` bounds, in seconds, how long the peer may take for its header and for its reply."""

    def __init__(self, gate: Gate, metrics: Metrics, sessions: set["Session"], *, peer_s: float) -> None:
        self._gate, self._metrics, self._sessions, self._peer_s = gate, metrics, sessions, peer_s
        self._reader = Reader()
        self._screening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock for the header."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class.
        self._sessions.add(self)
        self._metrics.open_conversations += 1
        self._timer = asyncio.get_running_loop().call_later(self._peer_s, self.refuse, "slow-header")

    def data_received(self, data: bytes) -> None:
        """Take what the peer says."""
        try:
            events = self._reader.feed(data)
        except PeerBroke as error:
            self.refuse(str(error))
            return
        for event in events:
            match event:
                case Request():
                    self._timer.cancel()
                    self._screening = asyncio.get_running_loop().create_task(self._answer(event))
                case Reply() if self._screening is None or not self._screening.done():
                    self.refuse("reply-before-command")
                case Reply():
                    self._transport.close()
                case HungUp():
                    """The verdict still goes on record; Asterisk itself ends the conversation."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection. A decision under way still reaches its record."""
        del exc
        self._timer.cancel()
        self._sessions.discard(self)
        self._metrics.open_conversations -= 1

    def refuse(self, why: str) -> None:
        """Close a conversation that has no answer."""
        self._metrics.refused_peers[why] += 1
        self._transport.abort()

    async def _answer(self, request: Request) -> None:
        started = perf_counter()
        try:
            decision = await self._gate.screen(request)
        except Exception:  # Whatever went wrong, the call is blocked, and the fault is logged whole.
            log.exception("screening failed", channel=request.channel)
            decision = self._gate.failed(request)
        if not self._transport.is_closing():
            self._transport.write(set_variables(variables(decision)))
            self._timer = asyncio.get_running_loop().call_later(self._peer_s, self.refuse, "slow-reply")
        seconds = perf_counter() - started
        self._metrics.count(decision, seconds)
        _log(decision, seconds)


def variables(decision: Decision) -> Iterator[tuple[str, str]]:
    """Give what the dialplan is told. ALLOW is bound to the very channel that asked.

    The verdict comes last: Asterisk carries out a line that was cut off when its sender died, and a verdict that
    arrived whole means that all before it did.
    """
    ruling = decision.ruling
    yield channel_vars.NUMBER, decision.number
    yield channel_vars.REASON, ruling.reason
    yield channel_vars.DECISION, decision.id
    values = (ruling.verdict, ruling.reason, decision.id, decision.number)
    yield from zip(channel_vars.GATE_CDR_FIELDS, values, strict=True)
    allowed = ruling.verdict is Verdict.ALLOW and decision.channel
    yield channel_vars.VERDICT, f"{Verdict.ALLOW}-{decision.channel}" if allowed else Verdict.BLOCK


def _log(decision: Decision, seconds: float) -> None:
    log.info(
        "screened",
        decision=decision.id,
        verdict=decision.ruling.verdict.value,
        reason=decision.ruling.reason,
        detail=decision.ruling.detail,
        number=mask(decision.number or decision.dialed),
        lead=decision.lead,
        channel=decision.channel,
        ms=round(seconds * 1000, 2),
    )
