"""The command line of the harness: what a run is asked to do, and the command that makes the same run again."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from tests.faults.harness.faults.catalogue import kinds_for, unknown_kinds
from tests.faults.harness.setting import CONFIGURATIONS
from tests.faults.harness.stated import SLOWNESS

PROGRAM = "python -m tests.faults.harness"
CALLS_PER_S = 450.0
CHANGES_PER_S = 5.0

MAKING = ("configuration", "seed", "minutes", "faults")
"""The options that a run has in any case."""

CHANGING = ("calls", "changes", "only", "without", "patch")
"""The options that make a run another one where they are given."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog=PROGRAM, description="Run a real stack under load and faults, and check it.")
    made.add_argument("--configuration", choices=sorted(CONFIGURATIONS), default="sqlite")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--minutes", type=float, default=10, help="over which the faults are spread")
    made.add_argument("--faults", type=int, default=60)
    made.add_argument("--calls", type=float, default=CALLS_PER_S, help="calls a second")
    made.add_argument("--changes", type=float, default=CHANGES_PER_S, help="changes a second")
    made.add_argument("--history", type=Path, help="where to write the history")
    made.add_argument("--only", default="", help="kinds of faults, separated by commas; by default all that fit")
    made.add_argument("--without", default="", help="kinds of faults to leave out, separated by commas")
    made.add_argument(
        "--patch", default="", help="break the programs, to see that the checker sees: patched/patches.py"
    )
    made.add_argument("--directory", type=Path, help="where the programs keep their files and logs; kept if given")
    made.add_argument("--check", type=Path, nargs="+", metavar="FILE", help="read these histories again")
    return made


def parsed(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what a command line asks for. End the program if there is no such run."""
    made = parser()
    asked = made.parse_args(words)
    if unknown := unknown_kinds(f"{asked.only},{asked.without}"):
        made.error(f"there is no kind of fault {', '.join(sorted(unknown))}; docs/faults.md lists all")
    if not kinds_for(CONFIGURATIONS[asked.configuration], asked.only, asked.without):
        made.error(f"{asked.configuration} has none of these faults")
    return asked


def command_of(asked: argparse.Namespace, slowness: float = SLOWNESS) -> str:
    """Return the command that makes the same run again. It names no file of this machine."""
    usual = parser()
    names = [*MAKING, *(name for name in CHANGING if getattr(asked, name) != usual.get_default(name))]
    values = [getattr(asked, name) for name in names]
    words = [f"--{name} {_said(value)}" for name, value in zip(names, values, strict=True)]
    return " ".join([*([f"FAULTS_SLOWNESS={slowness:g}"] if slowness != 1 else []), PROGRAM, *words])


def _said(value: float | str) -> str:
    return shlex.quote(value) if isinstance(value, str) else f"{value:.10g}"
