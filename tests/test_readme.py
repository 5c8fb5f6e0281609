"""What the README says is so: the settings it lists, the commands it names, the files it points at."""

import re
from pathlib import Path

from typer.main import get_command

from admin_web.__main__ import app as dnc_admin
from admin_web.settings import AdminSettings
from agi_gate.__main__ import app as agi_gate
from agi_gate.settings import GateSettings
from compliance.settings import Settings

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
    for program, app in (("agi-gate", agi_gate), ("dnc-admin", dnc_admin)):
        for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
            assert command.hidden or re.search(rf"`(?:{program} )?{name}\b", README), f"{program} {name}"


def test_every_file_that_the_documents_point_at_exists():
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("*/README.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
        for path in re.findall(rf"`((?:{ROOMS})/[\w./]*)`", document.read_text()):
            assert (ROOT / path).exists(), f"{document.name}: {path}"
