"""What the README says is so: the settings it lists, the commands it names, the files it points at."""

import re
from pathlib import Path

from typer.main import get_command

from admin_web.cli.program import command_line
from admin_web.settings import AdminSettings
from agi_gate.__main__ import app as agi_gate
from agi_gate.settings import GateSettings
from compliance.settings import Settings
from compliance.verdict import DIALPLAN_REASONS, EMERGENCY, NOT_LISTED, OVERRIDE, REGISTRY_UNCOVERED, SENTENCES

ROOT = Path(__file__).parent.parent
ROOMS = "agi_gate|admin_web|compliance|dialplan|scripts|bench|lab"
README = (ROOT / "README.md").read_text()


def settings_table() -> str:
    """The table of all settings, as the README must have it."""
    rows = ["| setting | of | default | what it says |", "|---|---|---|---|"]
    for name, field in (GateSettings.model_fields | AdminSettings.model_fields).items():
        of = "both" if name in Settings.model_fields else "gate" if name in GateSettings.model_fields else "site"
        default = f"`{field.default}`" if str(field.default) else "none"
        rows.append(f"| `DNC_{name.upper()}` | {of} | {default} | {field.description} |")
    return "\n".join(rows)


def test_every_setting_stands_in_the_readme_with_its_default():
    assert settings_table() in README


def test_every_command_stands_in_the_readme():
    for program, app in (("agi-gate", agi_gate), ("dnc-admin", command_line())):
        for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
            assert command.hidden or re.search(rf"`(?:{program} )?{name}\b", README), f"{program} {name}"


def test_every_reason_stands_in_the_contract_of_the_dialplan_once():
    text = (ROOT / "dialplan" / "README.md").read_text()
    reasons = text.partition("## Reasons")[2].partition("## Call-detail")[0]
    gate, dialplan = reasons.split("And these are the dialplan's")
    assert set(re.findall(r"^\| `([^`]+)` \|", gate, re.MULTILINE)) == {*SENTENCES, "<list>-dnc"}
    assert set(re.findall(r"^\| `([^`]+)` \|", dialplan, re.MULTILINE)) == {*DIALPLAN_REASONS}
    for row in re.findall(r"^\| `.*$", gate + dialplan, re.MULTILINE):
        assert all(cell.strip() for cell in row.split("|")[1:-1]), row


def test_the_verdicts_of_the_contract_are_those_that_the_rule_can_give():
    text = (ROOT / "dialplan" / "README.md").read_text()
    said = dict(re.findall(r"^\| `([^`]+)` \| ((?:ALLOW|BLOCK)(?: or ALLOW)?) \|", text, re.MULTILINE))
    allowed = {NOT_LISTED, OVERRIDE, EMERGENCY, REGISTRY_UNCOVERED}
    assert {reason for reason, verdicts in said.items() if "ALLOW" in verdicts} == allowed
    assert {reason for reason, verdicts in said.items() if "BLOCK" in verdicts} - allowed == {
        *(set(SENTENCES) - allowed), "<list>-dnc",
    }  # fmt: skip


def test_every_file_that_the_documents_point_at_exists():
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("*/README.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
        for path in re.findall(rf"`((?:{ROOMS})/[\w./]*)`", document.read_text()):
            assert (ROOT / path).exists(), f"{document.name}: {path}"
