"""The commands of `dnc-admin`. Each imports only the module that it needs."""

import subprocess
import sys

import pytest
from typer.main import get_command

from admin_web.cli.program import NOUNS, command_line


def commands(*words: str) -> list[str]:
    return list(get_command(command_line(words)).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("noun", NOUNS)
def test_a_noun_adds_the_commands_that_it_is_asked_for(noun: str):
    for word in NOUNS[noun]:
        assert set(commands(word, "--help")) == set(NOUNS[noun])


@pytest.mark.parametrize("words", [(), ("--help",), ("no-such-command",)])
def test_whoever_asks_for_no_command_is_shown_all(words: tuple[str, ...]):
    assert sorted(commands(*words)) == sorted(word for noun in NOUNS.values() for word in noun)


def test_a_command_of_the_shell_does_not_load_the_site():
    """Somebody on the telephone waits for such a command, so it must not spend time on unneeded imports."""
    asked = "import sys; sys.argv[1:] = ['suppress', '--help']; from admin_web.__main__ import main"
    end = "import atexit; atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr)); main()"
    ended = subprocess.run([sys.executable, "-c", f"{asked}; {end}"], capture_output=True, text=True, check=True)
    loaded = set(ended.stderr.split())
    assert "admin_web.cli.suppression" in loaded
    assert not loaded & {"aiohttp", "jinja2", "admin_web.app", "admin_web.worker"}
