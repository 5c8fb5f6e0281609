"""Helpers of every command: run its work, name the actor, parse arguments, report the result and errors."""

import asyncio
import os
import pwd
import socket
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

import typer

from admin_web.services import Actor, DatabaseUnavailable, OutcomeUnknown, Standing, tallied
from compliance.numbers import E164, InvalidNumber, LeadId, lead_id, normalize
from compliance.refusal import Refused

Result = TypeVar("Result")

ROWS_REJECTED = 1
NOT_IN_FORCE = 3
INTERRUPTED = 130

STAYS = "what was recorded so far stays; run the command again to complete it"


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's coroutine. Ctrl-C ends it between two transactions, with exit code 130.

    Raises DatabaseUnavailable, which says if some changes are recorded already.
    """
    try:
        # In debug mode asyncio logs the arguments of slow callbacks, which may hold passwords.
        return asyncio.run(_saying_what_stays(work), debug=False)
    except KeyboardInterrupt:
        say_error("stopped; what was recorded so far stays. Run the command again to continue")
        raise typer.Exit(INTERRUPTED) from None


async def _saying_what_stays(work: Coroutine[Any, Any, Result]) -> Result:
    with tallied() as tally:
        try:
            return await work
        except OutcomeUnknown:
            raise
        except DatabaseUnavailable as error:
            if tally.changes:
                raise DatabaseUnavailable(error.fact, STAYS) from error
            raise


def actor() -> Actor:
    """Return the actor: the login name, which `sudo` does not change, and the name of this machine."""
    try:
        name = os.getlogin()
    except OSError:  # There is no terminal, for example in a container or under a timer.
        name = _own_name()
    return Actor(f"shell:{name}"[:64], socket.gethostname())


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"


def number_of(dialed: str, region: str) -> E164:
    """Parse a number from the command line. Raises Refused."""
    try:
        return normalize(dialed, region)
    except InvalidNumber as error:
        raise Refused(f"{dialed!r}: {error}") from None


def lead_of(text: str) -> LeadId:
    """Parse a lead id from the command line. Raises Refused."""
    lead = lead_id(text)
    if lead is None:
        raise Refused(f"{text!r} is not a lead id: write 1 to 64 letters, digits, dots, dashes and underscores.")
    return lead


def tell(what: str, standing: Standing) -> None:
    """Print what was recorded and whether it is in force. Exit with code 3 if it is not yet."""
    typer.echo(f"{what}: {standing}")
    if not standing.in_force:
        raise typer.Exit(NOT_IN_FORCE)


def say_error(message: str) -> None:
    """Print a message as one line on standard error."""
    print(f"dnc-admin: {' '.join(message.split())}", file=sys.stderr)


def give_up(message: str) -> NoReturn:
    """Print the reason, unless it is empty, as one line on standard error, and exit with code 2."""
    if message:
        say_error(message)
    sys.exit(2)
