"""`dnc-admin import LIST FILE …` for registries: lists that authorities publish."""

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
from admin_web.lists.registries.intake import RegistryIntake
from admin_web.lists.registries.reader import Reading, found_format
from admin_web.lists.registries.source import Source
from admin_web.lists.registries.version_request import CHANGES, FULL, PART, ImportedVersion, VersionRequest
from admin_web.lists.report import RejectedRows
from admin_web.projection.projection import Projection
from admin_web.services import Records, Standing, utc_now
from admin_web.services.opening import opened_database
from admin_web.services.registry_names import checked_name, country_for
from admin_web.settings import AdminSettings
from compliance.log import log_to_stderr
from compliance.refusal import Refused
from compliance.today import is_to_come
from compliance.wording import counted

ANY = "LIST"
"""The name in the help of the command that imports any registry."""


class Lists(TyperGroup):
    """Commands by the name of a list. Any name other than `internal` and `leads` is a registry."""

    def get_command(self, ctx, cmd_name):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        """Return the command that imports a list."""
        return super().get_command(ctx, cmd_name) or super().get_command(ctx, ANY)


def import_registry(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    context: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Text or zip. Several files make one version.")
    ],
    part: Annotated[
        bool, typer.Option("--part", help="The files have only some area codes; the other area codes stay.")
    ] = False,
    changes: Annotated[bool, typer.Option("--changes", help="The files list added and deleted numbers.")] = False,
    obtained: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="The day the files were obtained. Default: the date of the oldest file"
        ),
    ] = None,
    account: Annotated[str | None, typer.Option(help="The owner of the copy, such as the FTC's SAN.")] = None,
    country: Annotated[
        str | None, typer.Option(help="The country of a new list with a name of your own, such as US.")
    ] = None,
    form: Annotated[str | None, typer.Option("--format", help="flat, changes, lines, fixed, csv or xml.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="For CSV: a column of numbers. Repeat it, or use commas, for several; join columns with a +."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Where to write rejected rows. Default: FILE.rejected.csv")
    ] = None,
    allow_drop: Annotated[
        bool, typer.Option("--allow-drop", help="Import even if the list becomes much smaller.")
    ] = False,
) -> None:
    """Import a registry, such as us-ftc, as a new version, which replaces the version in force.

    After an interruption nothing has changed: run it again.

    Exit code 1: some rows were rejected; 3: recorded, not yet in force.
    """
    settings, name = AdminSettings.load(), checked_name(context.info_name or "")
    if part and changes:
        raise Refused(
            "--part and --changes exclude each other: the files have either every number of some area codes, or only "
            "the numbers that were added and deleted."
        )
    log_to_stderr("ERROR", settings.secrets)  # The command prints its result and errors itself.
    rejected = report or Path(f"{files[0]}.rejected.csv")

    async def work() -> tuple[ImportedVersion, Standing]:
        async with opened_database(settings) as database, Projection(database, settings) as projection:
            await projection.require_fit_for_a_registry()
            source, read = Source(files), found_format(Source(files), form)
            reading = Reading(await country_for(database, name, country), read, ",".join(column) if column else None)
            kind = _kind(part=part, changes=changes, says_deeds=reading.says_deeds(source))
            wanted = VersionRequest(
                name, kind, _obtained(obtained, files), country, account, allow_drop,
                database.pause_s,
            )  # fmt: skip
            typer.echo(f"{source.name}: {read.title}.")
            for said in reading.warnings(source):
                say_error(said)
            with RejectedRows(rejected) as reported, ImportBar(source) as bar:
                intake = RegistryIntake(Records(database, projection), actor(), wanted, reported, bar.update)
                taken = await intake.take_in(source, reading)
            with PhaseBars() as bars:
                return taken, await standing(projection, bars.update)

    taken, stands = run(work())
    if taken.rejected:
        say_error(f"{rejected} holds {counted(taken.rejected, 'rejected row')}, each with its reason")
    if taken.not_read:
        say_error(taken.not_read)
    tell(f"{name} version {taken.version}: {taken}", stands)
    if taken.rejected:
        raise typer.Exit(ROWS_REJECTED)


def _kind(*, part: bool, changes: bool, says_deeds: bool) -> str:
    """Return as what the files are imported. `--part` is never overruled: the intake refuses changes for it."""
    if part:
        return PART
    return CHANGES if changes or says_deeds else FULL


def _obtained(said: datetime | None, files: Sequence[Path]) -> datetime:
    """Return when the files were obtained: midnight UTC of the given day, else the date of the oldest file."""
    if said is None:
        return datetime.fromtimestamp(min(file.stat().st_mtime for file in files), UTC)
    if is_to_come(said.date(), utc_now()):
        raise Refused(f"{said:%Y-%m-%d} is in the future; give the day on which the files were obtained.")
    return said.replace(tzinfo=UTC)
