"""The whole product on this machine: Redis, worker, gate and site as child processes."""

import math
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from admin_web.settings import AdminSettings
from agi_gate.settings import GateSettings
from compliance.listening import INSTANCE_HEADER, CannotListen, listen
from lab.data_dir import AlreadyRunning
from lab.process import NotStarted, Process, accepts
from lab.redis import RedisServer

READY_S = 60.0
SAY_S = 5.0
"""Seconds after which the start says what a program waits for."""

CANARY_TRIES = 5


class Stack:
    """The worker, the gate, the site, and a Redis if none is configured. All use the data directory `data_dir`.

    `environment` is added to the environment of the programs.
    """

    def __init__(
        self, say: Callable[[str], None], data_dir: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.gate_settings, self.settings = GateSettings.load(), AdminSettings.load()
        self.data_dir = data_dir
        self.say = say
        self.processes: dict[str, Process] = {}
        # A program answers `/readyz` with this text. So an answer with this text comes from a child of this start,
        # and not from a program of another start on the same port.
        self._instance = secrets.token_hex(8)
        self._environment = {**(environment or {}), "DNC_INSTANCE": self._instance}
        self._ending = ExitStack()

    def _prepare(self) -> None:
        """Check the socket and the ports. Raises AlreadyRunning, CannotListen."""
        if not self.settings.redis_url and accepts(str(self._socket)):
            raise AlreadyRunning(
                f"{self._socket}: another Redis listens here: stop it, or choose another DNC_DATA_DIR."
            )
        with ExitStack() as all_at_once:  # This also finds two settings with the same port.
            for setting, bind in self._binds().items():
                if bind.endswith(":0"):
                    raise CannotListen(f"{setting}: write a port other than 0, which other programs can know")
                all_at_once.enter_context(listen(setting, bind))

    def _binds(self) -> dict[str, str]:
        return {
            "DNC_AGI_BIND": self.gate_settings.agi_bind,
            "DNC_METRICS_BIND": self.gate_settings.metrics_bind,
            "DNC_WEB_BIND": self.settings.web_bind,
        }

    def start(self) -> None:
        """Start everything and wait until gate and site are ready.

        Raises AlreadyRunning, CannotListen, NotInstalled, NotStarted.
        """
        self._prepare()
        if not self.settings.redis_url:
            self._own_redis()
        self.command("dnc-admin", "migrate")
        self.say(f"Database   {self._shown_database()}")
        self._program("worker", "dnc-admin", "worker")
        gate = self._program("gate", "agi-gate", "serve")
        site = self._program("site", "dnc-admin", "serve")
        first = self.command("dnc-admin", "user", "first")
        metrics = self.gate_settings.metrics_bind
        self._until_ready(gate, f"http://{metrics}/readyz")
        self.say(f"Gate       agi://{self.gate_settings.agi_bind}/screen, http://{metrics}/metrics")
        self._until_ready(site, f"{self.site}readyz")
        self.say(f"Site       {self.site}")
        if first:
            self.say(indented(first))

    @property
    def _socket(self) -> Path:
        return self.data_dir / "redis.sock"

    def _own_redis(self) -> None:
        redis = self._ending.enter_context(RedisServer(self.data_dir / "redis", self._socket))
        self.processes["redis"] = redis.running
        self.say(f"Redis      {redis.url} (private, append-only file on)")

    def _program(self, name: str, *words: str) -> Process:
        """Start one of the project's programs. It logs to `log/<name>.log` in the data directory."""
        process = Process([_own(words[0]), *words[1:]], self.data_dir / "log" / f"{name}.log", self._environment)
        self._ending.callback(process.stop)
        self.processes[name] = process
        return process

    def _until_ready(self, process: Process, url: str) -> None:
        """Wait until this start's own program is ready. Raises NotStarted, also when another program ends."""

        say_at = time.monotonic() + SAY_S

        def ready() -> bool:
            nonlocal say_at
            if trouble := self.ended():
                raise NotStarted(trouble)
            if time.monotonic() > say_at:
                say_at = math.inf
                self.say(f"Waiting    {process.last_line()}")
            return _answers(url, self._instance)

        process.wait_until(ready, within_s=READY_S, every_s=0.05)

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
        """Return the URL without user and passwords. A password can also be in the query of the URL."""
        shown = self.settings.database.rpartition("@")[2]
        for secret in self.settings.secrets:
            shown = shown.replace(secret, "***")
        return shown

    def ended(self) -> str | None:
        """Return a message about a program that ended unexpectedly, with its last log line; None while all run."""
        for name, process in self.processes.items():
            if process.exit_code is not None:
                return f"{name} ended with code {process.exit_code}: {process.last_line()}"
        return None

    def join(self, processes: Mapping[str, Process]) -> None:
        """Watch further programs, which their starter stops."""
        self.processes |= processes

    def stop(self) -> None:
        """Stop all programs in the reverse order of their start, Redis last."""
        self._ending.close()


def _answers(url: str, instance: str) -> bool:
    """Return whether the program that was started as `instance` answers a URL with status 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - an address of this machine's settings
            return bool(answer.status == 200) and answer.headers.get(INSTANCE_HEADER) == instance
    except OSError:
        return False


def _own(program: str) -> Path:
    """Return the path of one of the project's programs, in the directory of this Python interpreter."""
    return Path(sys.executable).with_name(program)


def indented(text: str) -> str:
    """Indent the lines of a text below the names of the parts."""
    return "\n".join(f"           {line}" for line in text.rstrip().splitlines())
