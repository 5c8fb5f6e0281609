"""The dialplan on a real Asterisk, with correct gates: which calls pass, what is dialled, and what is recorded."""

import socket
from collections.abc import Callable

import pytest

from lab.asterisk import Asterisk
from lab.line import Line, Placed
from lab.sipp import Call, Trunk
from tests.pbx.gates import DECISION, Behaviour, FakeGate, allow, block, hold, saying, verdict

Gates = Callable[[Behaviour], FakeGate]
LISTED = "4155550100"


def fields(placed: Placed) -> tuple[str, str]:
    return placed.record["dnc_verdict"], placed.record["dnc_reason"]


def refused(placed: Placed, reason: str) -> bool:
    return (placed.status, *fields(placed)) == (403, "BLOCK", reason)


def test_an_allowed_call_dials_the_number_that_was_judged_and_leaves_one_record(line: Line, gate: Gates) -> None:
    gate(allow)
    [placed] = line.place(Call("(415) 555-0100", lead="lead-7"))
    assert placed.status == 200
    assert line.trunk.numbers() == ["+14155550100"]
    record = placed.record
    assert fields(placed) == ("ALLOW", "not-listed")
    assert record["dst"] == "(415) 555-0100"
    assert (record["dnc_number"], record["dnc_decision"], record["dnc_lead"]) == ("+14155550100", DECISION, "lead-7")
    assert record["disposition"] == "ANSWERED"


def test_the_gate_dials_through_the_number_it_names_and_not_the_one_that_was_dialled(line: Line, gate: Gates) -> None:
    gate(saying(lambda request: verdict(request, DNC_NUMBER="+442079460000") + "\n"))
    line.place(Call(LISTED))
    assert line.trunk.numbers() == ["+442079460000"]


def test_a_blocked_call_ends_with_403_and_its_record_says_why(line: Line, gate: Gates) -> None:
    gate(block)
    [placed] = line.place(Call("+1 415-555-0100", lead="lead-7"))
    assert refused(placed, "internal-dnc")
    record = placed.record
    assert (record["dnc_number"], record["dnc_decision"], record["dnc_lead"]) == ("+14155550100", DECISION, "lead-7")
    assert line.trunk.numbers() == []


@pytest.mark.parametrize(
    "dialed",
    [
        "4155550100",
        "14155550100",
        "+14155550100",
        "+1 415 555 0100",
        "415-555-0100",
        "(415) 555-0100",
        "1.415.555.0100",
    ],
)
def test_every_spelling_comes_to_the_gate_as_it_was_dialled(line: Line, gate: Gates, dialed: str) -> None:
    heard = gate(block).heard
    [placed] = line.place(Call(dialed))
    assert refused(placed, "internal-dnc")
    assert [request["agi_arg_1"] for request in heard] == [dialed]


@pytest.mark.parametrize(
    ("dialed", "lead"),
    [
        ("4155550100,lead-7", ""),
        ("4155550100,lead-7", "lead-8"),
        ("4155550100,", ""),
        ("4155550100,(lead-7", ""),
        ('4155550100,"lead-7', ""),
        ('4155550100"', "lead-8"),
        ("4155550100\\", "lead-8"),
        ("4155550100\nagi_arg_2: lead-7\n\n", ""),
        ("4155550100\ragi_arg_2: lead-7", ""),
        ("4155550100;lead-7", "lead-8"),
        ("4155550100&PJSIP/14155550199@trunk", ""),
        ("4155550100@trunk", ""),
        ("4155550100/n", ""),
        ("4155550100${DNC_GATE}", ""),
        ("4155550100)", "lead-8"),
        ("4155550100]", "lead-8"),
        ("(4155550100", "lead-8"),
        ("4155550100[", "lead-8"),
        ('4155550100" = "" | "1', ""),
        ("4" * 70, ""),
    ],
)
def test_nothing_dialled_becomes_a_lead_or_a_destination(line: Line, gate: Gates, dialed: str, lead: str) -> None:
    """Each request to the gate has two arguments: all dialled digits, and the lead of the header or none."""
    heard = gate(block).heard
    [placed] = line.place(Call(dialed, lead))
    assert placed.status in {403, 404}
    assert line.trunk.numbers() == []
    for request in heard:
        assert request["agi_arg_1"] == dialed
        assert request.get("agi_arg_2", "") in {lead, ""}
        assert "agi_arg_3" not in request
    if not heard and placed.status == 403:
        assert fields(placed) == ("BLOCK", "bad-arguments")


