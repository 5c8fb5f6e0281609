"""The documents agree with the code: all settings, commands, reasons, links and pictures in them exist."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from typer.main import get_command

from admin_web.cli.program import command_line
from admin_web.settings import AdminSettings
from agi_gate.commands import app as agi_gate
from agi_gate.settings import GateSettings
from compliance import channel_vars
from compliance.numbers import REFUSALS
from compliance.rule import sentences
from compliance.settings import Settings
from compliance.terms import REGISTRY_UNCOVERED
from compliance.verdict import DIALPLAN_REASONS, EMERGENCY, GATE_REASONS, NOT_LISTED, OVERRIDE

ROOT = Path(__file__).parent.parent
ROOMS = r"agi_gate|admin_web|compliance|dialplan|scripts|bench|lab|tests|docs|\.ci"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("docs/**/*.md")])
REFERENCE = (ROOT / "docs" / "reference.md").read_text()

SETTINGS = {f"DNC_{name.upper()}" for name in GateSettings.model_fields | AdminSettings.model_fields}
VARIABLES = {
    *(channel_vars.VERDICT, channel_vars.NUMBER, channel_vars.REASON, channel_vars.DECISION, channel_vars.CAMPAIGN),
    *channel_vars.GLOBALS,
    *channel_vars.CLICKED,
}

every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def settings_table() -> str:
    """Return the table of all settings that docs/reference.md must have."""
    rows = ["| setting | program | default | meaning |", "|---|---|---|---|"]
    for name, field in (GateSettings.model_fields | AdminSettings.model_fields).items():
        of = "both" if name in Settings.model_fields else "gate" if name in GateSettings.model_fields else "site"
        default = f"`{field.default}`" if str(field.default) else "none"
        rows.append(f"| `DNC_{name.upper()}` | {of} | {default} | {field.description} |")
    return "\n".join(rows)


def refusals_table() -> str:
    """Return the table of all reasons for refusing a number that docs/reference.md must have."""
    rows = ["| detail | message |", "|---|---|"]
    return "\n".join([*rows, *(f"| `{reason}` | {sentence} |" for reason, sentence in REFUSALS.items())])


def commands(name: str, command: Any) -> Iterator[str]:
    """Yield every visible command in full, such as `dnc-admin lead add`."""
    below = getattr(command, "commands", None)
    if below is not None:
        for word, each in below.items():
            yield from commands(f"{name} {word}", each)
    elif not command.hidden:
        yield name


COMMANDS = [*commands("agi-gate", get_command(agi_gate)), *commands("dnc-admin", get_command(command_line()))]


def test_every_setting_stands_in_the_reference_with_its_default():
    assert settings_table() in REFERENCE, f"docs/reference.md must have this table:\n{settings_table()}"


def test_every_reason_for_refusing_a_number_stands_in_the_reference():
    assert refusals_table() in REFERENCE, f"docs/reference.md must have this table:\n{refusals_table()}"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_stands_in_the_reference(command: str):
    assert re.search(rf"^\|.*`{command}\b", REFERENCE, re.MULTILINE)


@every_document
def test_every_setting_and_variable_that_a_document_names_exists(document: Path):
    named = set(re.findall(r"(?<![A-Za-z])DNC_[A-Z_]*[A-Z]\b", document.read_text()))
    known = {*SETTINGS, *(f"{setting}_FILE" for setting in SETTINGS), *VARIABLES}
    assert named <= known, named - known


@every_document
def test_every_command_that_a_document_names_exists(document: Path):
    text = document.read_text()
    known = {" ".join(command.split()[:2]) for command in COMMANDS}
    named = set(re.findall(r"(?<![\w/.-])(?:agi-gate|dnc-admin) [a-z][a-z-]*", text))
    assert named <= known, named - known
    for module in re.findall(r"python -m ((?:bench|lab)\.\w+)", text):
        assert find_spec(module), module


def test_every_reason_stands_in_the_contract_of_the_dialplan_once():
    text = (ROOT / "dialplan" / "README.md").read_text()
    reasons = text.partition("## Reasons")[2].partition("## Call-detail")[0]
    gate, dialplan = reasons.split("The dialplan gives these reasons")
    listed = set(re.findall(r"^\| `([^`]+)` \|", gate, re.MULTILINE))
    # A new check explains its reasons itself: its module, its line in the tuple and its test are all that it takes.
    assert {*GATE_REASONS, "<list>-dnc"} <= listed <= {*sentences(), "<list>-dnc"}
    assert set(re.findall(r"^\| `([^`]+)` \|", dialplan, re.MULTILINE)) == {*DIALPLAN_REASONS}
    for row in re.findall(r"^\| `.*$", gate + dialplan, re.MULTILINE):
        assert all(cell.strip() for cell in row.split("|")[1:-1]), row


def test_the_verdicts_of_the_contract_are_those_that_the_rule_can_give():
    text = (ROOT / "dialplan" / "README.md").read_text()
    said = dict(re.findall(r"^\| `([^`]+)` \| ((?:ALLOW|BLOCK)(?: or ALLOW)?) \|", text, re.MULTILINE))
    allowed = {NOT_LISTED, OVERRIDE, EMERGENCY, REGISTRY_UNCOVERED}
    assert {reason for reason, verdicts in said.items() if "ALLOW" in verdicts} == allowed
    blocked = {reason for reason, verdicts in said.items() if "BLOCK" in verdicts} - allowed
    assert {*GATE_REASONS, "<list>-dnc"} - allowed <= blocked <= {*sentences(), "<list>-dnc"} - allowed


@every_document
def test_every_file_that_a_document_points_at_exists(document: Path):
    text = document.read_text()
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (document.parent / target).exists(), target
    for path in re.findall(rf"(?<=[`\s])((?:{ROOMS})/[\w./-]*\w)(?=[`\s:])", text):
        assert (ROOT / path).exists(), path


@every_document
def test_every_section_that_a_document_points_at_exists(document: Path):
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", document.read_text()):
        headings = re.findall(
            r"^#+ (.*)$", ((document.parent / target) if target else document).read_text(), re.MULTILINE
        )
        assert unquote(anchor) in {anchor_of(heading) for heading in headings}, f"{target}#{anchor}"


def anchor_of(heading: str) -> str:
    """Return the anchor that a Markdown viewer makes of a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_every_picture_is_shown():
    shown = "".join(document.read_text() for document in DOCUMENTS)
    assert all(f"images/{picture.name}" in shown for picture in (ROOT / "docs" / "images").iterdir())
