"""The command line of `dnc-admin` and its exit codes. A noun's module is imported only for one of its commands."""

import sys
from collections.abc import Sequence
from importlib import import_module

import structlog
import typer

from admin_web.cli.shell import give_up, say_error
from admin_web.lists.sheet import NotASheet
from admin_web.services import DatabaseUnavailable, NotInForce, SchemaMismatch
from compliance.command_line import WrongWords, invoke
from compliance.listening import CannotListen
from compliance.log import log_to_stderr
from compliance.private_files import keep_new_files_private
from compliance.refusal import Refused
from compliance.setting_names import unknown_settings
from compliance.settings import SettingsError

NOUNS = {
    "schema": ("migrate",),
    "suppression": ("suppress", "lift", "withdraw-request"),
    "overrides": ("override",),
    "leads": ("lead",),
    "lists": ("import", "export", "scrub"),
    "undoing": ("undo",),
    "patterns": ("pattern",),
    "campaign_lists": ("campaign-list",),
    "registry_terms": ("registry",),
    "projection": ("rebuild", "verify", "worker"),
    "site": ("serve",),
    "users": ("user",),
    "tokens": ("token",),
    "dialplan": ("dialplan",),
    "demo": ("seed-demo",),
}
"""Modules of this package with the commands that each adds, in the order in which the help lists them."""

log = structlog.get_logger()

COMMAND_LOG_LEVEL = "WARNING"

OPERATOR_ERRORS = (
    SettingsError, CannotListen, DatabaseUnavailable, SchemaMismatch, NotInForce, Refused, NotASheet, WrongWords,
)  # fmt: skip


def command_line(words: Sequence[str] = ()) -> typer.Typer:
    """Build the command line with the noun that the first word names, or with every noun if it names none."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback(help="Manages the Do-Not-Call lists, overrides and leads, and the copy in Redis that the gate reads.")(
        _no_common_options
    )
    asked = [noun for noun, commands in NOUNS.items() if words and words[0] in commands]
    for noun in asked or NOUNS:
        import_module(f"admin_web.cli.{noun}").register(app)
    return app


def _no_common_options() -> None:
    """Do nothing. Without a callback, Typer would make a single command the program itself."""


def run(app: typer.Typer) -> None:
    """Run the command line. An error that an operator can fix is one line on standard error, with exit code 2."""
    keep_new_files_private()
    log_to_stderr(COMMAND_LOG_LEVEL)  # Standard output is for results only. Site and worker set their own level.
    for unknown in unknown_settings():
        say_error(unknown)
    try:
        sys.exit(invoke(app, "dnc-admin"))
    except OPERATOR_ERRORS as error:
        give_up(str(error))
    except OSError as error:
        give_up(f"{error.filename or 'input or output'}: {error.strerror or error}")
    except Exception:  # A bug. Python's own report would not mask passwords.
        log.exception("failed")
        sys.exit(1)
