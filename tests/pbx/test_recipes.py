"""The unchanged blocks of `dialplan/README.md` for FreePBX and VICIdial, behind a replica of each product."""

from collections.abc import Callable, Mapping, Sequence

import pytest

from lab.line import Line
from lab.sipp import Call
from tests.pbx.gates import Behaviour, FakeGate, allow, block, hold

Gates = Callable[[Behaviour], FakeGate]


def dial(line: Line, extension: str) -> tuple[int, dict[str, str]]:
    """Place one call; return its status and its record, even if the dialplan changed the caller's name."""
    before = len(line.pbx.cdr())
    [placed] = line.place(Call(extension, caller="lab"))
    return placed.status, line.pbx.cdr()[before]


def arguments(heard: Sequence[Mapping[str, str]]) -> list[tuple[str, str, str | None]]:
    """Return dialled digits, lead and campaign of each request; None for a missing argument."""
    return [(request["agi_arg_1"], request["agi_arg_2"], request.get("agi_arg_3")) for request in heard]


def test_freepbx_dials_the_judged_number_behind_the_trunks_prefix(line: Line, gate: Gates) -> None:
    heard = gate(allow).heard
    status, record = dial(line, "freepbx_lead")
    assert status == 200
    assert line.trunk.numbers() == ["0+14155550100"]
    assert arguments(heard) == [("14155550100", "lead-7", "spring")]
    assert record["dnc_verdict"] == "ALLOW"


@pytest.mark.parametrize(("behaviour", "reason"), [(block, "internal-dnc"), (hold, "gate-silent")])
def test_freepbx_blocks_and_does_not_try_the_next_trunk(
    line: Line, gate: Gates, behaviour: Behaviour, reason: str
) -> None:
    heard = gate(behaviour).heard
    status, record = dial(line, "freepbx_plain")
    assert (status, record["dnc_verdict"], record["dnc_reason"]) == (403, "BLOCK", reason)
    assert record["dnc_lead"] == " ended", "its own h extension has run"
    assert arguments(heard) == [("14155550100", "", None)]
    assert line.trunk.numbers() == []


def test_freepbx_dials_emergency_numbers_without_the_gate(line: Line) -> None:
    status, record = dial(line, "freepbx_911")
    assert (status, record["dnc_reason"]) == (200, "emergency")
    assert line.trunk.numbers() == ["0911"]


def test_vicidial_names_the_campaign_and_the_lead_that_stands_in_the_callers_name(line: Line, gate: Gates) -> None:
    heard = gate(allow).heard
    status, record = dial(line, "vicidial_auto")
    assert status == 200
    assert arguments(heard) == [("14155550100", "123456", "SALES")]
    assert line.trunk.numbers() == ["+14155550100"]
    assert record["dnc_lead"] == "123456 logged"


def test_vicidial_blocks_and_still_logs_the_end_of_the_call(line: Line, gate: Gates) -> None:
    heard = gate(block).heard
    status, record = dial(line, "vicidial_plain")
    assert (status, record["dnc_reason"]) == (403, "internal-dnc")
    assert arguments(heard) == [("14155550100", "0", None)]
    assert record["dnc_lead"] == "0 logged"
    assert line.trunk.numbers() == []
