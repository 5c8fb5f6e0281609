"""`dnc-admin suppress` and `dnc-admin lift`."""

from typing import Annotated

import typer

from admin_web.cli.shell import actor, lead_of, number_of, run, say_error, tell
from admin_web.services.opening import opened_records
from admin_web.services.suppression import Lifted, Suppressed, lift, suppress
from admin_web.settings import AdminSettings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("suppress")(suppress_number)
    app.command("lift")(lift_number)


def suppress_number(
    number: Annotated[str, typer.Argument(help="The number, in any usual spelling.")],
    note: Annotated[str, typer.Option(help="What the person said, or where the request is filed.")] = "",
    source: Annotated[str, typer.Option(help="How the request came in, as one word such as phone.")] = "shell",
    lead: Annotated[str, typer.Option(help="The id of the lead who asked.")] = "",
) -> None:
    """Put a number on the company's own list, which blocks it. Exit code 3: recorded, not yet in force."""
    settings = AdminSettings.load()

    async def work() -> Suppressed:
        async with opened_records(settings) as records:
            asked, who = number_of(number, settings.region), lead_of(lead) if lead else None
            return await suppress(records, actor(), asked, source=source, note=note, lead=who)

    done = run(work())
    for override in done.open_overrides:
        say_error(f"override {override} still opens a lead on this number; `dnc-admin override revoke` ends it")
    word = "put on" if done.added else "is already on"
    tell(f"{done.number} {word} the company's own list (internal, entry {done.entry_id})", done.standing)


def lift_number(
    number: Annotated[str, typer.Argument(help="The number, in any usual spelling.")],
    reason: Annotated[str, typer.Option(help="The reason. It stays on record.")],
) -> None:
    """Take a number off the company's own list; its entry stays on record. Exit code 3: recorded, not yet in force."""
    settings = AdminSettings.load()

    async def work() -> Lifted:
        async with opened_records(settings) as records:
            return await lift(records, actor(), number_of(number, settings.region), reason=reason)

    done = run(work())
    tell(f"{done.number} taken off the company's own list (internal, entry {done.entry_id})", done.standing)
