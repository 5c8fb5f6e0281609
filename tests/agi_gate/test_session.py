"""What the dialplan is told: nothing but what the gate made itself, and the verdict last."""

from datetime import UTC, datetime

import pytest

from agi_gate.call_log import CallLog
from agi_gate.canary import header
from agi_gate.metrics import Metrics
from agi_gate.session import Session, Switchboard, spelled
from compliance import verdict
from compliance.verdict import Decision, allow, block


def decision(ruling, channel="pbx-1.1") -> Decision:
    return Decision("id-1", datetime.now(UTC), ruling, "415", "+14155550100", "lead-1", channel, 1, "gate")


def test_the_verdict_comes_last_so_that_a_line_cut_short_allows_nothing():
    line = spelled(decision(allow(verdict.NOT_LISTED)))
    assert line.endswith(b',DNC_VERDICT=ALLOW-pbx-1.1"\n')
    for end in range(len(line) - 2):
        assert b"ALLOW-pbx-1.1" not in line[:end]


def test_an_allow_without_a_channel_is_never_said():
    assert b'DNC_VERDICT=BLOCK"' in spelled(decision(allow(verdict.NOT_LISTED), channel=""))


class FakeConnection:
    """Keeps what is said; closing it tells the conversation, as the door does."""

    def __init__(self) -> None:
        self.said, self.conversation = list[bytes](), None

    def say(self, line: bytes) -> bool:
        self.said.append(line)
        return True

    def close(self) -> None:
        self.conversation.gone()


class FakeScreenings:
    """Keeps who waits for a decision."""

    def begin(self, request, decided) -> None:
        self.decided = decided


async def test_a_decision_for_a_caller_who_has_gone_is_counted_and_said_to_nobody():
    screenings, metrics, connection = FakeScreenings(), Metrics(), FakeConnection()
    connection.conversation = Session(Switchboard(screenings, metrics, CallLog(None), peer_s=1), connection)
    connection.conversation.heard(header("+14155550100", "lead-1", "pbx-1.1"))
    connection.close()
    screenings.decided(decision(allow(verdict.NOT_LISTED)))
    assert (connection.said, metrics.calls.total(), metrics.open_conversations) == ([], 1, 0)


@pytest.mark.parametrize("ruling", [block(verdict.DEADLINE), block(verdict.listed_on("internal"))])
def test_a_block_names_no_channel_and_no_lead(ruling):
    line = spelled(decision(ruling))
    assert b"pbx" not in line
    assert b"lead" not in line
