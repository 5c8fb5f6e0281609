"""FastAGI: valid and invalid requests and replies, and the values that the gate may send."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_gate.fastagi.protocol import (
    LONGEST_COMMAND,
    LONGEST_HEADER,
    LONGEST_REPLY,
    HungUp,
    PeerBroke,
    Reader,
    Reply,
    SetVariables,
    trusted_channel,
)
from agi_gate.request import Request

HEADER = (
    b"agi_network: yes\n"
    b"agi_network_script: screen\n"
    b"agi_request: agi://127.0.0.1:4573/screen\n"
    b"agi_channel: PJSIP/dialer-00000001\n"
    b"agi_uniqueid: pbx-1764000000.17\n"
    b"agi_calleridname: Jos\xe9 \xff\n"
    b"agi_extension: 14155550100\n"
    b"agi_arg_1: +1 415-555-0100\n"
    b"agi_arg_2: lead-7\n"
)
REQUEST = Request("screen", ("+1 415-555-0100", "lead-7"), "pbx-1764000000.17")


def test_a_header_and_an_empty_line_are_a_request():
    assert Reader().feed(HEADER + b"\n") == [REQUEST]


def test_a_request_may_come_one_byte_at_a_time():
    reader = Reader()
    events = [event for byte in HEADER + b"\n" for event in reader.feed(bytes([byte]))]
    assert events == [REQUEST]


@given(st.lists(st.integers(0, len(HEADER) + 20), max_size=6))
def test_where_the_pieces_are_cut_makes_no_difference(cuts):
    asked = HEADER + b"\nHANGUP\n"
    reader, events, last = Reader(), [], 0
    for cut in [*sorted(cuts), len(asked)]:
        events += reader.feed(asked[last:cut])
        last = max(last, cut)
    events += reader.feed(b"200 result=0\n")
    assert events == [REQUEST, HungUp(), Reply(200)]


def test_a_request_that_names_no_script_and_no_channel_is_one_that_the_gate_blocks():
    assert Reader().feed(b"agi_network: yes\nagi_arg_1: 1\n\n") == [Request("", ("1",), "")]


@given(st.sampled_from([b"network_script", b"uniqueid", b"arg_1", b"arg_2"]), st.integers(0, 9))
def test_what_the_gate_uses_is_refused_when_it_comes_twice_wherever_that_is(name, place):
    lines = HEADER.splitlines(keepends=True)
    lines.insert(place, b"agi_%s: x\n" % name)
    with pytest.raises(PeerBroke, match=r"header-malformed|arguments-not-in-a-row"):
        Reader().feed(b"".join(lines) + b"\n")


GOOD = (b"agi_network: yes", b"agi_network_script: screen", b"agi_uniqueid: 17.1", b"agi_arg_1: 1", b"agi_arg_2: a: b")
ODD = (b"agi_a:", b"agi_arg_x: 1", b"agi_uniqueid", b"agi_calleridname: x\r", b"agi_arg_3:", b"x: y", b"agi_arg:")
LINES = st.sampled_from([*GOOD, *ODD])


def understood(lines: list[bytes]) -> Request | None:
    """Parse a header slowly, line by line, as its rules are written."""
    named = [line.split(b":", 1) for line in lines]
    if not all(line.startswith(b"agi_") and b":" in line for line in lines):
        return None
    script, channel, count = b"agi_network_script", b"agi_uniqueid", 0
    stages = {script: 1, channel: 2}
    reached = 0
    values = {script: b"", channel: b""}
    for name, value in named:
        argument = name.startswith(b"agi_arg_")
        if argument:
            count += 1
            if name != b"agi_arg_%d" % count:
                return None
        stage = 3 if argument else stages.get(name, 0)
        if (stage and stage != 3 and stage <= reached) or (not stage and reached == 3):
            return None
        reached = max(reached, stage)
        values[name] = value.removeprefix(b" ")
    arguments = tuple(values[b"agi_arg_%d" % place].decode() for place in range(1, count + 1))
    return Request(values[script].decode(), arguments, values[channel].decode())


@given(st.lists(LINES, min_size=1, max_size=8))
def test_a_header_is_read_as_its_rules_say_and_refused_where_they_do(lines):
    try:
        (read,) = Reader().feed(b"\n".join(lines) + b"\n\n")
    except PeerBroke:
        read = None
    assert read == understood(lines)


def test_a_request_without_its_empty_line_is_not_yet_a_request():
    assert Reader().feed(HEADER) == []


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (b"GET / HTTP/1.1\r\nHost: gate\n\n", "header-malformed"),
        (b"\n\n", "header-malformed"),
        (b"agi_arg_1\n\n", "header-malformed"),
        (HEADER + b"agi_arg_1: 4155550199\n\n", "arguments-not-in-a-row"),
        (HEADER + b"agi_arg_4: x\n\n", "arguments-not-in-a-row"),
        (HEADER + b"agi_arg_: x\n\n", "header-malformed"),
        (b"agi_arg_10: x\n\n", "arguments-not-in-a-row"),
        (b"agi_odd\n" + HEADER + b"\n", "header-malformed"),
        (b"agi_arg_3: x\n" + HEADER + b"\n", "header-malformed"),
        (b"agi_uniqueid: pbx-1764000000.18\n" + HEADER + b"\n", "header-malformed"),
        (HEADER + b"agi_uniqueid: pbx-1764000000.18\n\n", "header-malformed"),
        (HEADER.replace(b"agi_arg_1", b"agi_uniqueid: pbx-1764000000.18\nagi_arg_1") + b"\n", "header-malformed"),
        (HEADER.replace(b"agi_request", b"agi_network_script: other\nagi_request") + b"\n", "header-malformed"),
        (b"agi_network: yes\nagi_callerid: x\r\nInjected: y\n\n", "header-malformed"),
        (b"agi_x: " + b"a" * LONGEST_HEADER, "header-too-long"),
        (b"agi_x: " + b"a" * LONGEST_HEADER + b"\n\n", "header-too-long"),
    ],
)
def test_what_no_asterisk_sends_is_refused(header, why):
    with pytest.raises(PeerBroke, match=why):
        Reader().feed(header)


@pytest.mark.parametrize("line", [b"agi_a:\n", b"agi_:::::::::::::::::::::::::::::\n", b"agi_arg_1:\n"])
def test_a_long_header_that_is_none_is_refused_at_once(line):
    begun = process_time()
    with pytest.raises(PeerBroke, match="header-malformed"):
        Reader().feed(line * (LONGEST_HEADER // len(line) - 1) + b"bad\n\n")
    assert process_time() - begun < 0.5


def test_a_number_cannot_be_smuggled_in_by_a_line_break_in_the_callers_name():
    smuggled = HEADER.replace(b"Jos\xe9 \xff", b"x\nagi_arg_1: +14155550199")
    with pytest.raises(PeerBroke, match="header-malformed"):
        Reader().feed(smuggled + b"\n")


@pytest.mark.parametrize("rest", [b"agi_arg_1: 4155550100\n\n", b"a", b"200 result=0\n", b"HANGUP\nHANGUP\n"])
def test_an_empty_line_smuggled_into_the_callers_name_leaves_a_rest_that_is_refused(rest):
    with pytest.raises(PeerBroke, match="spoke-before-answer"):
        Reader().feed(HEADER + b"\n" + rest)


def test_bytes_that_are_not_utf8_become_a_mark_that_no_number_contains():
    (event,) = Reader().feed(HEADER.replace(b"+1 415", b"\xff1 415") + b"\n")
    assert event.arguments[0] == "�1 415-555-0100"


@pytest.mark.parametrize("line", [b"", b"200", b"200 result=0", b"510 Invalid or unknown command", b"520-Usage"])
def test_a_numbered_line_is_a_reply_and_other_lines_are_not(line):
    reader = Reader()
    reader.feed(HEADER + b"\n")
    if line:
        assert reader.feed(line + b"\n") == [Reply(int(line[:3]))]
    else:
        with pytest.raises(PeerBroke, match="reply-malformed"):
            reader.feed(b"\n")


@pytest.mark.parametrize("line", [b"20", b"ok!", b"HANGUPS"])
def test_what_is_neither_a_number_nor_a_hangup_is_no_reply(line):
    reader = Reader()
    reader.feed(HEADER + b"\n")
    with pytest.raises(PeerBroke, match="reply-malformed"):
        reader.feed(line + b"\n")


def test_an_argument_is_what_was_sent_colons_and_blanks_included():
    (event,) = Reader().feed(b"agi_arg_1:  1:415 \n\n")
    assert event.arguments == (" 1:415 ",)


@pytest.mark.parametrize("channel", [b"pbx-1.\xff1", b"pbx 1.1", b""])
def test_a_channel_that_cannot_be_trusted_is_none(channel):
    (event,) = Reader().feed(HEADER.replace(b"pbx-1764000000.17", channel) + b"\n")
    assert event.channel == ""


def test_a_reply_that_never_ends_is_refused():
    reader = Reader()
    reader.feed(HEADER + b"\n")
    with pytest.raises(PeerBroke, match="reply-too-long"):
        reader.feed(b"2" * (LONGEST_REPLY + 1))


@pytest.mark.parametrize(
    ("channel", "trusted"),
    [
        ("1764000000.17", True),
        ("pbx_a-1764000000.17", True),
        ("a" * 150, True),
        ("a" * 151, False),
        ("", False),
        ("1764000000.17\n", False),
        ("17,DNC_VERDICT=x", False),
        ('17"', False),
        ("17 18", False),
        ("١٢", False),
        *((f"17.1{char}", False) for char in ",;:=+*/@&|$%(){}[]<>'~\\\t\x00é"),
    ],
)
def test_a_channel_id_goes_back_only_if_it_is_letters_digits_dot_dash_underscore(channel, trusted):
    assert trusted_channel(channel) == (channel if trusted else "")


def test_the_answer_is_one_line_that_sets_all_variables():
    line = SetVariables("DNC_VERDICT", "DNC_NUMBER", "CDR(dnc_reason)").to("ALLOW-17.1", "+14155550100", "override")
    assert line == b'EXEC MSet "DNC_VERDICT=ALLOW-17.1,DNC_NUMBER=+14155550100,CDR(dnc_reason)=override"\n'


@pytest.mark.parametrize(
    "value",
    ["a,b", "a,DNC_VERDICT=ALLOW-1.1", "a=b", 'a"', "a\n", "\n", "a b", "a\\", "${X}", "%s", "ü", "a;b", "(", "\ud800"],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_value_that_could_end_a_word_or_a_line_never_leaves(value, place):
    values = ["1", "2", "3"]
    values[place] = value
    with pytest.raises(ValueError, match="no AGI line may have"):
        SetVariables("A", "B", "C").to(*values)


@pytest.mark.parametrize("name", ["", "A B", "A=B", "A,B", "A%s", "A\n", "É"])
def test_a_name_that_could_end_a_word_never_leaves(name):
    with pytest.raises(ValueError, match="not that of a channel variable"):
        SetVariables("A", name)


def test_a_line_longer_than_asterisk_reads_never_leaves():
    command, room = SetVariables("A", "B"), LONGEST_COMMAND - len(b'EXEC MSet "A=,B="\n')
    assert len(command.to("x" * 100, "x" * (room - 100))) == LONGEST_COMMAND
    with pytest.raises(ValueError, match="more than Asterisk reads"):
        command.to("x" * 101, "x" * (room - 100))


@given(st.binary(max_size=400))
def test_no_bytes_make_the_reader_fail_otherwise(data):
    reader = Reader()
    try:
        for at in range(0, len(data), 7):
            reader.feed(data[at : at + 7])
    except PeerBroke:
        pass