@pytest.mark.parametrize("lead", ["a b", "lead'7", "x" * 65, "${UNIQUEID}", '"7"', "7:8?9"])
def test_an_ill_formed_lead_is_no_lead(line: Line, gate: Gates, lead: str) -> None:
    heard = gate(allow).heard
    [placed] = line.place(Call(LISTED, lead))
    assert placed.status == 200
    assert [request["agi_arg_2"] for request in heard] == [""]
    assert placed.record["dnc_lead"] == ""


def test_a_lead_with_a_comma_is_refused_because_it_may_hide_a_shifted_argument(line: Line, gate: Gates) -> None:
    gate(allow)
    [placed] = line.place(Call(LISTED, "7,8"))
    assert refused(placed, "bad-arguments")


def test_a_campaign_is_a_third_argument_and_there_is_none_without_it(line: Line, gate: Gates) -> None:
    heard = gate(allow).heard
    named = [Call(LISTED, "lead-7", campaign="Spring_2027.b-1"), Call(LISTED, campaign="x" * 64)]
    assert [placed.status for placed in line.place(*named, Call(LISTED, "lead-7"))] == [200] * 3
    asked = [(request["agi_arg_2"], request.get("agi_arg_3")) for request in heard]
    assert sorted(asked, key=str) == [("", "x" * 64), ("lead-7", "Spring_2027.b-1"), ("lead-7", None)]


@pytest.mark.parametrize(
    "campaign",
    ["a b", "a'", "x" * 65, "${UNIQUEID}", '"7"', 'a" "', "7:8?9", "a,lead-7", ",", "a)", "a]", "(a", "a\\", "%C3%A9"],
)
def test_an_ill_formed_campaign_is_none(line: Line, gate: Gates, campaign: str) -> None:
    heard = gate(allow).heard
    [placed] = line.place(Call(LISTED, "lead-7", campaign=campaign))
    assert (placed.status, *fields(placed)) == (200, "ALLOW", "not-listed")
    assert [(request["agi_arg_2"], request.get("agi_arg_3")) for request in heard] == [("lead-7", None)]


@pytest.mark.parametrize(
    ("odd", "asked"),
    [("campaign_linebreak", None), ("campaign_global", "everybody"), ("campaign_own", "mine")],
)
def test_a_campaign_stands_in_a_variable_of_the_channel_or_of_all_and_stays_there(
    line: Line, gate: Gates, odd: str, asked: str | None
) -> None:
    heard = gate(allow).heard
    [placed] = line.place(Call(odd, caller="lab"))
    assert placed.status == 200
    assert [(request["agi_arg_2"], request.get("agi_arg_3")) for request in heard] == [("lead-7", asked)]
    assert placed.record["dnc_lead"] == f"{(asked or 'broken')[:4]}-"


def test_a_phone_is_not_believed_when_it_names_a_lead_or_a_campaign(line: Line, gate: Gates) -> None:
    heard = gate(block).heard
    line.place(Call(LISTED, lead="lead-7", caller="phone", campaign="spring"))
    assert [(request["agi_arg_2"], request.get("agi_arg_3")) for request in heard] == [("", None)]


def test_an_emergency_call_reaches_the_trunk_while_the_gate_is_dead(line: Line) -> None:
    placed = line.place(Call("911"), Call("112", caller="phone"))
    assert [call.status for call in placed] == [200, 200]
    assert sorted(line.trunk.numbers()) == ["112", "911"]
    assert {fields(call) for call in placed} == {("ALLOW", "emergency")}


