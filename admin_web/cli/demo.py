"""`dnc-admin seed-demo`."""

import typer

from admin_web.cli.demo_data import FREE, LISTED, OPEN_LEAD, seed
from admin_web.cli.shell import actor, run, tell
from admin_web.documents import documents_of
from admin_web.services import Standing
from admin_web.services.opening import opened_records
from admin_web.settings import AdminSettings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("seed-demo")(seed_demo)


def seed_demo() -> None:
    """Add a few demo leads, listed numbers and overrides to try the product with. Safe to run at any time.

    Exit code 3: recorded, not yet in force.
    """
    settings = AdminSettings.load()

    async def work() -> Standing:
        async with opened_records(settings) as records:
            return await seed(records, actor(), documents_of(settings))

    standing = run(work())
    tell(f"{' and '.join(LISTED)} are listed, {FREE} is not; lead {OPEN_LEAD} is open on {LISTED[0]}", standing)
