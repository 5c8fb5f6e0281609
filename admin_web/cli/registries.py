"""`dnc-admin import LIST FILE …` for the lists that authorities publish."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from admin_web.cli.phases import PhaseBars
from admin_web.cli.progress import ImportBar
from admin_web.cli.shell import ROWS_REJECTED, actor, run, say_error, tell
from admin_web.lists.registries.following import standing
from admin_web.lists.registries.intake import CHANGES, FULL, PART, ImportedVersion, RegistryIntake, VersionRequest
from admin_web.lists.registries.reader import Reading, found_format
from admin_web.lists.registries.source import Source
from admin_web.lists.report import RejectedRows
from admin_web.projection.projection import Projection
from admin_web.services import Records, Standing, utc_now
from admin_web.services.opening import opened_database
from admin_web.services.registry_names import checked_name, country_for
from admin_web.settings import AdminSettings
from compliance.log import log_to_stderr
from compliance.refusal import Refused

ANY = "LIST"
"""What the help calls the command that stands for every registry."""


class Lists(TyperGroup):
    """Commands by the name of a list; any name but those of the company's own lists is a registry's."""

    def get_command(self, ctx, cmd_name):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        """Give the command of a list."""
        return super().get_command(ctx, cmd_name) or super().get_command(ctx, ANY)


def import_registry(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Text or zip; several make one version.")],
    part: Annotated[bool, typer.Option("--part", help="They hold some area codes only; the others stay.")] = False,
    changes: Annotated[bool, typer.Option("--changes", help="They hold what was added and deleted.")] = False,
    obtained: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The day they were obtained; the file's own if not said."),
    ] = None,
    account: Annotated[str | None, typer.Option(help="Whose copy it is: the FTC's SAN, say.")] = None,
    country: Annotated[str | None, typer.Option(help="For a new list whose name does not say it: US, say.")] = None,
    form: Annotated[str | None, typer.Option("--format", help="flat, changes, lines, fixed, csv or xml.")] = None,
    column: Annotated[str | None, typer.Option(help="Of CSV: the number's column, or several joined by +.")] = None,
    report: Annotated[Path | None, typer.Option(help="Where rejected rows go; FILE.rejected.csv if not said.")] = None,
    allow_drop: Annotated[
        bool, typer.Option("--allow-drop", help="Take the files' word for a much smaller list.")
    ] = False,
) -> None:
    """Take in what an authority publishes, such as us-ftc, as the version that is in force from then on.

    Exit code 1: some rows were rejected; 3: recorded, not yet in force. Cut short, it changes nothing; run it again.
    """
    settings, name = AdminSettings.load(), checked_name(context.info_name or "")
    log_to_stderr("ERROR")  # The command says what is to be said itself.
    rejected = report or Path(f"{files[0]}.rejected.csv")

    async def work() -> tuple[ImportedVersion, Standing]:
        async with opened_database(settings) as database, Projection(database, settings) as projection:
            source, read = Source(files), found_format(Source(files), form)
            kind = CHANGES if changes or read.is_changes else PART if part else FULL
            wanted = VersionRequest(
                name, kind, _obtained(obtained, files), country, account, allow_drop,
                database.pause_s,
            )  # fmt: skip
            typer.echo(f"{source.name}: {read.title}.")
            with RejectedRows(rejected) as reported, ImportBar(source) as bar:
                intake = RegistryIntake(Records(database, projection), actor(), wanted, reported, bar.update)
                reading = Reading(await country_for(database, name, country), read, column)
                taken = await intake.take_in(source, reading)
            with PhaseBars() as bars:
                return taken, await standing(projection, bars.update)

    taken, stands = run(work())
    if taken.rejected:
        say_error(f"{taken.rejected:,} rejected rows stand in {rejected} with their reasons")
    tell(f"{name} version {taken.version}: {taken}", stands)
    if taken.rejected:
        raise typer.Exit(ROWS_REJECTED)


def _obtained(said: datetime | None, files: Sequence[Path]) -> datetime:
    """Give the moment that the oldest file was obtained; a day that is only said began at midnight UTC."""
    if said is None:
        return datetime.fromtimestamp(min(file.stat().st_mtime for file in files), UTC)
    if said.replace(tzinfo=UTC) > utc_now():
        raise Refused(f"{said:%Y-%m-%d} is still to come; say the day on which the files were obtained.")
    return said.replace(tzinfo=UTC)
