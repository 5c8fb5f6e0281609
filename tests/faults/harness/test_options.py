"""The command line of the harness names the run, and a run names its command line."""

import shlex

import pytest

from tests.faults.harness.options import command_of, parsed


def test_the_command_of_a_run_names_what_makes_it_and_no_file():
    asked = parsed(["--configuration", "cluster", "--seed", "12345678", "--history", "/tmp/h", "--directory", "/tmp/d"])
    assert command_of(asked, slowness=1) == (
        "python -m tests.faults.harness --configuration cluster --seed 12345678 --minutes 10 --faults 60"
    )


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--configuration", "postgres", "--seed", "7", "--minutes", "1.25", "--faults", "3"],
        ["--only", "flushall,gate-kill", "--calls", "1000", "--changes", "0.5"],
        ["--without", "flushall", "--patch", "two words"],
    ],
)
def test_the_command_of_a_run_makes_the_same_run(words: list[str]):
    asked = parsed(words)
    again = shlex.split(command_of(asked, slowness=1))
    assert parsed(again[3:]) == asked


def test_the_command_of_a_run_names_how_slow_the_machine_was_said_to_be():
    assert command_of(parsed([]), slowness=2).startswith("FAULTS_SLOWNESS=2 python -m ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "flushall,gate-kil"], "there is no kind of fault gate-kil;"),
        (["--without", "worker-kil"], "there is no kind of fault worker-kil;"),
        (["--only", "slots-move"], "sqlite has none of these faults"),
        (["--only", "flushall", "--without", "flushall"], "sqlite has none of these faults"),
    ],
)
def test_a_run_that_would_disturb_nothing_is_refused(words: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        parsed(words)
    assert said in capsys.readouterr().err
