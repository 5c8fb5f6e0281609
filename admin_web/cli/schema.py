"""`dnc-admin migrate`."""

import typer

from admin_web.cli.shell import run
from admin_web.services import opening
from admin_web.settings import AdminSettings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("migrate")(migrate_tables)


def migrate_tables() -> None:
    """Create the tables, or upgrade them to this version. Safe to run at any time, even twice at once."""
    revision = run(opening.migrate_tables(AdminSettings.load()))
    typer.echo(f"The tables are at revision {revision}.")
