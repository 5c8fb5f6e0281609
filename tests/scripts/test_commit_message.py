"""The commit-msg hook: the subject must be `area: summary`, short enough for one line."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "commit_message.py"


def checked(message: str, directory: Path) -> tuple[int, str]:
    (directory / "message").write_text(message, encoding="utf-8")
    command = [sys.executable, str(SCRIPT), str(directory / "message")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return ended.returncode, ended.stderr


@pytest.mark.parametrize(
    "message",
    [
        "exports: defuse every cell with one function\n",
        "agi_gate/store: ask twice\n\nWhy it is so: see the body.\n",
        "cli, api: name the list\n\n# Please enter the commit message\n",
        f"a: {'é' * 68}\n",
        "Merge branch 'x'\n",
        'Revert "exports: defuse every cell with one function and a long tail that git itself has added"\n',
    ],
)
def test_a_good_message_is_taken(message: str, tmp_path: Path):
    assert checked(message, tmp_path) == (0, "")


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Defuse every cell\n", "area: imperative summary"),
        ("exports: defuse every cell.\n", "full stop"),
        ("exports:defuse every cell\n", "area: imperative summary"),
        ("", "area: imperative summary"),
        ("# only a comment\n", "area: imperative summary"),
        (f"a: {'é' * 69}\n", "72 characters; at most 71"),
        ("exports: defuse every cell\nand more\n", "second line empty"),
    ],
)
def test_a_bad_one_is_refused_with_the_reason(message: str, said: str, tmp_path: Path):
    code, error = checked(message, tmp_path)
    assert code == 1
    assert said in error
