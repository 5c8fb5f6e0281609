"""`dnc-admin suppress`, `dnc-admin lift` and `dnc-admin withdraw-request`."""

from datetime import datetime
from typing import Annotated

import typer

from admin_web.cli.shell import actor, lead_of, number_of, run, say_error, tell
from admin_web.services.opening import opened_records
from admin_web.services.requests import Requested, record_request, withdraw_request
from admin_web.services.suppression import Lifted, Suppressed, lift, suppress
from admin_web.settings import AdminSettings
from compliance.ends import end_in, end_in_words, request_with_end


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("suppress")(suppress_number)
    app.command("lift")(lift_number)
    app.command("withdraw-request")(withdraw)


def suppress_number(
    number: Annotated[str, typer.Argument(help="The number, in any usual spelling.")],
    note: Annotated[str, typer.Option(help="What the person said, or where the request is filed.")] = "",
    source: Annotated[str, typer.Option(help="How the request came in, as one word such as phone.")] = "shell",
    lead: Annotated[str, typer.Option(help="The id of the lead who asked, if that is known.")] = "",
    asked_on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day of the request, if not today.")
    ] = None,
    until: Annotated[
        str,
        typer.Option(
            help="Block the number through this day, or until this moment, although nobody asked. Overrides stay open."
        ),
    ] = "",
) -> None:
    """Record a request not to be called: put the number on the company's own list, and end older overrides.

    Without --lead, every override on the number ends whose consent is not newer. With --until, no request is recorded:
    the entry ends by itself. Exit code 3: recorded, not yet in force.
    """
    settings = AdminSettings.load()
    if until:
        if lead or asked_on:
            raise request_with_end("--lead and --asked-on")
        _block_for_a_while(settings, number, source, note, until)
        return

    async def work() -> Requested:
        async with opened_records(settings) as records:
            asked, who = number_of(number, settings.region), lead_of(lead) if lead else None
            day = asked_on.date() if asked_on else None
            return await record_request(records, actor(), asked, source=source, note=note, lead=who, asked_on=day)

    done = run(work())
    for override in done.ended:
        say_error(f"the request ended override {override}")
    still = "its consent is newer, or it is another lead's and an admin decides" if lead else "its consent is newer"
    for override in done.still_open:
        say_error(f"override {override} still opens a lead on this number: {still}")
    word = "put on" if done.added else "is already on"
    listed = f"{done.number} {word} the company's own list (internal, entry {done.entry_id})"
    tell(f"{listed}, request {done.request_id}", done.standing)


def _block_for_a_while(settings: AdminSettings, number: str, source: str, note: str, until: str) -> None:
    """Put a number on the list with an end, and print the result."""

    async def work() -> Suppressed:
        async with opened_records(settings) as records:
            blocked, ends_at = number_of(number, settings.region), end_in(until, records.rules, records.now())
            return await suppress(records, actor(), blocked, source=source, note=note, ends_at=ends_at)

    done = run(work())
    if done.ends_at is None:
        say_error("the number is on the list without an end, or the person has asked not to be called: it stays listed")
    word = "put on" if done.added else "is already on"
    listed = f"{done.number} {word} the company's own list (internal, entry {done.entry_id})"
    tell(f"{listed}{end_in_words(done.ends_at)}", done.standing)


def withdraw(
    request_id: Annotated[int, typer.Argument(metavar="ID")],
    reason: Annotated[str, typer.Option(help="The reason. It stays on record.")],
) -> None:
    """Record that a request not to be called was recorded wrongly. The number stays on the list until it is lifted."""
    settings = AdminSettings.load()

    async def work() -> bool:
        async with opened_records(settings) as records:
            return await withdraw_request(records, actor(), request_id, reason=reason)

    typer.echo(f"Request {request_id} {'withdrawn' if run(work()) else 'was already withdrawn'}.")


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
