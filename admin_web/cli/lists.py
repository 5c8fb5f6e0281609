"""`dnc-admin import`, `dnc-admin export` and `dnc-admin scrub`: files of lists."""

import gc
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, TextIO

import typer

from admin_web.cli.progress import ImportBar
from admin_web.cli.registries import ANY, Lists, import_registry
from admin_web.cli.shell import NOT_IN_FORCE, ROWS_REJECTED, actor, run, say_error
from admin_web.lists.export import export_numbers
from admin_web.lists.imports import Intake, NothingTaken
from admin_web.lists.lead_import import LeadColumns, import_leads
from admin_web.lists.number_import import import_numbers
from admin_web.lists.progress import Progress
from admin_web.lists.report import RejectedRows
from admin_web.lists.row_ends import EndsAsked
from admin_web.lists.scrub import Scrubbed, scrub
from admin_web.lists.sheet import Sheet
from admin_web.people.security_events import record_export
from admin_web.queries.campaign_lists import one_campaign_list
from admin_web.services import utc_now
from admin_web.services.opening import opened_database, opened_records
from admin_web.services.requests import checked_day
from admin_web.settings import AdminSettings
from compliance.ends import end_in, request_with_end
from compliance.redis_schema import INTERNAL
from compliance.refusal import Refused
from compliance.rule import opens_by_override, sentence_of
from compliance.terms import campaign_id
from compliance.wording import noun

imports = typer.Typer(help="Import a file.", no_args_is_help=True, cls=Lists)
imports.command(ANY)(import_registry)
exports = typer.Typer(help="Export a list.", no_args_is_help=True)

CampaignListName = Annotated[str, typer.Argument(metavar="NAME", help="The campaign list.")]
Source = Annotated[str, typer.Argument(metavar="FILE", help="CSV, or one number per line; - for standard input.")]
Column = Annotated[
    str | None,
    typer.Option(
        help="The column of the numbers: its heading, or its position from 1. Columns to join have a + between."
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        help="A column of numbers: its heading, or its position from 1. Repeat it, or use commas, for several columns; "
        "an area code in a column of its own is joined with a +.",
    ),
]
IF_NUMBERS = "If these are telephone numbers too, import the file again with --column; if not, name the right column."

Report = Annotated[Path | None, typer.Option(help="Where to write rejected rows. Default: FILE.rejected.csv")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(imports, name="import")
    app.add_typer(exports, name="export")
    app.command("scrub")(scrub_file)


@imports.command("internal")
def import_internal(
    file: Source,
    column: Columns = None,
    report: Report = None,
    note: Annotated[str, typer.Option(help="A note on every entry. Default: the file's name")] = "",
    requests: Annotated[
        bool, typer.Option("--requests", help="Each number is its owner's own request, which ends older overrides.")
    ] = False,
    asked_on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="With --requests: their day, if not today.")
    ] = None,
    until: Annotated[
        str, typer.Option(help="The entries end by themselves after this day, or at this moment. Not for requests.")
    ] = "",
    until_column: Annotated[
        str | None,
        typer.Option(help="The column that says when each entry ends, by heading or position. Empty cells: --until."),
    ] = None,
) -> None:
    """Put the numbers in a file on the company's own list.

    After an interruption, run it again: numbers that are listed already stay listed.

    Without --column, every column of telephone numbers is read. Exit code 1: some rows were rejected, or another column
    contains numbers and was not read; 3: recorded, not yet in force.
    """
    settings = AdminSettings.load()
    if asked_on and not requests:
        raise Refused("--asked-on is the day of requests: add --requests, or leave it out.")
    if requests and (until or until_column):
        raise request_with_end("--requests")

    async def take(into: Intake, sheet: Sheet, rejected: RejectedRows) -> Progress:
        into = replace(into, warn=_say_with_option)
        ends_at = end_in(until, into.records.rules, into.records.now()) if until else None
        ends = EndsAsked(ends_at, until_column, into.records.rules)
        day = checked_day(asked_on.date() if asked_on else None, into.records.today()) if requests else None
        return await import_numbers(
            into, sheet, rejected, region=settings.region, columns=column or (), note=note, asked_on=day, ends=ends
        )

    _import(settings, file, report or _report_for(file), take, ("added to the list", "already listed"), ask=not column)


