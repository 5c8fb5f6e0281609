"""`dnc-admin undo list | import | entries`: take back imports, or many entries, of the company's own list."""

from pathlib import Path
from typing import Annotated

import typer

from admin_web.cli.progress import ImportBar
from admin_web.cli.shell import ROWS_REJECTED, actor, run, say_error, tell
from admin_web.lists.imports import Intake
from admin_web.lists.lift_import import LiftCounts, lift_numbers, preview_lift
from admin_web.lists.progress import Progress
from admin_web.lists.report import RejectedRows
from admin_web.lists.sheet import Sheet
from admin_web.services.opening import opened_database, opened_records
from admin_web.services.undoing import ImportOnRecord, Undone, imports_on_record, one_import, undo_import
from admin_web.settings import AdminSettings
from compliance.wording import noun

undoing = typer.Typer(help="Take back imports to the company's own list, or many entries.", no_args_is_help=True)

Yes = Annotated[bool, typer.Option("--yes", help="Do it. Without this option the command only says what it would do.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(undoing, name="undo")


@undoing.command("entries")
def lift_file(
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV, or one number per line.")],
    reason: Annotated[str, typer.Option(help="The reason. It stays on record.")],
    column: Annotated[
        list[str] | None, typer.Option(help="The columns of the numbers, as for `import internal`.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Lift the numbers in a file from the company's own list, except where the person has asked not to be called.

    Exit code 1: some rows were rejected; 3: recorded, not yet in force.
    """
    settings, report = AdminSettings.load(), Path(f"{file}.rejected.csv")

    async def preview() -> LiftCounts:
        with Sheet.open(file) as sheet:
            async with opened_database(settings) as database:
                return await preview_lift(database, sheet, region=settings.region, columns=column or ())

    async def work() -> Progress:
        with Sheet.open(file) as sheet, RejectedRows(report) as rejected, ImportBar(sheet) as bar:
            async with opened_records(settings) as records:
                into = Intake(records, actor(), bar.update, warn=say_error)
                return await lift_numbers(
                    into, sheet, rejected, region=settings.region, reason=reason, columns=column or ()
                )

    if not yes:
        would = run(preview())
        typer.echo(f"Of the numbers in {file}, {would} Nothing was changed; add --yes.")
        return
    done = run(work())
    if done.kept:
        stay = noun(done.kept, "stays", "stay")
        say_error(f"{done.kept} {stay} because the person asked not to be called, such as {', '.join(done.such_as)}")
    if done.rejected:
        say_error(f"the rejected rows and their reasons are in {report}")
    if done.not_read:
        say_error(done.not_read)
    tell(
        f"{done.rows} {noun(done.rows, 'row')}: {done.added} {noun(done.added, 'number')} lifted, "
        f"{done.already} not on the list, {done.kept} kept, {done.rejected} rejected",
        done.standing,
    )
    if done.rejected:
        raise typer.Exit(ROWS_REJECTED)


@undoing.command("list")
def list_imports() -> None:
    """List the newest imports, one per line: id, day, who, file, whether undone."""
    settings = AdminSettings.load()

    async def work() -> list[ImportOnRecord]:
        async with opened_database(settings) as database:
            return await imports_on_record(database)

    for one in run(work()):
        undone = f"undone {one.undone_at:%Y-%m-%d} by {one.undone_by}" if one.undone_at else ""
        typer.echo(f"{one.id}\t{one.imported_at:%Y-%m-%d %H:%M} UTC\t{one.imported_by}\t{one.file_name}\t{undone}")


@undoing.command("import")
def take_back(
    import_id: Annotated[int, typer.Argument(metavar="ID", help="The import, as `undo list` shows it.")],
    reason: Annotated[str, typer.Option(help="The reason. It stays on record.")],
    yes: Yes = False,
) -> None:
    """Lift every entry that an import made, except where the person has asked not to be called.

    A number that was listed again since stays on the list. `undo entries` lifts the numbers of a file.

    Exit code 3: recorded, not yet in force.
    """
    settings = AdminSettings.load()

    async def preview() -> ImportOnRecord:
        async with opened_database(settings) as database:
            return await one_import(database, import_id)

    async def work() -> Undone:
        async with opened_records(settings) as records:
            return await undo_import(records, actor(), import_id, reason=reason)

    if not yes:
        typer.echo(f"{_previewed(run(preview()))} Nothing was changed; add --yes.")
        return
    done = run(work())
    tell(str(done), done.standing)


def _previewed(found: ImportOnRecord) -> str:
    lifting = found.standing - found.requested
    undone = f" was undone on {found.undone_at:%Y-%m-%d} by {found.undone_by}" if found.undone_at else ""
    return (
        f"Import {found.id} of {found.file_name}{undone}: {lifting} {noun(lifting, 'entry', 'entries')} would be "
        f"lifted, {found.requested} would stay because the person asked not to be called."
    )
