"""`dnc-admin user`: add, first, list, role, password, disable, enable, totp-reset.

Passwords are never command-line arguments, which other users of the machine could read.
"""

import getpass
import sys
from typing import Annotated

import typer

from admin_web.cli.shell import actor, run
from admin_web.people.accounts import (
    FIRST_ADMIN,
    add_first_admin,
    add_user,
    change_user,
    disable_user,
    enable_user,
    random_password,
    reset_totp,
    set_password,
    users,
)
from admin_web.services.opening import opened_database
from admin_web.settings import AdminSettings
from compliance.consent import Role
from compliance.refusal import Refused

people = typer.Typer(help="Users: people who sign in to the site.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME")]
Ask = Annotated[bool, typer.Option("--ask", help="Prompt for the password on the terminal.")]
Stdin = Annotated[bool, typer.Option("--stdin", help="Read the password from the first line of standard input.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(people, name="user")


@people.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="The role of the user.")],
    full_name: Annotated[str, typer.Option(help="The full name.")] = "",
    ask: Ask = False,
    stdin: Stdin = False,
) -> None:
    """Add a user. Without --ask or --stdin a random password is set and printed, once."""
    settings = AdminSettings.load()
    given = _given(ask=ask, stdin=stdin)
    password = given or random_password()

    async def work() -> None:
        async with opened_database(settings) as database:
            await add_user(database, actor(), name, role, password, full_name)

    run(work())
    _tell(f"User {name} added, role {role}.", None if given else password)


@people.command("first")
def add_first() -> None:
    """Add the user admin, unless there is a user already. A random password is set and printed, once."""
    settings = AdminSettings.load()

    async def work() -> str | None:
        async with opened_database(settings) as database:
            return await add_first_admin(database, actor())

    if made_up := run(work()):
        _tell(f"User {FIRST_ADMIN} added, role {Role.ADMIN}.", made_up)


@people.command("password")
def change_password(name: Name, ask: Ask = False, stdin: Stdin = False) -> None:
    """Change a user's password. Without --ask or --stdin a random one is set and printed, once."""
    settings = AdminSettings.load()
    given = _given(ask=ask, stdin=stdin)
    password = given or random_password()

    async def work() -> None:
        async with opened_database(settings) as database:
            await set_password(database, actor(), name, password)

    run(work())
    _tell(f"User {name} has a new password.", None if given else password)


@people.command()
def disable(name: Name) -> None:
    """Keep a user from signing in, and sign them out. The name stays on record."""
    settings = AdminSettings.load()

    async def work() -> bool:
        async with opened_database(settings) as database:
            return await disable_user(database, actor(), name)

    typer.echo(f"User {name} {'disabled' if run(work()) else 'was already disabled'}.")


@people.command()
def enable(name: Name) -> None:
    """Allow a disabled user to sign in again, with the same password as before."""
    settings = AdminSettings.load()

    async def work() -> bool:
        async with opened_database(settings) as database:
            return await enable_user(database, actor(), name)

    typer.echo(f"User {name} {'can sign in again' if run(work()) else 'was not disabled'}.")


@people.command("role")
def give_role(name: Name, role: Annotated[Role, typer.Argument(help="The new role.")]) -> None:
    """Change a user's role. It takes effect at their next click."""
    settings = AdminSettings.load()

    async def work() -> bool:
        async with opened_database(settings) as database:
            return await change_user(database, actor(), name, role=role)

    typer.echo(f"User {name} {'has' if run(work()) else 'already had'} the role {role}.")


@people.command("totp-reset")
def forget_codes(name: Name) -> None:
    """Turn off one-time codes for a user who has lost their telephone."""
    settings = AdminSettings.load()

    async def work() -> bool:
        async with opened_database(settings) as database:
            return await reset_totp(database, actor(), name)

    typer.echo(f"User {name} {'can sign in without a one-time code' if run(work()) else 'had no one-time codes'}.")


@people.command("list")
def list_users() -> None:
    """List the users, one per line: name, role, full name, whether disabled, time zone."""
    settings = AdminSettings.load()

    async def work() -> None:
        async with opened_database(settings) as database:
            for user in await users(database):
                disabled = f"disabled {user.disabled_at:%Y-%m-%d} by {user.disabled_by}" if user.disabled_at else ""
                typer.echo(f"{user.name}\t{user.role}\t{user.full_name}\t{disabled}\t{user.time_zone}")

    run(work())


def _tell(what: str, made_up: str | None) -> None:
    typer.echo(what)
    if made_up:
        typer.echo(f"Password, shown this once: {made_up}")


def _given(*, ask: bool, stdin: bool) -> str | None:
    """Read the password from the terminal or standard input; None when a random one is wanted. Raises Refused."""
    if not ask and not stdin:
        return None
    password = sys.stdin.readline().rstrip("\r\n") if stdin else getpass.getpass("Password: ")
    if not stdin and password != getpass.getpass("Again: "):
        raise Refused("The two passwords differ; nothing was changed.")
    if not password:
        raise Refused("The password is empty; nothing was changed.")
    return password
