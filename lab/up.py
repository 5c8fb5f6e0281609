"""`scripts/up`: start the whole product, prove that it works, and serve until Ctrl-C. A PBX is optional."""

import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from typing import Annotated

import typer

from admin_web.settings import AdminSettings
from agi_gate.commands import DEMO_ALLOWED, DEMO_BLOCKED
from compliance.command_line import WrongWords, invoke
from compliance.listening import CannotListen
from compliance.private_files import keep_new_files_private
from compliance.settings import SettingsError
from lab.data_dir import AlreadyRunning, Unusable, claimed
from lab.demo_calls import place_calls
from lab.demo_pbx import SIP_BIND, DemoPbx
from lab.process import NotInstalled, NotStarted
from lab.stack import Stack, indented


class NotAsExpected(Exception):
    """The trunk did not receive the expected calls. The message says which calls were expected."""


TROUBLES = (SettingsError, Unusable, AlreadyRunning, CannotListen, NotInstalled, NotStarted, NotAsExpected)


def wait(stack: Stack, stop: threading.Event) -> int:
    """Wait until `stop` is set, and return 0. If a program ends unexpectedly, return 1 at once."""
    while not stop.wait(0.5):
        if trouble := stack.ended():
            stack.say(trouble)
            return 1
    return 0


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    pbx: Annotated[bool, typer.Option("--pbx", help="Also run a real Asterisk, and place calls over SIP.")] = False,
    sip: Annotated[str, typer.Option(help="With --pbx: address at which a SIP telephone can register.")] = SIP_BIND,
    once: Annotated[bool, typer.Option("--once", help="Stop after the checks, instead of serving.")] = False,
    demo: Annotated[bool, typer.Option(help="Add a few leads, listed numbers and overrides to try.")] = True,
) -> None:
    """Start dnc-gate on this machine, prove that it works, and serve until Ctrl-C."""
    # Redis and Asterisk inherit this too. The data directory may have been made by hand, with rights for others.
    keep_new_files_private()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    raise SystemExit(_run(stop, sip if pbx else None, once=once, demo=demo))


def _run(stop: threading.Event, sip: str | None, *, once: bool, demo: bool) -> int:
    """Run the product until `stop`, with a PBX if `sip` is not None. Return the exit code."""
    stack: Stack | None = None
    began = time.monotonic()
    with ExitStack() as ending:
        try:
            data_dir = ending.enter_context(claimed(AdminSettings.load().data_dir))
            pbx = DemoPbx(data_dir, sip) if sip is not None else None
            stack = Stack(typer.echo, data_dir, pbx.environment if pbx else None)
            ending.callback(_stop, stack)
            _start(stack, demo=demo)
            typer.echo(f"Ready after {time.monotonic() - began:.1f} s.\n")
            if pbx:
                _connect(stack, ending, pbx, demo=demo)
            if once:
                return 0
            typer.echo(_next(stack, pbx))
            return wait(stack, stop)
        except TROUBLES as error:
            return _fail(str(error))
        except OSError as error:
            return _fail(f"{error.filename or 'input or output'}: {error.strerror or error}")


def _start(stack: Stack, *, demo: bool) -> None:
    stack.start()
    if demo:
        stack.command("dnc-admin", "seed-demo")
        typer.echo("Canary     sends requests to the gate as a PBX would:\n" + indented(stack.canary()))


def _connect(stack: Stack, ending: ExitStack, pbx: DemoPbx, *, demo: bool) -> None:
    """Start the PBX and place the demo's calls. Raises NotInstalled, NotStarted, NotAsExpected."""
    typer.echo("Asterisk   starting (the first start downloads it, which takes half a minute) ...")
    ending.enter_context(pbx)
    stack.join(pbx.processes)
    if demo:
        numbers, expected = place_calls(typer.echo, pbx.line), [DEMO_ALLOWED, DEMO_BLOCKED]
        if numbers != expected:
            raise NotAsExpected(f"the trunk should only receive {' and '.join(expected)}")


def _stop(stack: Stack) -> None:
    stack.stop()
    if stack.processes:
        typer.echo("Stopped.")


def _fail(message: str) -> int:
    print(f"scripts/up: {message}", file=sys.stderr)
    return 2


def _next(stack: Stack, pbx: DemoPbx | None) -> str:
    """Return what the person at the terminal can do next, in the present state."""
    said = NEXT.format(
        data=os.path.relpath(stack.data_dir),
        agi=stack.gate_settings.agi_bind,
        site=stack.site,
        pbx=CALL if pbx else WITH_PBX,
        settings=SAME_SETTINGS if any(name.startswith("DNC_") for name in os.environ) else "",
    )
    return f"{pbx.said()}\n\n{said}" if pbx else said


WITH_PBX = "scripts/up --pbx                     after Ctrl-C: the same with a real Asterisk and real SIP calls"
CALL = "{:<35}  click on Call; the call log shows how the call ended".format("in the site, at a lead")
SAME_SETTINGS = "Set the same DNC_ settings for these commands as for this start.\n"
NEXT = """What next
  {site:<35}  sign in: leads, lists, overrides, calls; the first start shows the password
  {pbx}
  .venv/bin/dnc-admin suppress NUMBER  put a number on the list; the next call to it is blocked
  .venv/bin/dnc-admin user password admin
                                       set another password if this one is lost
  .venv/bin/dnc-admin --help           overrides, imports, rebuild, verify
  .venv/bin/agi-gate canary            test the gate again
  dialplan/README.md                   put the gate in front of your own PBX (agi://{agi})
{settings}Logs and data are in {data}/. Ctrl-C stops everything."""


if __name__ == "__main__":
    try:
        sys.exit(invoke(app, "scripts/up"))
    except WrongWords as error:
        sys.exit(_fail(str(error)))
