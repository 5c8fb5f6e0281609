"""`dnc-admin lead add | change`."""

from typing import Annotated

import typer

from admin_web.cli.shell import actor, lead_of, number_of, run, say_error, tell
from admin_web.services.leads import LeadChanged, add_lead, change_lead
from admin_web.services.opening import opened_records
from admin_web.settings import AdminSettings
from compliance.numbers import E164
from compliance.refusal import Refused

leads = typer.Typer(help="Leads: persons from the CRM, each with one number.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(leads, name="lead")


@leads.command()
def add(
    lead: Annotated[str, typer.Argument(metavar="ID")],
    number: Annotated[str, typer.Argument(help="The number, in any usual spelling.")],
    name: Annotated[str, typer.Option(help="The name of the person.")] = "",
) -> None:
    """Add a lead."""
    settings = AdminSettings.load()

    async def work() -> E164:
        async with opened_records(settings) as records:
            dialed = number_of(number, settings.region)
            await add_lead(records, actor(), lead_of(lead), dialed, name)
            return dialed

    typer.echo(f"Lead {lead} added with {run(work())}.")


@leads.command()
def change(
    lead: Annotated[str, typer.Argument(metavar="ID")],
    number: Annotated[str, typer.Option(help="The new number. Overrides for the old number end.")] = "",
    name: Annotated[str | None, typer.Option(help="The new name.")] = None,
) -> None:
    """Change a lead's number or name. Exit code 3: recorded, not yet in force."""
    settings = AdminSettings.load()
    if not number and name is None:
        raise Refused("Nothing was changed. Add --number or --name.")

    async def work() -> LeadChanged:
        async with opened_records(settings) as records:
            dialed = number_of(number, settings.region) if number else None
            return await change_lead(records, actor(), lead_of(lead), number=dialed, name=name)

    done = run(work())
    for override in done.ended_overrides:
        say_error(f"override {override} ended, because it was for the old number")
    tell(
        f"Lead {lead} {'changed' if done.changed else 'unchanged, it has this number and name already'}", done.standing
    )
