"""Command lines: wrong words are one line in plain words, and the help shows what to write."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import pytest
import typer

from compliance.command_line import WrongWords, invoke


class Colour(StrEnum):
    RED, BLUE = "red", "dark-blue"


def program() -> typer.Typer:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)

    @app.command()
    def paint(
        wall: Annotated[int, typer.Argument()],
        colour: Annotated[Colour, typer.Option()],
        day: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])] = None,
        coats: Annotated[int, typer.Option(min=1, max=9)] = 1,
        wet: Annotated[bool, typer.Option("--wet")] = False,
    ) -> None:
        """Paint a wall.

        The second paragraph is written
        on two lines.
        """
        if wet:
            raise typer.Exit(3)

    @app.command()
    def ask() -> None:
        raise typer.Abort

    return app


def said(*words: str) -> str:
    with pytest.raises(WrongWords) as refused:
        run(*words)
    message = str(refused.value)
    assert "\n" not in message
    return message


def run(*words: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["painter", *words])
        return invoke(program(), "painter")


SEE = ". See painter paint --help."


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["1"], f"Missing option '--colour'. Choose from: red, dark-blue{SEE}"),
        (["--colour", "red"], f"Missing argument 'WALL'{SEE}"),
        (["north", "--colour", "red"], f"WALL: write a whole number{SEE}"),
        (["1", "--colour", "green"], f"--colour: 'green' is not one of 'red', 'dark-blue'{SEE}"),
        (
            ["1", "--colour", "red", "--day", "31.12.2026"],
            f"--day: '31.12.2026' is not a day: write it as 2026-12-31{SEE}",
        ),
        (
            ["1", "--colour", "red", "--day", "2026-02-30"],
            f"--day: '2026-02-30' is not a day: write it as 2026-12-31{SEE}",
        ),
        (["1", "--colour", "red", "--coats", "0"], f"--coats: write 1 or more{SEE}"),
        (["1", "--colour", "red", "--coats", "10"], f"--coats: write 9 or less{SEE}"),
        (["1", "--colour", "red", "--coats", "two"], f"--coats: write a whole number{SEE}"),
        (["1", "--color", "red"], f"No such option: --color (Possible options: --colour){SEE}"),
        (["1", "2", "--colour", "red"], f"Unexpected: 2. Put text with spaces between quotes{SEE}"),
        (["1", "--colour"], "Option '--colour' requires an argument"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_wrong_words_are_one_line_that_says_what_to_write(words: list[str], message: str):
    assert said("paint", *words).startswith(message)


def test_an_unknown_command_names_the_likely_one():
    assert said("pant") == "No such command 'pant'. Did you mean 'paint'? See painter --help."


def test_an_input_that_ends_changes_nothing_and_says_so():
    assert said("ask") == "the input ended before the command had its answer; nothing was changed"


def test_no_words_show_the_help_and_no_message(capsys: pytest.CaptureFixture[str]):
    assert not said()
    assert "paint" in capsys.readouterr().out


def test_the_exit_code_of_a_command_is_returned():
    assert run("paint", "1", "--colour", "red") == 0
    assert run("paint", "1", "--colour", "red", "--wet") == 3


def test_the_help_shows_what_to_write_and_no_type_of_python(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")
    assert run("paint", "--help") == 0
    shown = capsys.readouterr().out
    assert "Usage: painter paint [OPTIONS] {WALL}" in shown
    assert "YYYY-MM-DD" in shown
    assert "The second paragraph is written on two lines." in shown
    for word in ("<str>", "<bool>", "%Y"):
        assert word not in shown
    assert max(map(len, shown.splitlines())) <= 80
