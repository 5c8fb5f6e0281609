"""What the dialplan is told: nothing but what the gate made itself, and the verdict last."""

from datetime import UTC, datetime

import pytest

from agi_gate.protocol import set_variables
from agi_gate.session import variables
from compliance import verdict
from compliance.verdict import Decision, allow, block


def decision(ruling, channel="pbx-1.1") -> Decision:
    return Decision("id-1", datetime.now(UTC), ruling, "415", "+14155550100", "lead-1", channel, 1, "gate")


def test_the_verdict_comes_last_so_that_a_line_cut_short_allows_nothing():
    line = set_variables(variables(decision(allow(verdict.NOT_LISTED))))
    assert line.endswith(b',DNC_VERDICT=ALLOW-pbx-1.1"\n')
    for end in range(len(line) - 2):
        assert b"ALLOW-pbx-1.1" not in line[:end]


def test_an_allow_without_a_channel_is_never_said():
    assert dict(variables(decision(allow(verdict.NOT_LISTED), channel="")))["DNC_VERDICT"] == "BLOCK"


@pytest.mark.parametrize("ruling", [block(verdict.DEADLINE), block(verdict.listed_on("internal"))])
def test_a_block_names_no_channel_and_no_lead(ruling):
    line = set_variables(variables(decision(ruling)))
    assert b"pbx" not in line
    assert b"lead" not in line
