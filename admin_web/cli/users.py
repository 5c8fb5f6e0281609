"""`dnc-admin user`: add, first, list, role, password, disable, enable, unlock, totp-reset.

Passwords are never command-line arguments, which other users of the machine could read.
"""

import getpass
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from admin_web.cli.shell import actor, run, say_error
from admin_web.people.accounts import (
    FIRST_ADMIN,
    add_first_admin,
    add_user,
    change_user,
    disable_user,
    enable_user,
    reset_totp,
    set_password,
    unlock_user,
    users,
)
from admin_web.people.passwords import FIRST_PASSWORD_LIFE, random_password
from admin_web.people.throttle import UNLOCKED
from admin_web.people.tokens import revoke_tokens_of, tokens_of
from admin_web.services import utc_now
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
    else:
        say_error("there is a user already, so none was added; `dnc-admin user password NAME` sets another password")


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
def disable(
    name: Name,
    revoke_tokens: Annotated[
        bool, typer.Option("--revoke-tokens", help="Also revoke the API tokens that the user is responsible for.")
    ] = False,
) -> None:
    """Keep a user from signing in, and sign them out. The name stays on record."""
    settings = AdminSettings.load()

    async def work() -> tuple[bool, Sequence[str], Sequence[str]]:
        async with opened_database(settings) as database:
            done = await disable_user(database, actor(), name)
            revoked = await revoke_tokens_of(database, actor(), name) if revoke_tokens else ()
            return done, revoked, await tokens_of(database, name, utc_now())

    done, revoked, left = run(work())
    typer.echo(f"User {name} {'disabled' if done else 'was already disabled'}.")
    if revoked:
        typer.echo(f"Tokens revoked: {', '.join(revoked)}.")
    _tell_tokens(name, left)


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

    async def work() -> tuple[bool, Sequence[str]]:
        async with opened_database(settings) as database:
            changed = await change_user(database, actor(), name, role=role)
            return changed, () if role is Role.ADMIN else await tokens_of(database, name, utc_now())

    changed, left = run(work())
    typer.echo(f"User {name} {'has' if changed else 'already had'} the role {role}.")
    _tell_tokens(name, left)


@people.command("totp-reset")
def forget_codes(name: Name) -> None:
    """Turn off one-time codes for a user who has lost their telephone."""
    settings = AdminSettings.load()

    async def work() -> bool:
        async with opened_database(settings) as database:
            return await reset_totp(database, actor(), name)

    typer.echo(f"User {name} {'can sign in without a one-time code' if run(work()) else 'had no one-time codes'}.")


@people.command()
def unlock(name: Name) -> None:
    """Let a user sign in although there were too many attempts for their name. It lasts for 15 minutes."""
    settings = AdminSettings.load()

    async def work() -> None:
        async with opened_database(settings) as database:
            await unlock_user(database, actor(), name)

    run(work())
    minutes = int(UNLOCKED.total_seconds() // 60)
    typer.echo(f"User {name} can try to sign in during the next {minutes} minutes.")


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
    days = FIRST_PASSWORD_LIFE.days
    typer.echo(f"{what} The password is valid for {days} days, and only to sign in and choose another one.")
    if made_up:
        typer.echo(f"Password, shown this once: {made_up}")


def _tell_tokens(name: str, left: Sequence[str]) -> None:
    """Offer to revoke the tokens of a person who can no longer answer for them. They go on until then."""
    if left:
        typer.echo(f"API tokens for which {name} is responsible go on: {', '.join(left)}.")
        typer.echo("Revoke each with `dnc-admin token revoke TOKEN`, or hand it over with `dnc-admin token assign`.")


def _given(*, ask: bool, stdin: bool) -> str | None:
    """Read the password from the terminal or standard input; None when a random one is wanted. Raises Refused."""
    if not ask and not stdin:
        return None
    if not stdin and not sys.stdin.isatty():
        raise Refused("There is no terminal to ask on. Use --stdin instead of --ask; nothing was changed.")
    password = sys.stdin.readline().rstrip("\r\n") if stdin else getpass.getpass("Password: ")
    if not stdin and password != getpass.getpass("Again: "):
        raise Refused("The two passwords differ; nothing was changed.")
    if not password:
        raise Refused("The password is empty; nothing was changed.")
    return password
