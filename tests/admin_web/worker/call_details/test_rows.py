"""One call-detail record as a row, and which calls left the PBX without a verdict."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from admin_web.pbx.settings import PbxSettings
from admin_web.worker.call_details.rows import FIELDS, Trunks, UnreadableDetail, row_of
from tests.support.cdr import ALLOWED, BLOCKED, DECISION, fields

TRUNKS = Trunks(("PJSIP/trunk-*", "DAHDI/*"))
TRUNK = "PJSIP/trunk-00000002"


def test_the_fields_are_those_that_the_dialplan_writes():
    mapping = (Path(__file__).parents[4] / "dialplan" / "cdr_custom.conf").read_text()
    assert tuple(re.findall(r"CSV_QUOTE\(\$\{CDR\((\w+)(?:,u)?\)\}\)", mapping)) == FIELDS


def test_a_record_is_a_row():
    row = row_of(fields(**ALLOWED, dnc_lead="L-1", dnc_agent="agent"), TRUNKS)
    assert row == {
        "channel": "1795495769.1", "linked_channel": "1795495769.1", "sequence": 0, "decision_id": DECISION,
        "source": "dialer", "destination": "+14155550100", "trunk": TRUNK, "verdict": "ALLOW", "reason": "not-listed",
        "disposition": "ANSWERED", "lead": "L-1", "agent": "agent", "unscreened": False, "telephone": "PJSIP/dialer",
        "started_at": datetime(2026, 11, 24, 4, 49, 29, 220612, UTC), "seconds_billed": 11,
        "answered_at": datetime(2026, 11, 24, 4, 49, 29, 223426, UTC),
        "ended_at": datetime(2026, 11, 24, 4, 49, 40, 726174, UTC),
    }  # fmt: skip


def test_what_did_not_happen_has_no_moment():
    row = row_of(fields(answer="0.000000", end=""), TRUNKS)
    assert (row["answered_at"], row["ended_at"]) == (None, None)


@pytest.mark.parametrize(
    ("channel", "telephone"),
    [
        ("PJSIP/alice-0000001f", "PJSIP/alice"),
        ("PJSIP/desk-12-00000001", "PJSIP/desk-12"),
        ("PJSIP/alice-0000012", "PJSIP/alice"),
        ("SIP/200-0000beef", "SIP/200"),
        ("SCCP/i1/200-5", "SCCP/i1/200"),
        ("DAHDI/i1/200-5", ""),
        (TRUNK, ""),
        ("Local/4155550100@dnc-screened-0000001f;2", ""),
        ("", ""),
        ("PJSIP/", ""),
        ("PJSIP/\u202ealice-0000001f", "PJSIP/\ufffdalice"),
        ("PJSIP/" + "x" * 200 + "-0000001f", "PJSIP/" + "x" * 74),
    ],
)
def test_the_telephone_is_the_endpoint_of_the_calling_channel(channel: str, telephone: str):
    assert row_of(fields(channel=channel), TRUNKS)["telephone"] == telephone


@pytest.mark.parametrize(
    ("record", "unscreened"),
    [
        (ALLOWED, False),
        ({"dstchannel": TRUNK}, True),
        ({"dstchannel": "DAHDI/1-1"}, True),
        ({"dstchannel": "PJSIP/agent-00000002"}, False),
        ({"dstchannel": "PJSIP/trunks"}, False),
        ({}, False),
        (BLOCKED, False),
        # The call left although the gate or the dialplan had blocked it.
        ({**BLOCKED, "dstchannel": TRUNK}, True),
        ({"dstchannel": TRUNK, "dnc_verdict": "BLOCK", "dnc_reason": "gate-unreachable"}, True),
        # A custom dialplan says ALLOW, without a decision.
        ({"dstchannel": TRUNK, "dnc_verdict": "ALLOW", "dnc_reason": "not-listed"}, True),
        ({"dstchannel": TRUNK, "dnc_verdict": "ALLOW-1795495769.1", "dnc_decision": DECISION}, True),
        ({"dstchannel": TRUNK, "dnc_verdict": "ALLOW", "dnc_reason": "emergency", "dnc_number": "911"}, False),
        ({"dstchannel": TRUNK, "dnc_verdict": "ALLOW", "dnc_reason": "emergency", "dnc_number": "+14155550100"}, True),
        ({"dstchannel": TRUNK, "dnc_verdict": "BLOCK", "dnc_reason": "emergency", "dnc_number": "911"}, True),
        # Originated directly to a trunk, without the dialplan: there is no source. An inbound call has one.
        ({"channel": TRUNK, "src": ""}, True),
        ({"channel": TRUNK, "src": "+14155550111"}, False),
    ],
)
def test_unscreened_is_what_left_through_a_trunk_without_a_verdict(record: dict[str, str], unscreened: bool):
    assert row_of(fields(**record), TRUNKS)["unscreened"] is unscreened


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"uniqueid": ""}, "unique id"),
        ({"uniqueid": "1 2"}, "unique id"),
        ({"uniqueid": "x" * 151}, "unique id"),
        ({"linkedid": "a\nb"}, "unique id"),
        ({"start": "2026-11-24 05:00:00"}, "is not a time"),
        ({"start": "0.000000"[:0]}, "is not a time"),
        ({"end": "99999999999.000000"}, "is not a time"),
        ({"sequence": "-1"}, "is not a count"),
        ({"billsec": "٣"}, "is not a count"),
        ({"billsec": "9999999999"}, "is not a count"),
    ],
)
def test_a_line_that_is_no_record_is_refused_with_why(record: dict[str, str], why: str):
    with pytest.raises(UnreadableDetail, match=why):
        row_of(fields(**record), TRUNKS)


def test_too_few_or_too_many_fields_are_no_record():
    for given in (fields()[:-1], [*fields(), ""], []):
        with pytest.raises(UnreadableDetail, match="fields instead of 22"):
            row_of(given, TRUNKS)


def test_what_callers_write_fits_its_column_and_prints():
    row = row_of(fields(src="\x1b[31m" + "9" * 200, dnc_lead="=1+1\n" * 40, dnc_agent="\0"), TRUNKS)
    assert row["source"] == "\ufffd[31m" + "9" * 75
    assert row["lead"] == ("=1+1\ufffd" * 40)[:64]
    assert row["agent"] == "\ufffd"


def test_the_default_trunk_is_that_of_the_sample_dialplan():
    sample = (Path(__file__).parents[4] / "dialplan" / "extensions_dnc_sample.conf").read_text()
    assert "Dial(PJSIP/${DNC_NUMBER}@trunk," in sample
    assert PbxSettings().trunks == ("PJSIP/trunk-*",)
