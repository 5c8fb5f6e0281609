"""Peers that are not a PBX, or a broken one: the gate closes each in time, and answers others as before."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agi_gate.canary import header
from compliance import rule
from lab.redis import RedisServer
from tests.support.asterisk import GateProcess, Pbx
from tests.support.handmade import HandmadeProjection

LISTED, FREE = "+14155550100", "+14155550199"
PEER_S = 1.0
SLACK_S = 1.0
PATIENCE_S = 15.0
"""Maximum seconds until a deadline of `PEER_S` is noticed, on a busy machine."""


@pytest.fixture(scope="module")
def handmade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandmadeProjection]:
    with RedisServer(tmp_path_factory.mktemp("r")) as server:
        handmade = HandmadeProjection(server)
        handmade.server = server
        handmade.put_on(LISTED)
        yield handmade


@pytest.fixture(scope="module")
def gate(handmade: HandmadeProjection, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    directory: Path = tmp_path_factory.mktemp("gate")
    with GateProcess(
        directory, handmade.server.url, DNC_PEER_MS=str(int(PEER_S * 1000)), DNC_DEADLINE_MS="1000"
    ) as gate:
        yield gate.until_ready()


@pytest.fixture(autouse=True)
def others_are_answered_as_before(gate: GateProcess) -> Iterator[None]:
    """Assert that other calls get the right answers during the test, and that the gate survives it."""
    wrong: list[str] = []
    over = threading.Event()

    def callers() -> None:
        while not over.is_set():
            if gate.screen(LISTED).allowed:
                wrong.append("a listed number was allowed")
            if not gate.screen(FREE).allowed:
                wrong.append("a free number was blocked")

    caller = threading.Thread(target=callers)
    caller.start()
    yield
    over.set()
    caller.join()
    assert wrong == []
    assert gate.process.exit_code is None


def closed_within(pbx: Pbx, seconds: float) -> bytes:
    """Read until the gate closes the connection, which must happen within `seconds`; return the data."""
    started = time.monotonic()
    said = pbx.read()
    assert time.monotonic() - started < seconds
    return said


def test_a_peer_that_connects_and_leaves_is_forgotten(gate):
    for _ in range(200):
        with Pbx(gate.port):
            pass


def test_a_peer_that_says_nothing_is_closed_at_its_deadline(gate):
    with Pbx(gate.port) as pbx:
        started = time.monotonic()
        assert closed_within(pbx, PATIENCE_S) == b""
        assert time.monotonic() - started > PEER_S * 0.9


def test_a_peer_that_dribbles_is_closed_at_the_deadline_for_the_whole_header(gate):
    with Pbx(gate.port) as pbx:
        started = time.monotonic()
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            for byte in header(FREE, "", "pbx-1.1"):
                pbx.send(bytes([byte]))
                time.sleep(0.1)
        assert time.monotonic() - started < PATIENCE_S


def test_a_peer_that_never_replies_is_closed_at_its_deadline(gate):
    with Pbx(gate.port) as pbx:
        pbx.send(header(FREE, "", "pbx-1.1"))
        assert closed_within(pbx, PATIENCE_S).count(b"\n") == 1  # The gate half-closes at once.
        started = time.monotonic()
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            while time.monotonic() - started < PATIENCE_S:
                pbx.send(b"2")
                time.sleep(0.1)
        assert time.monotonic() - started > PEER_S * 0.5


def test_ten_megabytes_of_header_are_cut_short_and_cost_no_memory(gate):
    before = gate.memory_bytes()
    for _ in range(5):
        with Pbx(gate.port) as pbx, pytest.raises(OSError, match=r"reset|Broken pipe"):
            for _ in range(100):
                pbx.send(b"agi_x: " + b"a" * 100_000 + b"\n")
    assert gate.memory_bytes() - before < 10_000_000


@pytest.mark.parametrize(
    "said",
    [
        b"a" * 20_000,
        b"\xff\xfe\x00\n\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n\n\n",
        b"\x16\x03\x01\x02\x00\x01\x00\n\n",
        b"agi_network_script: screen\nagi_arg_1: 1\nagi_arg_1: 2\n\n",
        b"\n\n",
    ],
)
def test_what_no_asterisk_says_is_answered_with_nothing(gate, said):
    with Pbx(gate.port) as pbx:
        pbx.send(said)
        assert closed_within(pbx, SLACK_S) == b""


def test_invalid_utf8_in_the_dialled_digits_is_an_invalid_number(gate):
    with Pbx(gate.port) as pbx:
        pbx.send(header("X", "", "pbx-1.1").replace(b"agi_arg_1: X", b"agi_arg_1: 415\xff5550199"))
        line = pbx.line()
    assert b"invalid-number" in line
    assert b"\xff" not in line


@pytest.mark.parametrize("at", range(0, 160, 13))
def test_a_hangup_at_any_point_leads_to_no_allow_for_a_listed_number(gate, at):
    said = header(LISTED, "", "pbx-1.1")
    with Pbx(gate.port) as pbx:
        pbx.send(said[:at] + b"HANGUP\n" + said[at:])
        assert b"ALLOW" not in closed_within(pbx, PATIENCE_S)


def test_a_hangup_behind_the_request_leaves_the_answer_as_it_was(gate):
    with Pbx(gate.port) as pbx:
        pbx.send(header(FREE, "", "pbx-1.1") + b"HANGUP\n")
        assert b"ALLOW-pbx-1.1" in pbx.line()
        pbx.send(b"HANGUP\n200 result=0\n")
        assert closed_within(pbx, SLACK_S) == b""


def test_two_requests_at_once_get_one_answer(gate):
    with Pbx(gate.port) as pbx:
        pbx.send(header(LISTED, "", "pbx-1.1") + header(FREE, "", "pbx-1.1"))
        assert b"ALLOW" not in closed_within(pbx, PATIENCE_S)


def test_a_thousand_idle_connections_are_closed_at_their_deadline(gate):
    before = gate.memory_bytes()
    with ExitStack() as stack:
        idle = [stack.enter_context(Pbx(gate.port)) for _ in range(1000)]
        assert gate.screen(FREE).allowed
        for pbx in idle:
            assert closed_within(pbx, PATIENCE_S) == b""
    assert gate.memory_bytes() - before < 20_000_000
    gate.process.wait_until(lambda: gate.metric("dnc_gate_open_conversations") <= 1)


REASONS = "|".join(map(re.escape, rule.sentences()))
OWN_LINE = re.compile(
    rf'EXEC MSet "DNC_NUMBER=(?:{re.escape(LISTED)})?,DNC_REASON=({REASONS}),DNC_DECISION=([0-9a-f-]{{30,40}}),'
    rf"CDR\(dnc_verdict\)=BLOCK,CDR\(dnc_reason\)=\1,CDR\(dnc_decision\)=\2,CDR\(dnc_number\)=(?:{re.escape(LISTED)})?,"
    r'DNC_VERDICT=BLOCK"\n'
)
"""A line that blocks. It has only values that the gate itself has made."""


def bytes_or_text() -> st.SearchStrategy[bytes]:
    """Return a strategy for a field: nothing, any bytes, or text that a person or an attacker would write."""
    return st.one_of(
        st.just(b""), st.binary(max_size=40), st.text(max_size=30).map(str.encode), st.sampled_from(HOSTILE)
    )


HOSTILE = [
    b" ",
    b"lead-1",
    b'"',
    b",DNC_VERDICT=ALLOW-pbx-1.1",
    b"ALLOW-pbx-1.1",
    b"\rHANGUP",
    b"x" * 600,
    b"${X}",
    b"&911",
]

REQUEST = b"""agi_network_script: screen
agi_callerid: %b
agi_uniqueid: pbx-1.1%b
agi_arg_1: +14155550100%b
agi_arg_2: %b

"""
REQUESTS = st.tuples(*[bytes_or_text()] * 4).map(lambda parts: REQUEST % parts)
SAID = st.one_of(st.binary(max_size=300).map(lambda noise: noise + b"\n\n"), REQUESTS)


def test_no_bytes_lead_to_allow_for_a_listed_number_nor_come_back_on_a_line(gate):
    answered = []

    @settings(max_examples=4 * settings().max_examples)
    @given(SAID)
    def holds(said: bytes) -> None:
        with Pbx(gate.port) as pbx:
            pbx.send(said)
            line = pbx.line()
            pbx.send(b"200 result=0\n")
            pbx.read()
        if line:
            answered.append(said)
            assert OWN_LINE.fullmatch(line.decode()), line

    holds()
    assert len(answered) > 50, "most requests were not understood: nothing has been shown"
