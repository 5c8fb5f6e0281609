"""SIPp on loopback, as the dialer in front of the PBX and as the trunk behind it."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socket import SOCK_DGRAM
from typing import Self
from urllib.parse import quote, unquote

from lab.process import NotInstalled, Process, free_port

SCENARIOS = Path(__file__).parent / "pbx" / "sipp"
UNESCAPED = "-_.!~*'()&=+$,?/"
"""Characters allowed in the user part of a SIP URI (RFC 3261, 25.1), except `;`, which separates SIPp's fields."""

SLACK_S = 30.0
"""Seconds that a run may take after it has placed its calls. Calls that are unfinished then get the status 0."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call to place. The dialer sends `dialed` unchanged, as the endpoint `caller`.

    `lead`, `campaign` and `agent` go into headers; an empty one is not sent.
    """

    dialed: str
    lead: str = ""
    caller: str = "dialer"
    campaign: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a call: its final SIP status (0 if none came), and the seconds from the start to that status."""

    call: Call
    status: int
    seconds: float


def sipp_binary() -> str:
    """Return the path of SIPp. Raises NotInstalled."""
    if found := shutil.which("sipp"):
        return found
    raise NotInstalled("No SIPp: install the package sip-tester.")


class Dialer:
    """Places calls through the PBX at `sip_port`. It keeps its files in `directory`."""

    def __init__(self, directory: Path, sip_port: int) -> None:
        self.directory = directory
        self.sip_port = sip_port

    def dial(
        self, calls: Sequence[Call], *, per_second: float = 50, at_once: int = 500, hold_ms: int = 20
    ) -> list[Outcome]:
        """Place the calls, hold each answered call for `hold_ms`, and return one outcome per call, in order."""
        return self._run("dial.xml", calls, per_second, at_once, hold_ms)

    def give_up(self, calls: Sequence[Call], *, after_ms: int, per_second: float = 50) -> list[Outcome]:
        """Place the calls, and cancel each after `after_ms`, before it is answered. Return one outcome per call."""
        return self._run("give_up.xml", calls, per_second, len(calls), after_ms)

    def _run(
        self, scenario: str, calls: Sequence[Call], per_second: float, at_once: int, pause_ms: int
    ) -> list[Outcome]:
        self.directory.mkdir(parents=True, exist_ok=True)
        log, injected = self.directory / "dialer.log", self.directory / "calls.csv"
        errors = self.directory / "dialer.errors"
        for old in (log, errors):
            old.unlink(missing_ok=True)
        injected.write_text("SEQUENTIAL\n" + "".join(map(_line, calls)))
        command = [
            *_sipp(scenario, free_port(SOCK_DGRAM), log),
            *("-inf", injected, "-m", str(len(calls)), "-r", str(per_second), "-l", str(at_once)),
            *("-d", str(pause_ms), "-trace_err", "-error_file", errors),
            f"127.0.0.1:{self.sip_port}",
        ]
        with (self.directory / "dialer.out").open("wb") as said, suppress(subprocess.TimeoutExpired):
            subprocess.run(  # noqa: S603
                command,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                check=False,
                timeout=len(calls) / per_second + SLACK_S,
            )
        outcomes = _outcomes(calls, log)
        if errors.exists() and any(outcome.status == 0 for outcome in outcomes):
            print(errors.read_text())  # Otherwise nobody could tell a lost call from an unexpected message.
        return outcomes


class Trunk:
    """A SIP peer on `port` that logs the number of each call. `scenario` names a file of `lab/pbx/sipp/`."""

    def __init__(self, directory: Path, port: int, scenario: str = "answer") -> None:
        self.directory = directory
        self.port = port
        self.scenario = scenario
        self.process: Process | None = None

    def start(self) -> Self:
        """Start SIPp and wait until it listens. Raises NotInstalled, NotStarted."""
        self.directory.mkdir(parents=True, exist_ok=True)
        command = _sipp(f"{self.scenario}.xml", self.port, self.log)
        self.process = Process(command, self.directory / "trunk.out", cwd=self.directory)
        self.process.wait_until(lambda: _listens(self.port))
        return self

    @property
    def log(self) -> Path:
        """The file in which SIPp logs the number of each INVITE."""
        return self.directory / "trunk.log"

    def numbers(self) -> list[str]:
        """Return the number of each INVITE received so far, in order."""
        return [unquote(line) for line in self.log.read_text().split("\n") if line] if self.log.exists() else []

    def stop(self) -> None:
        """Kill SIPp if it is running."""
        if self.process is not None:
            self.process.kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _sipp(scenario: str, port: int, log: Path) -> list[str | Path]:
    return [
        *(sipp_binary(), "-sf", SCENARIOS / scenario, "-i", "127.0.0.1", "-p", str(port), "-nostdin"),
        *("-trace_logs", "-log_file", log),
    ]


def _line(call: Call) -> str:
    header = f"X-Lead-Id: {call.lead}" if call.lead else "X-No-Lead: 1"
    campaign = f"X-Campaign-Id: {call.campaign}" if call.campaign else "X-No-Campaign: 1"
    agent = f"X-Agent-Id: {call.agent}" if call.agent else "X-No-Agent: 1"
    return f"{quote(call.dialed, safe=UNESCAPED)};{call.caller};{header};{campaign};{agent}\n"


def _outcomes(calls: Sequence[Call], log: Path) -> list[Outcome]:
    """Parse the log of dial.xml. Each line has the call number (from 1), the status, and start and end (s, µs)."""
    ended = {}
    for line in log.read_text().split("\n") if log.exists() else []:
        if found := re.fullmatch(r"(\d+) (\d+) (\S+) (\S+) (\S+) (\S+)", line):
            began_s, began_us, ended_s, ended_us = map(float, found.groups()[2:])
            ended[int(found[1])] = (int(found[2]), ended_s - began_s + (ended_us - began_us) / 1e6)
    return [Outcome(call, *ended.get(number, (0, 0.0))) for number, call in enumerate(calls, start=1)]


def _listens(port: int) -> bool:
    """Return whether a UDP port of 127.0.0.1 is in use (/proc/net/udp, see proc(5))."""
    return f" 0100007F:{port:04X} " in Path("/proc/net/udp").read_text()