def test_an_emergency_call_is_not_kept_waiting_by_a_silent_gate(line: Line, gate: Gates) -> None:
    heard = gate(hold).heard
    [placed] = line.place(Call("911"))
    assert placed.status == 200
    assert placed.outcome.seconds < 1
    assert heard == []


@pytest.mark.parametrize("dialed", ["9112024561111", "911 1", "1911", "+911", "9110"])
def test_a_number_that_only_begins_like_an_emergency_number_goes_through_the_gate(
    line: Line, gate: Gates, dialed: str
) -> None:
    heard = gate(block).heard
    line.place(Call(dialed))
    assert len(heard) == 1
    assert line.trunk.numbers() == []


def test_a_blocked_caller_hears_the_notice_without_being_answered(line: Line, gate: Gates) -> None:
    gate(block)
    line.pbx.set_global("DNC_NOTICE", "vm-goodbye")
    [placed] = line.place(Call(LISTED))
    assert refused(placed, "internal-dnc")
    assert placed.record["disposition"] != "ANSWERED"
    assert placed.record["billsec"] == "0"
    assert placed.outcome.seconds > 0.5, "the notice was played to its end"
    assert line.trunk.numbers() == []


def test_a_notice_that_is_too_long_is_cut_off_and_the_reason_kept(line: Line, gate: Gates) -> None:
    gate(block)
    line.pbx.set_global("DNC_NOTICE", "silence/10&silence/10&silence/10")
    [placed] = line.place(Call(LISTED))
    assert refused(placed, "internal-dnc")
    assert abs(placed.outcome.seconds - 20) < 1


def test_a_notice_that_does_not_exist_changes_nothing(line: Line, gate: Gates) -> None:
    gate(block)
    line.pbx.set_global("DNC_NOTICE", "no-such-sound")
    [placed] = line.place(Call(LISTED))
    assert refused(placed, "internal-dnc")


def test_a_redirect_from_the_trunk_is_not_followed(line: Line, gate: Gates) -> None:
    gate(allow)
    line.trunk.stop()
    with Trunk(line.trunk.directory, line.pbx.trunk_port, "redirect") as trunk:
        [placed] = line.place(Call(LISTED))
        assert trunk.numbers() == ["+14155550100"]
    assert placed.status >= 400


@pytest.mark.parametrize("odd", ["none", "one", "three"])
def test_the_wrong_number_of_arguments_is_refused_whatever_argc_says(line: Line, gate: Gates, odd: str) -> None:
    heard = gate(allow).heard
    [placed] = line.place(Call(odd, caller="lab"))
    assert refused(placed, "bad-arguments")
    assert (heard, line.trunk.numbers()) == ([], [])


@pytest.mark.parametrize("odd", ["goto", "misspelt"])
def test_a_screening_that_was_called_wrongly_ends_the_call(line: Line, gate: Gates, odd: str) -> None:
    gate(allow)
    [placed] = line.place(Call(odd, caller="lab"))
    assert placed.status >= 400
    assert line.trunk.numbers() == []


def test_variables_that_said_allow_before_are_forgotten(line: Line) -> None:
    for name, value in {"DNC_VERDICT": "ALLOW", "DNC_NUMBER": "+14155550199", "DNC_DECISION": "0a-1"}.items():
        line.pbx.set_global(name, value)
    [placed] = line.place(Call("forged", caller="lab"))
    assert refused(placed, "gate-unreachable")
    assert placed.record["dnc_decision"] == ""
    assert line.trunk.numbers() == []


def test_a_channel_cannot_choose_its_gate(line: Line, gate: Gates) -> None:
    gate(block)
    [placed] = line.place(Call("own_gate", caller="lab"))
    assert refused(placed, "internal-dnc")


