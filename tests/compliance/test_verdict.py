"""Verdicts and reasons: stable slugs, safe on an AGI line, and a sentence for each."""

import re
from pathlib import Path

from compliance import verdict
from compliance.verdict import SENTENCES, Verdict, allow, block, listed_on


def test_every_reason_of_the_gate_has_a_sentence_for_people():
    reasons = {value for name, value in vars(verdict).items() if name.isupper() and isinstance(value, str)}
    assert reasons <= SENTENCES.keys()
    assert SENTENCES.keys() - reasons == {listed_on("internal")}


def test_every_reason_that_the_code_rules_with_has_a_sentence():
    """Also one that is written down without its name: `Reason("...")`."""
    root = Path(verdict.__file__).parent.parent
    code = "".join(file.read_text() for room in ("compliance", "agi_gate") for file in (root / room).rglob("*.py"))
    assert set(re.findall(r"\bReason\(\"([a-z-]+)\"\)", code)) <= {*SENTENCES, *verdict.DIALPLAN_REASONS}


def test_a_listed_number_names_its_list():
    assert listed_on("us-ftc") == "us-ftc-dnc"


def test_a_ruling_is_allow_only_by_that_name():
    assert allow(verdict.NOT_LISTED).verdict is Verdict.ALLOW
    assert block(verdict.DEADLINE).verdict is Verdict.BLOCK
