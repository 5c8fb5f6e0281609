"""`dnc-admin token make | assign | revoke | list`."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from admin_web.cli.shell import actor, run
from admin_web.people.tokens import (
    USUAL_PER_MINUTE,
    Scope,
    TokenRow,
    TokenTerms,
    assign_token,
    make_token,
    only_admin,
    revoke_token,
    tokens,
)
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
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The day (UTC) at whose start the token expires; else in a year."),
    ] = None,
    responsible: Annotated[
        str, typer.Option(help="The admin who answers for the token. Not needed if there is only one admin.")
    ] = "",
    address: Annotated[
        list[str] | None,
        typer.Option(help="An address or network that the token may come from. Repeat the option for several."),
    ] = None,
    per_minute: Annotated[
        int | None, typer.Option(help=f"Requests that the token may send in a minute; else {USUAL_PER_MINUTE}.")
    ] = None,
) -> None:
    """Make a token and print it, once."""
    settings = AdminSettings.load()
    end = expires_on.replace(tzinfo=UTC) if expires_on else None

    async def work() -> str:
        async with opened_database(settings) as database:
            person = responsible or await only_admin(database)
            terms = TokenTerms(end, person, " ".join(address or ()), per_minute)
            return await make_token(database, actor(), name, scope, terms)

    typer.echo(f"Token {name}, shown this once: {run(work())}")


@bearers.command()
def assign(name: Name, person: Annotated[str, typer.Argument(metavar="PERSON", help="An admin.")]) -> None:
    """Make another admin responsible for a token."""
    settings = AdminSettings.load()

    async def work() -> None:
        async with opened_database(settings) as database:
            await assign_token(database, actor(), name, person)

    run(work())
    typer.echo(f"{person} is responsible for the token {name}.")


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
    """List the tokens, one per line: name, scopes, end, revocation, responsible person, addresses, rate limit."""
    settings = AdminSettings.load()

    async def work() -> None:
        async with opened_database(settings) as database:
            for row in await tokens(database):
                typer.echo("\t".join(_columns(row)))

    run(work())


def _columns(row: TokenRow) -> tuple[str, ...]:
    token = row.token
    end = f"until {token.expires_at:%Y-%m-%d}" if token.expires_at else "no end"
    revoked = f"revoked {token.revoked_at:%Y-%m-%d} by {token.revoked_by}" if token.revoked_at else ""
    person = token.responsible or "nobody responsible"
    if token.responsible and not row.answered_for:
        person = f"{token.responsible} (no longer an admin)"
    rate = f"{token.per_minute or USUAL_PER_MINUTE} a minute"
    return token.name, " ".join(token.scopes), end, revoked, person, token.addresses or "any address", rate