def test_a_verdict_belongs_to_one_screening_not_to_the_channel(line: Line, gate: Gates) -> None:
    def first_only(request: dict[str, str]) -> str:
        return verdict(request) + "\n" if request["agi_arg_1"] == "4155550111" else ""

    async def behave(request: dict[str, str], reader: object, writer: object) -> None:
        if text := first_only(request):
            await saying(lambda _: text)(request, reader, writer)  # type: ignore[arg-type]

    heard = gate(behave).heard
    [placed] = line.place(Call("twice", caller="lab"))
    assert len(heard) == 2
    assert refused(placed, "gate-broke-off")
    assert placed.record["dnc_decision"] == ""
    assert line.trunk.numbers() == []


def test_the_line_of_the_first_screening_does_not_open_the_second_number(line: Line, gate: Gates) -> None:
    gate(allow)
    [placed] = line.place(Call("twice", caller="lab"))
    assert placed.status == 200
    assert line.trunk.numbers() == ["+14155550100"]


def test_the_operators_time_limit_and_agi_settings_are_back_after_the_screening(line: Line, gate: Gates) -> None:
    gate(allow)
    [placed] = line.place(Call("leftovers", caller="lab"))
    assert placed.status == 200
    assert placed.record["dnc_lead"] in {"599 mine", "600 mine"}


def test_the_operators_own_h_extension_runs_for_a_blocked_call(line: Line, gate: Gates) -> None:
    gate(block)
    [placed] = line.place(Call("own_h", caller="lab"))
    assert refused(placed, "internal-dnc")
    assert placed.record["dnc_lead"] == "ran-BLOCK-21"


def test_a_line_break_in_the_callers_name_does_not_write_the_request(line: Line, gate: Gates) -> None:
    heard = gate(allow).heard
    [placed] = line.place(Call("linebreak", caller="lab"))
    assert refused(placed, "bad-arguments")
    assert (heard, line.trunk.numbers()) == ([], [])


@pytest.mark.parametrize("unique_id", ['x" | "1', "x = x", "a b", "1|1"])
def test_a_unique_id_that_is_an_expression_opens_nothing(line: Line, gate: Gates, unique_id: str) -> None:
    heard = gate(block).heard
    before = len(line.pbx.cdr())
    originate(line.pbx, unique_id)
    line.pbx.wait_for(lambda: len(line.pbx.cdr()) > before)
    line.pbx.wait_for(lambda: line.pbx.calls() == 0)
    assert {record["dnc_reason"] for record in line.pbx.cdr()[before:]} & {"bad-channel"}
    assert (heard, line.trunk.numbers()) == ([], [])


def originate(pbx: Asterisk, unique_id: str) -> None:
    """Start a call over AMI whose second channel, which runs the dialplan, has this unique id."""
    login = f"Action: Login\r\nUsername: {pbx.ami_user}\r\nSecret: {pbx.ami_secret}\r\nEvents: off\r\n\r\n"
    action = (
        "Action: Originate\r\nChannel: Local/1@lab-odd-id\r\nApplication: Wait\r\nData: 1\r\nTimeout: 2000\r\n"
        f"ChannelId: plain-{unique_id.encode().hex()}\r\nOtherChannelId: {unique_id}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", pbx.ami_port), 5) as ami:
        ami.sendall((login + action + "Action: Logoff\r\n\r\n").encode())
        while ami.recv(65536):
            pass


FUNCTIONS = ["callerid", "cdr", "channel", "dialplan", "global", "logic", "strings", "timeout"]


@pytest.mark.parametrize("module", ["app_stack", *(f"func_{name}" for name in FUNCTIONS)])
def test_a_module_that_is_missing_lets_no_blocked_call_through(line: Line, gate: Gates, module: str) -> None:
    gate(block)
    assert "Unloaded" in line.pbx.rx(f"module unload {module}.so")
    try:
        line.dialer.dial([Call(LISTED)])
        assert line.trunk.numbers() == []
    finally:
        line.pbx.wait_for(lambda: line.pbx.calls() == 0)
        line.pbx.rx(f"module load {module}.so")
