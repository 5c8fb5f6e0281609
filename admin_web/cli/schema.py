"""`dnc-admin migrate`."""

import typer

from admin_web.cli.shell import run
from admin_web.services import opening
from admin_web.settings import AdminSettings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("migrate")(migrate_tables)


def migrate_tables() -> None:
    """Make the tables, or bring them to this version. Safe at any time, and when two do it at once."""
    revision = run(opening.migrate_tables(AdminSettings.load()))
    typer.echo(f"The tables are at revision {revision}.")