@imports.command("campaign-list")
def import_campaign_list(
    name: CampaignListName,
    file: Source,
    column: Columns = None,
    report: Report = None,
    note: Annotated[str, typer.Option(help="A note on every entry. Default: the file's name")] = "",
) -> None:
    """Put the numbers in a file on a campaign list, which `dnc-admin campaign-list add` has made.

    After an interruption, run it again: numbers that are listed already stay listed.

    Exit code 1: some rows were rejected; 3: recorded, not yet in force.
    """
    settings = AdminSettings.load()

    async def take(into: Intake, sheet: Sheet, rejected: RejectedRows) -> Progress:
        into = replace(into, warn=_say_with_option)
        return await import_numbers(
            into, sheet, rejected, region=settings.region, columns=column or (), note=note, list_name=name
        )

    _import(settings, file, report or _report_for(file), take, (f"added to {name}", "already listed"))


@imports.command("leads")
def import_lead_file(file: Source, column: Columns = None, report: Report = None) -> None:
    """Add and change leads from a CSV file with the headings lead, number and, optionally, name.

    With several columns of numbers, the filled ones are all numbers of the lead, in this order. With one column, the
    lead's first number is set and its other numbers stay.

    Exit code 1: some rows were rejected; 3: recorded, not yet in force.
    """
    settings = AdminSettings.load()

    async def take(into: Intake, sheet: Sheet, rejected: RejectedRows) -> Progress:
        columns = LeadColumns(number=",".join(column) if column else None)
        return await import_leads(into, sheet, rejected, region=settings.region, columns=columns)

    _import(settings, file, report or _report_for(file), take, ("added or changed", "unchanged"))


@exports.command("internal")
def export_internal(
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="Where to write; - for standard output.")] = "-",
    lifted: Annotated[bool, typer.Option("--all", help="Include lifted entries.")] = False,
) -> None:
    """Write the company's own list as CSV."""
    _export(file, lifted)


@exports.command("campaign-list")
def export_campaign_list(
    name: CampaignListName,
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="Where to write; - for standard output.")] = "-",
    lifted: Annotated[bool, typer.Option("--all", help="Include lifted entries.")] = False,
) -> None:
    """Write a campaign list as CSV."""
    _export(file, lifted, name)


def _export(file: str, lifted: bool, campaign_list: str | None = None) -> None:
    """Write a campaign list, or without one the company's own list. Raises UnknownList."""
    settings = AdminSettings.load()

    async def work() -> int:
        async with opened_database(settings) as database:
            if campaign_list is not None:
                await one_campaign_list(database, campaign_list)
            with _output(file) as out:
                rows = await export_numbers(database, out, lifted=lifted, list_name=campaign_list or INTERNAL)
            await record_export(database, actor(), campaign_list or "lists-export", rows, "all" if lifted else "")
            return rows

    entries = run(work())
    print(f"{entries} {noun(entries, 'entry', 'entries')}", file=sys.stderr)


