"""`dnc-admin lead add | change`."""

from typing import Annotated

import typer

from admin_web.cli.shell import actor, lead_of, number_of, run, say_error, tell
from admin_web.services import LabelledNumber
from admin_web.services.lead_numbers import distinct
from admin_web.services.leads import LeadChanged, add_lead, change_lead
from admin_web.services.opening import opened_records
from admin_web.settings import AdminSettings
from compliance.refusal import Refused

leads = typer.Typer(help="Leads: persons from the CRM, each with one number or several.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(leads, name="lead")


@leads.command()
def add(
    lead: Annotated[str, typer.Argument(metavar="ID")],
    numbers: Annotated[
        list[str], typer.Argument(metavar="NUMBER...", help="The numbers, in any usual spelling, the first one first.")
    ],
    name: Annotated[str, typer.Option(help="The name of the person.")] = "",
) -> None:
    """Add a lead."""
    settings = AdminSettings.load()

    async def work() -> str:
        async with opened_records(settings) as records:
            dialed = distinct(LabelledNumber(number_of(number, settings.region)) for number in numbers)
            await add_lead(records, actor(), lead_of(lead), dialed[0].number, name, dialed)
            return " and ".join(one.number for one in dialed)

    typer.echo(f"Lead {lead} added with {run(work())}.")


@leads.command()
def change(
    lead: Annotated[str, typer.Argument(metavar="ID")],
    number: Annotated[
        list[str] | None,
        typer.Option(
            help="The new first number; the other numbers stay. Repeat it to set all numbers. Overrides on a number "
            "that the lead loses end."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The new name.")] = None,
) -> None:
    """Change a lead's numbers or name. Exit code 3: recorded, not yet in force."""
    settings = AdminSettings.load()
    if not number and name is None:
        raise Refused("Nothing was changed. Add --number or --name.")

    async def work() -> LeadChanged:
        async with opened_records(settings) as records:
            dialed = [LabelledNumber(number_of(one, settings.region)) for one in number or ()]
            first, numbers = (dialed[0].number, ()) if len(dialed) == 1 else (None, tuple(dialed))
            return await change_lead(records, actor(), lead_of(lead), number=first, numbers=numbers, name=name)

    done = run(work())
    for override in done.ended_overrides:
        say_error(f"override {override} ended, because it was for the old number")
    tell(
        f"Lead {lead} {'changed' if done.changed else 'unchanged, it has this number and name already'}", done.standing
    )
