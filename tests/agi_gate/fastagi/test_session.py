"""The line that the dialplan receives: only values that the gate itself has made, and the verdict last."""

import asyncio
import io
from datetime import UTC, datetime

import pytest

from agi_gate.call_log import CallLog
from agi_gate.canary import header
from agi_gate.fastagi.session import OpenSessions, Session, Stage, answer_line
from agi_gate.metrics import Metrics
from agi_gate.peers import Peer
from compliance import verdict
from compliance.verdict import Decision, allow, block


def decision(ruling, channel="pbx-1.1") -> Decision:
    return Decision("id-1", datetime.now(UTC), ruling, "415", "+14155550100", "lead-1", channel, 1, "gate")


def test_the_verdict_comes_last_so_that_a_line_cut_short_allows_nothing():
    line = answer_line(decision(allow(verdict.NOT_LISTED)))
    assert line.endswith(b',DNC_VERDICT=ALLOW-pbx-1.1"\n')
    for end in range(len(line) - 2):
        assert b"ALLOW-pbx-1.1" not in line[:end]


def test_an_allow_without_a_channel_is_never_said():
    assert b'DNC_VERDICT=BLOCK"' in answer_line(decision(allow(verdict.NOT_LISTED), channel=""))


class FakeConnection:
    """Keeps the sent lines. `close` notifies its owner, as the listener does."""

    def __init__(self, takes: bool = True) -> None:
        self.said, self.owner, self.takes = list[bytes](), None, takes

    def send_last(self, line: bytes) -> bool:
        self.said.append(line)
        if not self.takes:
            self.close()
        return self.takes

    def close(self) -> None:
        self.owner.connection_lost()


class FakeScreener:
    """Keeps the callback that waits for a decision."""

    def begin(self, request, decided) -> None:
        self.decided = decided


class Call:
    """A conversation that has received a request, its log, and what it shares with other conversations."""

    def __init__(self, *, takes: bool = True, peer_s: float = 1) -> None:
        self.screener, self.metrics, self.log = FakeScreener(), Metrics(), io.StringIO()
        self.connection = FakeConnection(takes)
        self.shared = OpenSessions(self.screener, self.metrics, CallLog(self.log), peer_s=peer_s)
        self.peer = Peer("127.0.0.1", admitted=True)
        self.session = self.connection.owner = Session(self.shared, self.connection, self.peer)
        self.session.data_received(header("+14155550100", "lead-1", "pbx-1.1"))

    def decide(self) -> None:
        self.screener.decided(decision(allow(verdict.NOT_LISTED)))


async def test_a_decision_for_a_caller_who_has_gone_is_counted_and_said_to_nobody():
    call = Call()
    call.connection.close()
    call.decide()
    assert (call.connection.said, call.metrics.calls.total(), call.metrics.open_conversations) == ([], 1, 0)


async def test_a_conversation_is_known_and_counted_until_it_is_over_and_its_call_is_logged():
    call = Call()
    assert (call.shared.sessions, call.metrics.open_conversations, call.peer.open) == ({call.session}, 1, 1)
    call.decide()
    call.session.data_received(b"200 result=0\n")
    assert (call.session.stage, call.shared.sessions, call.metrics.open_conversations) == (Stage.OVER, set(), 0)
    assert call.peer.open == 0
    await asyncio.sleep(0)
    assert '"decision":"id-1"' in call.log.getvalue()
    assert not call.metrics.refused_peers


async def test_a_reply_before_the_command_is_refused():
    call = Call()
    call.session.data_received(b"200 result=0\n")
    assert (call.session.stage, call.metrics.refused_peers) == (Stage.OVER, {"reply-before-command": 1})


async def test_a_peer_that_took_the_answer_and_never_replies_is_closed():
    call = Call(peer_s=0.02)
    call.decide()
    async with asyncio.timeout(20):
        while call.session.stage is Stage.REPLY:  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.005)
    assert (call.session.stage, call.metrics.refused_peers) == (Stage.OVER, {"slow-reply": 1})


async def test_no_reply_is_awaited_of_a_peer_that_did_not_take_the_answer():
    call = Call(takes=False)
    call.decide()
    assert (call.session.stage, call.metrics.calls.total()) == (Stage.OVER, 1)


@pytest.mark.parametrize("ruling", [block(verdict.DEADLINE), block(verdict.listed_on("internal"))])
def test_a_block_names_no_channel_and_no_lead(ruling):
    line = answer_line(decision(ruling))
    assert b"pbx" not in line
    assert b"lead" not in line
