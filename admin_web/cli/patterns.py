"""`dnc-admin pattern`: area codes and exchanges that the company's own list blocks as a whole."""

from typing import Annotated

import typer

from admin_web.cli.shell import actor, run, tell
from admin_web.queries.patterns import PatternEffect, PatternRow, pattern_effect, pattern_page
from admin_web.services import utc_now
from admin_web.services.opening import opened_database, opened_records
from admin_web.services.patterns import MOST_PATTERNS, ChangedPattern, add_pattern, lift_pattern
from admin_web.settings import AdminSettings
from compliance.patterns import pattern_of

patterns = typer.Typer(
    help="Patterns: first digits of numbers, all of which the company's own list blocks.", no_args_is_help=True
)

Text = Annotated[str, typer.Argument(metavar="PATTERN", help="Country code and three digits at least, such as +1415.")]
Reason = Annotated[str, typer.Option(help="The reason. It stays on record.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(patterns, name="pattern")


@patterns.command("add")
def add(
    text: Text,
    reason: Reason,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it. Without this option the command only says what it would block.")
    ] = False,
) -> None:
    """Block all numbers that begin with a pattern. Exit code 3: recorded, not yet in force."""
    settings = AdminSettings.load()
    pattern = pattern_of(text, settings.region)

    async def preview() -> PatternEffect:
        async with opened_database(settings) as database:
            return await pattern_effect(database, pattern, utc_now())

    async def work() -> ChangedPattern:
        async with opened_records(settings) as records:
            return await add_pattern(records, actor(), pattern, reason=reason, source="shell")

    if not yes:
        found = run(preview())
        typer.echo(f"+{pattern} ({found.country}): {found.sentence} Nothing was changed; add --yes.")
        return
    tell(f"Numbers that begin with +{pattern} are blocked", run(work()).standing)


@patterns.command("lift")
def lift(text: Text, reason: Reason) -> None:
    """Lift a pattern; its row stays on record. Exit code 3: recorded, not yet in force."""
    settings = AdminSettings.load()
    pattern = pattern_of(text, settings.region)

    async def work() -> ChangedPattern:
        async with opened_records(settings) as records:
            return await lift_pattern(records, actor(), pattern, reason=reason)

    tell(f"The pattern +{pattern} is lifted", run(work()).standing)


@patterns.command("list")
def show(
    lifted: Annotated[bool, typer.Option("--all", help="Include lifted patterns.")] = False,
) -> None:
    """List the patterns in force, one per line: digits, day, who, reason."""
    settings = AdminSettings.load()

    async def work() -> list[PatternRow]:
        async with opened_database(settings) as database:
            found = list((await pattern_page(database, rows=MOST_PATTERNS)).rows)
            if lifted:
                found += (await pattern_page(database, lifted=True, rows=MOST_PATTERNS)).rows
            return found

    for one in run(work()):
        ended = f"\tlifted {one.lifted_at:%Y-%m-%d} by {one.lifted_by}: {one.lift_reason}" if one.lifted_at else ""
        typer.echo(f"+{one.prefix}\t{one.added_at:%Y-%m-%d}\t{one.added_by}\t{one.reason}{ended}")
