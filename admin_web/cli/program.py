"""All commands of `dnc-admin`, and how it ends; a noun's module is imported when one of its commands is asked for."""

import sys
from collections.abc import Sequence
from importlib import import_module

import structlog
import typer

from admin_web.cli.shell import give_up
from admin_web.lists.sheet import NotASheet
from admin_web.services import DatabaseUnavailable, NotInForce, SchemaMismatch
from compliance.refusal import Refused
from compliance.settings import SettingsError

NOUNS = {
    "schema": ("migrate",),
    "suppression": ("suppress", "lift"),
    "overrides": ("override",),
    "leads": ("lead",),
    "lists": ("import", "export", "scrub"),
    "registry_terms": ("registry",),
    "projection": ("rebuild", "verify", "worker"),
    "site": ("serve",),
    "users": ("user",),
    "tokens": ("token",),
    "dialplan": ("dialplan",),
    "demo": ("seed-demo",),
}
"""The modules beside this one, in the order of the help, with the commands that each adds."""

MENDABLE = (SettingsError, DatabaseUnavailable, SchemaMismatch, NotInForce, Refused, NotASheet)


def command_line(words: Sequence[str] = ()) -> typer.Typer:
    """Give the command line with the noun that the words begin with, else with every noun."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback(help="Keeps the Do-Not-Call record, and the copy of it that the gate asks.")(_nothing_yet)
    asked = [noun for noun, commands in NOUNS.items() if words and words[0] in commands]
    for noun in asked or NOUNS:
        import_module(f"admin_web.cli.{noun}").register(app)
    return app


def _nothing_yet() -> None:
    """Without a callback, Typer takes the only command for the program itself."""


def run(app: typer.Typer) -> None:
    """Run the command line; whatever an operator can mend is one line on standard error and exit code 2."""
    # Standard output is for what was asked for; the stream is looked up anew for each logger.
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    try:
        app()
    except MENDABLE as error:
        give_up(str(error))
    except OSError as error:
        give_up(f"{error.filename or 'input or output'}: {error.strerror or error}")
