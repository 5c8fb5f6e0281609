"""`dnc-admin migrate`."""

import typer

from admin_web.cli.shell import run, say_error
from admin_web.services import opening
from admin_web.settings import AdminSettings
from compliance import dates
from compliance.wording import counted, noun

SHOWN = 50
"""Maximum number of overrides that are printed."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("migrate")(migrate_tables)


def migrate_tables() -> None:
    """Create the tables, or upgrade them to this version. Safe to run at any time, even twice at once."""
    settings = AdminSettings.load()
    settings.require_private()
    revision, contested = run(opening.migrate_tables(settings))
    typer.echo(f"The tables are at revision {revision}.")
    if contested:
        live = f"{counted(len(contested), 'live override')} {noun(len(contested), 'is', 'are')}"
        say_error(
            f"{live} open although somebody on the number has asked not to be called since. The Compliance Monitor "
            "lists each, and an admin keeps or revokes it."
        )
    for one in contested[:SHOWN]:
        typer.echo(
            f"  override {one.id}, lead {one.lead}, {one.number}: consent of {dates.day(one.consented_on)}, "
            f"request of {dates.day(one.asked_on)}",
            err=True,
        )
    if len(contested) > SHOWN:
        typer.echo(f"  and {len(contested) - SHOWN} more", err=True)
