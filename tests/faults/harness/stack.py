"""The real stack of a run: Redis, SQL, two gates, a worker and a site, as processes, and the addresses of all."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from lab.process import free_port
from tests.faults.harness.clocks import Clock, library
from tests.faults.harness.databases import database_of
from tests.faults.harness.disks import Disk
from tests.faults.harness.pool import CHANGING, holder
from tests.faults.harness.redises import KINDS, Redises
from tests.faults.harness.setting import Configuration
from tests.faults.harness.stated import DEADLINE_MS, LEASE_S, SLOWNESS
from tests.faults.harness.supervised import Supervised
from tests.faults.harness.ways import Commands
from tests.support.programs import run

GATES = ("gate-a", "gate-b")
CLOCKED = ("gate-b", "worker")
"""Programs whose clock the harness can set."""

READY_WITHIN_S = 60.0
TEND_S = 0.02
SCOPES = ("read", "leads", "suppress", "lift", "override", "revoke")


PATCHED = "tests.faults.harness.patched"
"""Starts a program that `patch` breaks: see `patched/patches.py`."""


class NotReady(Exception):
    """The stack did not become ready. The message says what was missing."""


class FaultStack:
    """All processes of a run, with their files in `directory`. Only one thread may use it.

    If `patch` is not empty, it names the promise that the programs break. `disks` are the file systems that can be
    full: `sql`, and one for each server of Redis by its name. They are mounted before `start`.
    """

    def __init__(self, configuration: Configuration, directory: Path, patch: str = "") -> None:
        self.configuration, self.directory, self.patch = configuration, directory, patch
        self.disks: dict[str, Disk] = {}
        self.redises: Redises = KINDS[configuration.redis](directory / "redis")
        self.database = database_of(configuration, directory / "sql")
        self.ports = {name: free_port() for name in (*GATES, "site")}
        self.metrics = {name: free_port() for name in (*GATES, "worker")}
        made = library(directory)
        self.clocks = {name: Clock(made, directory / f"{name}.clock") for name in CLOCKED} if made else {}
        self.programs: dict[str, Supervised] = {}
        self._ending = ExitStack()

    @property
    def gates(self) -> dict[str, Supervised]:
        """The gates by name."""
        return {name: self.programs[name] for name in GATES}

    @property
    def origin(self) -> str:
        """The address of the site."""
        return f"http://127.0.0.1:{self.ports['site']}"

    def environment(self, program: str) -> dict[str, str]:
        """Return the settings of one program."""
        data = self.directory / "sql" / "data"
        settings = {
            "DNC_REDIS_URL": self.redises.url(program),
            "DNC_DATABASE_URL": self.database.url,
            "DNC_DATA_DIR": str(data if program not in GATES else self.directory / program),
            "DNC_DEADLINE_MS": str(DEADLINE_MS),
            "DNC_LEASE_S": str(LEASE_S),
            "DNC_REPLICAS": "0" if self.configuration.redis == "alone" else "1",
            "DNC_TIME_ZONE": "UTC",
        }
        if program in GATES:
            settings["DNC_AGI_BIND"] = f"127.0.0.1:{self.ports[program]}"
            settings["DNC_METRICS_BIND"] = f"127.0.0.1:{self.metrics[program]}"
        if program == "worker":
            settings["DNC_WORKER_BIND"] = f"127.0.0.1:{self.metrics[program]}"
        if program == "site":
            settings["DNC_WEB_BIND"] = f"127.0.0.1:{self.ports[program]}"
        return settings

    def commands(self) -> Commands:
        """Return an operator's shell."""
        return Commands(self.environment("commands"), self.directory)

    def start(self) -> str:
        """Start everything, with the numbers that are listed before the run, and return a token of the API."""
        self._ending.callback(self.redises.stop)
        self.redises.start()
        self._ending.callback(self.database.stop)
        self.database.start()
        (self.directory / "sql" / "data").mkdir(parents=True, exist_ok=True)
        self.admin("migrate")
        self.admin("user", "first")
        words = [word for scope in SCOPES for word in ("--scope", scope)]
        token = self.admin("token", "make", "harness", *words, "--per-minute", "600000").split()[-1]
        for name in (*GATES, "worker", "site"):
            self._add(name)
        self.wait(lambda: all(self.ready(name) for name in self.programs), READY_WITHIN_S, "the programs")
        self._import("leads", "lead,number\n" + "".join(f"{holder(one)},{one}\n" for one in CHANGING))
        return token

    def admin(self, *words: str) -> str:
        """Run one command of `dnc-admin`, which must succeed, and return its output."""
        ended = run("admin_web", words, self.environment("commands"))
        if ended.returncode:
            raise NotReady(f"dnc-admin {' '.join(words)}: {ended.stdout}{ended.stderr}")
        return ended.stdout.strip()

    def _import(self, kind: str, text: str) -> None:
        file = self.directory / f"{kind}.csv"
        file.write_text(text)
        self.admin("import", kind, str(file))

    def _add(self, name: str) -> None:
        package = "agi_gate" if name in GATES else "admin_web"
        words = ["worker"] if name == "worker" else ["serve"]
        if self.patch:
            package, words = PATCHED, [self.patch, package, *words]
        (self.directory / name).mkdir(exist_ok=True)
        program = Supervised(
            name, package, words, self.directory / f"{name}.log", self.environment(name), self.clocks.get(name)
        )
        self.programs[name] = program
        self._ending.callback(program.kill)
        program.start()

    def ready(self, name: str) -> bool:
        """Return whether a program says that it is ready."""
        port = self.ports["site"] if name == "site" else self.metrics[name]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def tend(self) -> None:
        """Start programs again that ended by themselves."""
        for program in self.programs.values():
            program.tend()

    def wait(self, ready: Callable[[], bool], within_s: float, what: str) -> None:
        """Wait until `ready()`, as a supervisor meanwhile. Raises NotReady."""
        if not self.wait_for(ready, within_s * SLOWNESS):
            raise NotReady(f"{what}: not ready after {within_s:.0f} s; see {self.directory}")

    def wait_for(self, ready: Callable[[], bool], within_s: float) -> bool:
        """Wait until `ready()`, as a supervisor meanwhile, and return whether it came true."""
        deadline = time.monotonic() + within_s
        while not ready():
            if time.monotonic() > deadline:
                return False
            self.tend()
            time.sleep(TEND_S)
        return True

    def rest(self, seconds: float) -> None:
        """Pass some time as a supervisor."""
        self.wait_for(lambda: False, seconds)

    def stop(self) -> None:
        """End all processes."""
        for program in self.programs.values():
            program.resume()
        self._ending.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
