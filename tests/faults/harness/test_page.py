"""docs/faults.md says what the harness does."""

import re
from pathlib import Path

from tests.faults.harness.checking.violations import RULES
from tests.faults.harness.faults.catalogue import KINDS
from tests.faults.harness.setting import CONFIGURATIONS

PAGE = (Path(__file__).parents[3] / "docs/faults.md").read_text()


def test_the_page_has_the_table_of_all_rules():
    table = "\n".join(
        ["| rule | what it means |", "| --- | --- |", *(f"| `{rule}` | {RULES[rule]} |" for rule in RULES)]
    )
    assert f"\n\n{table}\n\n" in PAGE, f"docs/faults.md must have this table:\n{table}"


def test_the_page_has_each_fault_with_the_time_in_which_calls_are_back():
    rows = re.findall(r"^\| `([a-z-]+)` \| [A-Z`].* \| (\d+) s \|$", PAGE, re.MULTILINE)
    assert rows == [(kind.kind, f"{kind.back_within_s:.0f}") for kind in KINDS]


def test_the_page_has_each_configuration():
    for configuration in CONFIGURATIONS:
        assert f"\n| `{configuration}` | " in PAGE
