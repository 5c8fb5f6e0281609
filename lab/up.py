"""`scripts/up`: start the whole product, prove that it works, and serve until Ctrl-C. A PBX is optional."""

import os
import signal
import sys
import threading
import time
from typing import Annotated

import typer

from agi_gate.__main__ import DEMO_ALLOWED, DEMO_BLOCKED
from compliance.listening import CannotListen
from compliance.settings import SettingsError
from lab.data_dir import AlreadyRunning, Unusable
from lab.process import NotInstalled, NotStarted
from lab.stack import Stack, indented

TROUBLES = (SettingsError, Unusable, AlreadyRunning, CannotListen, NotInstalled, NotStarted)


def wait(stack: Stack, stop: threading.Event) -> int:
    """Wait until `stop` is set, and return 0. If a program ends unexpectedly, return 1 at once."""
    while not stop.wait(0.5):
        if trouble := stack.ended():
            stack.say(trouble)
            return 1
    return 0


def main(
    pbx: Annotated[bool, typer.Option("--pbx", help="Also start a real Asterisk with SIPp, and place calls.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Stop after the checks, instead of serving.")] = False,
    demo: Annotated[bool, typer.Option(help="Add a few leads, two listed numbers and an override.")] = True,
) -> None:
    """Start dnc-gate on this machine, prove that it works, and serve until Ctrl-C."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    try:
        stack = Stack(typer.echo)
    except SettingsError as error:
        raise SystemExit(_fail(str(error))) from None
    began, code = time.monotonic(), 0
    try:
        stack.start()
        if demo:
            stack.command("dnc-admin", "seed-demo")
            typer.echo("Canary     sends requests to the gate as a PBX would:\n" + indented(stack.canary()))
        typer.echo(f"Ready after {time.monotonic() - began:.1f} s.\n")
        if pbx:
            from lab.demo_calls import place_calls  # noqa: PLC0415 - only --pbx needs SIPp and Asterisk

            numbers, expected = place_calls(typer.echo, stack.data_dir), [DEMO_ALLOWED, DEMO_BLOCKED]
            code = 0 if numbers == expected else _fail(f"the trunk should only receive {' and '.join(expected)}")
        if once or code:
            raise SystemExit(code)
        typer.echo(NEXT.format(data=os.path.relpath(stack.data_dir), agi=stack.gate_settings.agi_bind, site=stack.site))
        code = wait(stack, stop)
    except TROUBLES as error:
        code = _fail(str(error))
    except OSError as error:
        code = _fail(f"{error.filename or 'input or output'}: {error.strerror or error}")
    finally:
        stack.stop()
        if stack.processes:
            typer.echo("Stopped.")
    raise SystemExit(code)


def _fail(message: str) -> int:
    print(f"scripts/up: {message}", file=sys.stderr)
    return 2


NEXT = """What next
  {site:<35}  sign in: leads, lists, overrides, calls; the first start shows the password
  scripts/up --pbx                     the same with a real Asterisk and real SIP calls
  .venv/bin/dnc-admin suppress NUMBER  put a number on the list; the next call to it is blocked
  .venv/bin/dnc-admin --help           overrides, imports, rebuild, verify
  .venv/bin/agi-gate canary            test the gate again
  dialplan/README.md                   put the gate in front of your own PBX (agi://{agi})
Logs and data are in {data}/. Ctrl-C stops everything."""


if __name__ == "__main__":
    typer.run(main)
