"""`dnc-admin campaign-list`: lists of the company that apply only to calls of some campaigns."""

from typing import Annotated

import typer

from admin_web.cli.shell import actor, number_of, run, tell
from admin_web.queries.campaign_lists import CampaignListShown, all_campaign_lists
from admin_web.services import Standing
from admin_web.services.campaign_lists import add_campaign_list, add_to_list, lift_from_list, set_campaigns
from admin_web.services.opening import opened_database, opened_records
from admin_web.services.suppression import Lifted, Suppressed
from admin_web.settings import AdminSettings
from compliance.separated import words
from compliance.wording import noun

campaign_lists = typer.Typer(
    help="Campaign lists: their numbers are blocked only in calls of some campaigns.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits and dashes, such as spring-offers.")]
Campaigns = Annotated[str, typer.Option(help="The campaigns, as the dialplan names them, separated by spaces.")]
Reason = Annotated[str, typer.Option(help="The reason. It stays on record.")]
Number = Annotated[str, typer.Argument(help="The number, in any usual spelling.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(campaign_lists, name="campaign-list")


@campaign_lists.command("add")
def add(name: Name, campaigns: Campaigns) -> None:
    """Make an empty campaign list. Exit code 3: recorded, not yet in force."""
    settings = AdminSettings.load()

    async def work() -> Standing:
        async with opened_records(settings) as records:
            return await add_campaign_list(records, actor(), name, words(campaigns))

    tell(f"campaign list {name} made", run(work()))


@campaign_lists.command("set")
def change(name: Name, campaigns: Campaigns) -> None:
    """Set the campaigns to whose calls a list applies. Exit code 3: recorded, not yet in force."""
    settings = AdminSettings.load()

    async def work() -> Standing:
        async with opened_records(settings) as records:
            return await set_campaigns(records, actor(), name, words(campaigns))

    tell(f"campaigns of {name} set", run(work()))


@campaign_lists.command("put")
def put(name: Name, number: Number, note: Annotated[str, typer.Option(help="A note on the entry.")] = "") -> None:
    """Put a number on a campaign list. It stays callable for other campaigns. Exit code 3: not yet in force."""
    settings = AdminSettings.load()

    async def work() -> Suppressed:
        async with opened_records(settings) as records:
            asked = number_of(number, settings.region)
            return await add_to_list(records, actor(), name, asked, source="shell", note=note)

    done = run(work())
    tell(f"{done.number} {'put on' if done.added else 'is already on'} {name} (entry {done.entry_id})", done.standing)


@campaign_lists.command("lift")
def lift(name: Name, number: Number, reason: Reason) -> None:
    """Take a number off a campaign list; its entry stays on record. Exit code 3: recorded, not yet in force."""
    settings = AdminSettings.load()

    async def work() -> Lifted:
        async with opened_records(settings) as records:
            asked = number_of(number, settings.region)
            return await lift_from_list(records, actor(), name, asked, reason=reason)

    done = run(work())
    tell(f"{done.number} taken off {name} (entry {done.entry_id})", done.standing)


@campaign_lists.command("list")
def show() -> None:
    """List the campaign lists: name, campaigns, count of numbers."""
    settings = AdminSettings.load()

    async def work() -> list[CampaignListShown]:
        async with opened_database(settings) as database:
            return await all_campaign_lists(database)

    for one in run(work()):
        typer.echo(f"{one.name}\t{' '.join(one.campaigns)}\t{one.numbers} {noun(one.numbers, 'number')}")
