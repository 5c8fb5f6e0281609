"""`dnc-admin token make | revoke | list`."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from admin_web.cli.shell import actor, run
from admin_web.people.tokens import Scope, make_token, revoke_token, tokens
from admin_web.services.opening import opened_database
from admin_web.settings import AdminSettings

bearers = typer.Typer(help="Bearer tokens of the API.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(bearers, name="token")


@bearers.command()
def make(
    name: Name,
    scope: Annotated[list[Scope], typer.Option(help="What the token may do. Repeat the option for several scopes.")],
    expires_on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day (UTC) at whose start the token expires.")
    ] = None,
) -> None:
    """Make a token and print it, once."""
    settings = AdminSettings.load()
    end = expires_on.replace(tzinfo=UTC) if expires_on else None

    async def work() -> str:
        async with opened_database(settings) as database:
            return await make_token(database, actor(), name, scope, end)

    typer.echo(f"Token {name}, shown this once: {run(work())}")


@bearers.command()
def revoke(name: Name) -> None:
    """Revoke a token at once; its name stays on record."""
    settings = AdminSettings.load()

    async def work() -> bool:
        async with opened_database(settings) as database:
            return await revoke_token(database, actor(), name)

    typer.echo(f"Token {name} {'revoked' if run(work()) else 'was already revoked'}.")


@bearers.command("list")
def list_tokens() -> None:
    """List the tokens, one per line: name, scopes, end, revocation."""
    settings = AdminSettings.load()

    async def work() -> None:
        async with opened_database(settings) as database:
            for token in await tokens(database):
                end = f"until {token.expires_at:%Y-%m-%d}" if token.expires_at else ""
                revoked = f"revoked {token.revoked_at:%Y-%m-%d} by {token.revoked_by}" if token.revoked_at else ""
                typer.echo(f"{token.name}\t{' '.join(token.scopes)}\t{end}\t{revoked}")

    run(work())
