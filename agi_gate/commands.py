"""The commands of the gate: `agi-gate serve` and `agi-gate canary`."""

import asyncio
import sys
from collections.abc import Coroutine
from textwrap import fill
from typing import Annotated, Any

import structlog
import typer

from agi_gate.canary import NoAnswer, ask
from agi_gate.serving.child import serve_as_child
from agi_gate.serving.processes import Parent, serve_alone
from agi_gate.serving.sockets import calls_socket
from agi_gate.settings import GateSettings
from compliance.command_line import WrongWords, invoke
from compliance.listening import CannotListen
from compliance.log import log_to_stderr
from compliance.private_files import keep_new_files_private, open_to_others
from compliance.rule import sentence_of
from compliance.setting_names import unknown_settings
from compliance.settings import SettingsError

try:
    from uvloop import new_event_loop
except ImportError:  # uvloop exists only for CPython. On asyncio's own loop the gate has about half the throughput.
    from asyncio import new_event_loop  # type: ignore[assignment]

log = structlog.get_logger()

app = typer.Typer(
    help="Answers Asterisk whether a number may be dialled for a lead.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

COLUMNS, INDENT = 69, " " * 7
"""Width of the canary's lines, and what stands before a reason. `scripts/up` shows them 11 columns further right."""

DEMO_BLOCKED, DEMO_ALLOWED, DEMO_LEAD = "+14155550100", "+14155550199", "demo-2"


@app.command()
def serve(
    processes: Annotated[int, typer.Option(min=1, max=64, help="Gate processes on the one AGI port.")] = 1,
) -> None:
    """Answer FastAGI requests until SIGTERM, then finish the open calls."""
    settings = GateSettings.load()
    log_to_stderr(settings.log_level, settings.secrets)
    settings, reserved = calls_socket(settings)
    settings.require_peers()
    # The gate serves all the same: an upgrade must not stop calls. `dnc-admin migrate` and `serve` refuse to start.
    for trouble in open_to_others(settings.private):
        log.error("files are not private", trouble=trouble)
    run(serve_alone(settings, reserved) if processes == 1 else Parent(settings, processes, reserved).serve())


@app.command(hidden=True)
def child(listener_fd: int) -> None:
    """Serve on a socket inherited from `serve --processes`."""
    settings = GateSettings.load()
    log_to_stderr(settings.log_level, settings.secrets)
    run(serve_as_child(settings, listener_fd))


@app.command()
def canary(
    blocked: Annotated[list[str] | None, typer.Option(help="A number that must be blocked.")] = None,
    allowed: Annotated[list[str] | None, typer.Option(help="A number that must be allowed.")] = None,
    override: Annotated[
        list[str] | None,
        typer.Option(help="NUMBER:LEAD that an override must allow, while the number alone must be blocked."),
    ] = None,
) -> None:
    """Query the running gate through its AGI port, and compare its verdicts with the expected ones.

    Without options it queries the demo's numbers. The exit code is 1 if a verdict differs.
    """
    questions = expectations(blocked or [], allowed or [], override or [])
    if not questions:
        questions = expectations([DEMO_BLOCKED], [DEMO_ALLOWED], [f"{DEMO_BLOCKED}:{DEMO_LEAD}"])
    host, _, port = GateSettings.load().agi_bind.rpartition(":")
    wrong = 0
    for number, lead, expected in questions:
        answer = asyncio.run(ask(host.strip("[]"), int(port), number, lead))
        right = answer.allowed is expected
        wrong += not right
        asked = f"{number} for lead {lead}" if lead else number
        typer.echo(f"{'right' if right else 'WRONG'}  {'ALLOW' if answer.allowed else 'BLOCK'}  {asked}")
        why = f"{answer.reason}: {sentence_of(answer.reason)} [{answer.decision}]"
        typer.echo(fill(why, COLUMNS, initial_indent=INDENT, subsequent_indent=INDENT, break_on_hyphens=False))
    raise typer.Exit(1 if wrong else 0)


def expectations(blocked: list[str], allowed: list[str], override: list[str]) -> list[tuple[str, str, bool]]:
    """Return one tuple per query: number, lead, and whether the call must be allowed. Raises BadParameter."""
    questions = [(number, "", False) for number in blocked] + [(number, "", True) for number in allowed]
    for pair in override:
        number, colon, lead = pair.rpartition(":")
        if not colon or not number or not lead:
            raise typer.BadParameter(f"--override {pair}: write NUMBER:LEAD")
        questions += [(number, lead, True), (number, "", False)]
    return questions


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on uvloop, or on asyncio's loop if uvloop is missing."""
    # In debug mode asyncio logs the arguments of slow callbacks, which are bytes from the network.
    with asyncio.Runner(debug=False, loop_factory=new_event_loop) as runner:
        runner.run(work)


def run_commands() -> None:
    """Run the command line. An error that an operator can correct is printed as one line; the exit code is then 2."""
    keep_new_files_private()
    log_to_stderr("INFO")
    if "child" not in sys.argv[1:2]:  # The parent has said it.
        for unknown in unknown_settings():
            print(f"agi-gate: {unknown}", file=sys.stderr)
    try:
        sys.exit(invoke(app, "agi-gate"))
    except (SettingsError, CannotListen, NoAnswer, WrongWords) as error:
        if message := str(error):
            print(f"agi-gate: {message}", file=sys.stderr)
        sys.exit(2)
    except Exception:  # A bug. Python's own report would not mask passwords.
        log.exception("failed")
        sys.exit(1)
