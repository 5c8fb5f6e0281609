"""`dnc-admin undo list | import`: take back imports to the company's own list."""

from typing import Annotated

import typer

from admin_web.cli.shell import actor, run, tell
from admin_web.services.opening import opened_database, opened_records
from admin_web.services.undoing import ImportOnRecord, Undone, imports_on_record, one_import, undo_import
from admin_web.settings import AdminSettings

undoing = typer.Typer(help="Take back imports to the company's own list.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(undoing, name="undo")


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
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it. Without this option the command only says what it would do.")
    ] = False,
) -> None:
    """Lift every entry that an import made, except where the person has asked not to be called.

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
        found = run(preview())
        typer.echo(
            f"Import {import_id} of {found.file_name}: {found.standing - found.requested} entries would be lifted, "
            f"{found.requested} would stay because the person asked not to be called. Nothing was changed; add --yes."
        )
        return
    done = run(work())
    tell(
        f"Import {import_id} is undone: {done.lifted} entries lifted, {done.kept} stay because the person asked not to "
        "be called",
        done.standing,
    )
