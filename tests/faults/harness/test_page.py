"""docs/faults.md says what the harness does."""

from pathlib import Path

from tests.faults.harness.checking.violations import RULES

PAGE = (Path(__file__).parents[3] / "docs/faults.md").read_text()


def test_the_page_has_the_table_of_all_rules():
    table = "\n".join(
        ["| rule | what it means |", "| --- | --- |", *(f"| `{rule}` | {RULES[rule]} |" for rule in RULES)]
    )
    assert f"\n\n{table}\n\n" in PAGE, f"docs/faults.md must have this table:\n{table}"