def scrub_file(
    file: Source,
    output: Annotated[str, typer.Option(help="Where to write; - for standard output.")] = "-",
    column: Column = None,
    campaign: Annotated[str, typer.Option(help="The campaign of the calls, as the dialplan names it.")] = "",
) -> None:
    """Judge each number in a file by the gate's rule, from the data in SQL.

    If there is a column named lead, overrides of that lead apply. If a number may be called, but is blocked for other
    campaigns, the detail names these campaigns.
    """
    settings = AdminSettings.load()
    if campaign and campaign_id(campaign) is None:
        raise Refused(f"{campaign!r} is not a campaign: write letters, digits, dots, dashes and underscores.")
    # The rows create no reference cycles, so the garbage collector finds nothing. With its default thresholds it would
    # take a quarter of the time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)

    async def work() -> Scrubbed:
        with Sheet.open(file) as sheet:
            async with opened_database(settings) as database:
                with _output(output) as out:
                    return await scrub(
                        database, sheet, out, region=settings.region, column=column, at=utc_now(), campaign=campaign
                    )

    done = run(work())
    if done.not_read:
        say_error(done.not_read)
    print(
        f"{done.rows} {noun(done.rows, 'row')}: {done.allowed} ALLOW, {done.rows - done.allowed} BLOCK", file=sys.stderr
    )
    for reason, rows in done.blocked:
        opened = "An override can open it for a lead." if opens_by_override(reason) else "No override opens it."
        print(f"  {rows} {reason}: {sentence_of(reason)} {opened}", file=sys.stderr)


def _import(
    settings: AdminSettings,
    file: str,
    report: Path,
    take: Callable[[Intake, Sheet, RejectedRows], Awaitable[Progress]],
    words: tuple[str, str],
    *,
    ask: bool = False,
) -> None:
    """Import a file and print the result. What is not read of it is said before and after.

    With `ask`, columns with numbers that were not read end the command with exit code 1.
    """

    async def work() -> Progress:
        with Sheet.open(file) as sheet, RejectedRows(report) as rejected, ImportBar(sheet) as bar:
            async with opened_records(settings) as records:
                return await take(Intake(records, actor(), bar.update, warn=say_error), sheet, rejected)

    try:
        done = run(work())
    except NothingTaken as error:
        where = f" The rejected rows and their reasons are in {report}." if report.exists() else ""
        raise NothingTaken(f"{error}{where}") from None
    new, old = words
    if done.rejected:
        say_error(f"the rejected rows and their reasons are in {report}")
    asks = ask and done.unread
    if done.not_read:
        say_error(f"{done.not_read} {IF_NUMBERS}" if asks else done.not_read)
    rows = f"{done.rows} {noun(done.rows, 'row')}: {done.added} {new}, {done.already} {old}, {done.rejected} rejected"
    typer.echo(f"{rows}; {done.standing}")
    if not done.standing.in_force:
        raise typer.Exit(NOT_IN_FORCE)
    if done.rejected or asks:
        raise typer.Exit(ROWS_REJECTED)


def _say_with_option(said: str) -> None:
    """Say what is joined or not read, and how to read it."""
    if said.endswith("until they are lifted."):
        said = f"{said} Add --until-column to read it."
    say_error(f"{said} Add --column to read them too." if said.endswith("not read.") else said)


def _report_for(file: str) -> Path:
    return Path("standard-input.rejected.csv" if file == "-" else f"{file}.rejected.csv")


@contextmanager
def _output(file: str) -> Iterator[TextIO]:
    """Open a text file for writing; `-` is standard output. The file appears only when it is complete.

    Bytes of a sheet that are not UTF-8 are written unchanged.
    """
    if file == "-":
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="surrogateescape")
        yield sys.stdout
        return
    target = Path(file)
    if not os.access(target.parent, os.W_OK | os.X_OK):  # The error of the temporary file would not name the target.
        raise Refused(f"{file}: cannot write into the directory {target.parent}; choose another one.")
    with tempfile.NamedTemporaryFile(
        "w",
        encoding="utf-8",
        errors="surrogateescape",
        newline="",
        dir=target.parent,
        prefix=f".{target.name}-",
        delete=False,
    ) as out:
        try:
            yield out  # type: ignore[misc]
            out.flush()
            os.fsync(out.fileno())
            Path(out.name).replace(target)
        finally:
            Path(out.name).unlink(missing_ok=True)
