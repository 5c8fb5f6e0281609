"""Run the whole product on this machine: Redis, worker, gate and site. A canary tests it. A PBX is optional."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from admin_web.settings import AdminSettings
from agi_gate.__main__ import DEMO_ALLOWED, DEMO_BLOCKED
from agi_gate.settings import GateSettings
from compliance.settings import SettingsError
from lab.process import NotInstalled, NotStarted, Process, accepts
from lab.redis import RedisServer

READY_S = 60.0
CANARY_TRIES = 5


class AlreadyRunning(Exception):
    """Another running dnc-gate uses the same data directory."""


class Stack:
    """The worker, the gate, the site, and a Redis if none is configured. All use the data directory of the settings."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.gate_settings, self.settings = GateSettings.load(), AdminSettings.load()
        self.data_dir = self.settings.data_dir.resolve()
        self.say = say
        self.processes: dict[str, Process] = {}
        self._ending = ExitStack()

    def start(self) -> None:
        """Start everything and wait until gate and site are ready. Raises NotInstalled, NotStarted, AlreadyRunning."""
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.data_dir / "log").mkdir(exist_ok=True)
        if not self.settings.redis_url:
            self._own_redis()
        self.command("dnc-admin", "migrate")
        self.say(f"Database   {self._shown_database()}")
        self._program("worker", "dnc-admin", "worker")
        gate = self._program("gate", "agi-gate", "serve")
        site = self._program("site", "dnc-admin", "serve")
        first = self.command("dnc-admin", "user", "first")
        ready = f"http://{self.gate_settings.metrics_bind}/readyz"
        gate.wait_until(lambda: _answers(ready), within_s=READY_S, every_s=0.05)
        self.say(
            f"Gate       agi://{self.gate_settings.agi_bind}/screen, http://{self.gate_settings.metrics_bind}/metrics"
        )
        site.wait_until(lambda: _answers(f"{self.site}sign-in"), within_s=READY_S, every_s=0.05)
        self.say(f"Site       {self.site}")
        if first:
            self.say(_indented(first))

    def _own_redis(self) -> None:
        socket = self.data_dir / "redis.sock"
        if socket.exists() and accepts(str(socket)):
            raise AlreadyRunning(
                f"dnc-gate already runs in {self.data_dir}: stop it, or choose another directory with DNC_DATA_DIR."
            )
        redis = self._ending.enter_context(RedisServer(self.data_dir / "redis", socket))
        self.processes["redis"] = redis.running
        self.say(f"Redis      {redis.url} (private, append-only file on)")

    def _program(self, name: str, *words: str) -> Process:
        """Start one of the project's programs. It logs to `log/<name>.log` in the data directory."""
        process = Process([_own(words[0]), *words[1:]], self.data_dir / "log" / f"{name}.log")
        self._ending.callback(process.stop)
        self.processes[name] = process
        return process

    def command(self, *words: str) -> str:
        """Run one of the project's commands and return its output. If it fails, raise NotStarted with its error."""
        ended = subprocess.run([_own(words[0]), *words[1:]], capture_output=True, text=True, check=False)  # noqa: S603
        if ended.returncode:
            raise NotStarted((ended.stderr or ended.stdout).strip())
        return ended.stdout

    def canary(self) -> str:
        """Run the canary, at most `CANARY_TRIES` times, and return its output. Raises NotStarted.

        On a machine that has just started, the first attempts can fail because the disk is busy.
        """
        for _ in range(CANARY_TRIES - 1):
            try:
                return self.command("agi-gate", "canary")
            except NotStarted:
                time.sleep(1)
        return self.command("agi-gate", "canary")

    @property
    def site(self) -> str:
        """URL of the site."""
        return f"http://{self.settings.web_bind}/"

    def _shown_database(self) -> str:
        return self.settings.database.rpartition("@")[2]

    def ended(self) -> str | None:
        """Return a message about a program that ended unexpectedly, with the end of its log; None while all run."""
        for name, process in self.processes.items():
            if process.exit_code is not None:
                return f"{name} ended with code {process.exit_code}; its log ends:\n{process.log_end(800)}"
        return None

    def stop(self) -> None:
        """Stop all programs in the reverse order of their start, Redis last."""
        self._ending.close()


def _answers(url: str) -> bool:
    """Return whether a URL answers with status 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - an address of this machine's settings
            return bool(answer.status == 200)
    except OSError:
        return False


def _own(program: str) -> Path:
    """Return the path of one of the project's programs, in the directory of this Python interpreter."""
    return Path(sys.executable).with_name(program)


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
            typer.echo("Canary     sends requests to the gate as a PBX would:\n" + _indented(stack.canary()))
        typer.echo(f"Ready after {time.monotonic() - began:.1f} s.\n")
        if pbx:
            from lab.demo_calls import place_calls  # noqa: PLC0415 - only --pbx needs SIPp and Asterisk

            numbers, expected = place_calls(typer.echo, stack.data_dir), [DEMO_ALLOWED, DEMO_BLOCKED]
            code = 0 if numbers == expected else _fail(f"the trunk should only receive {' and '.join(expected)}")
        if once or code:
            raise SystemExit(code)
        typer.echo(NEXT.format(data=os.path.relpath(stack.data_dir), agi=stack.gate_settings.agi_bind, site=stack.site))
        code = wait(stack, stop)
    except (NotInstalled, NotStarted, AlreadyRunning) as error:
        code = _fail(str(error))
    finally:
        stack.stop()
        typer.echo("Stopped.")
    raise SystemExit(code)


def _fail(message: str) -> int:
    print(f"scripts/up: {message}", file=sys.stderr)
    return 2


def _indented(text: str) -> str:
    return "\n".join(f"           {line}" for line in text.rstrip().splitlines())


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
