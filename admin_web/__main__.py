"""The command line of the site and the record: `dnc-admin`."""

import sys

import structlog
import typer

from admin_web.cli import (
    demo,
    leads,
    lists,
    overrides,
    projection,
    registry_terms,
    schema,
    site,
    suppression,
    tokens,
    users,
)
from admin_web.cli.shell import give_up
from admin_web.database import DatabaseUnavailable
from admin_web.schema import SchemaMismatch
from admin_web.services.records import NotInForce
from admin_web.services.refusal import Refused
from admin_web.sheet import NotASheet
from compliance.settings import SettingsError

app = typer.Typer(
    help="Keeps the Do-Not-Call record, and the copy of it that the gate asks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for noun in (schema, suppression, overrides, leads, lists, registry_terms, projection, site, users, tokens, demo):
    noun.register(app)

MENDABLE = (SettingsError, DatabaseUnavailable, SchemaMismatch, NotInForce, Refused, NotASheet)


def main() -> None:
    """Run the command line; whatever an operator can mend is one line on standard error and exit code 2."""
    # Standard output is for what was asked for; the stream is looked up anew for each logger.
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    try:
        app()
    except MENDABLE as error:
        give_up(str(error))
    except OSError as error:
        give_up(f"{error.filename or 'input or output'}: {error.strerror or error}")


if __name__ == "__main__":
    main()
