"""A real Asterisk on loopback that runs the dialplan of `dialplan/`. The demo, tests and benchmarks use it."""

import csv
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from socket import SOCK_DGRAM
from typing import Self

from lab import asterisk_root
from lab.console import NoConsole, ask
from lab.process import Process, free_port

DIALPLAN = Path(__file__).parent.parent / "dialplan"
TEMPLATES = Path(__file__).parent / "pbx" / "asterisk"
CDR_FILE = "DncGate.csv"
BOOT_S = 60.0

# The script runs in its own mount namespace, so nothing stays mounted however the script ends. It sets a host name that
# /etc/hosts has, because Asterisk resolves its own host name for every call. With `exec`, Asterisk keeps the process id
# of the script, which this module knows.
ENTER = """set -e
ulimit -n "$(ulimit -Hn)"
hostname localhost
if [ "$1" = / ]; then exec asterisk -C "$2/etc/asterisk.conf" -f; fi
mount --bind "$2" "$1/mnt"
mount --bind /proc "$1/proc"
exec chroot "$1" asterisk -C /mnt/etc/asterisk.conf -f
"""


class Asterisk:
    """An Asterisk PBX that keeps its configuration, call records and log in `directory`.

    It has three endpoints for callers: `dialer`, whose `X-Lead-Id` header is trusted, `phone` and `lab`. The user part
    of the From header selects the endpoint. `dialplan` is the text of further contexts. Calls from `lab` enter the
    context `lab`, which this text must define. The PBX sends calls for the trunk to `trunk_port`, and calls for the
    telephones of `agent`, `supervisor` and `admin` to `agent_port`. `variables` are global variables of the dialplan.
    `sip` is the text of further SIP objects.
    """

    def __init__(
        self,
        directory: Path,
        variables: Mapping[str, str] | None = None,
        dialplan: str = "",
        verbose: int = 0,
        sip: str = "",
    ) -> None:
        self.directory = directory.resolve()
        self.variables = dict(variables or {})
        self.dialplan = dialplan
        self.verbose = verbose
        self.sip = sip
        self.sip_port, self.trunk_port, self.agent_port = (free_port(SOCK_DGRAM) for _ in range(3))
        self.ami_port, self.ami_user, self.ami_secret = free_port(), "dnc-gate", secrets.token_hex(16)
        self.process: Process | None = None
        self.boot_s = 0.0

    def start(self) -> Self:
        """Start Asterisk, wait until it is fully booted, and set its variables. Raises NotInstalled, NotStarted."""
        root = asterisk_root.find()
        began = time.monotonic()
        self._configure(root.path)
        self.process = Process(_command(root.path, self.directory), self.directory / "asterisk.log")
        self.process.wait_until(self._booted, within_s=BOOT_S)
        for name, value in self.variables.items():
            self.set_global(name, value)
        self.boot_s = time.monotonic() - began
        return self

    def _configure(self, root: Path) -> None:
        etc = self.directory / "etc"
        for name in ("etc", "lib", "spool", "run", "log/cdr-custom"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        values = {
            "HOME": str(self.directory) if root == Path("/") else "/mnt",
            "VERBOSE": str(self.verbose),
            "LOG_LEVELS": "notice,warning,error" + (",verbose" if self.verbose else ""),
            "SIP_PORT": str(self.sip_port),
            "TRUNK_PORT": str(self.trunk_port),
            "AGENT_PORT": str(self.agent_port),
            "AMI_PORT": str(self.ami_port),
            "AMI_SECRET": self.ami_secret,
        }
        for template in TEMPLATES.glob("*.conf"):
            (etc / template.name).write_text(_filled(template.read_text(), values))
        (etc / "manager.conf").chmod(0o600)
        for part in DIALPLAN.glob("*.conf"):
            shutil.copy(part, etc)
        (etc / "extensions_lab.conf").write_text(self.dialplan)
        sip = etc / "pjsip_lab.conf"
        sip.touch(mode=0o600)  # It may contain passwords.
        sip.write_text(self.sip)

    def _booted(self) -> bool:
        try:
            return "fully booted" in self.rx("core waitfullybooted")
        except NoConsole:
            return False

    def rx(self, command: str) -> str:
        """Run a console command, as `asterisk -rx` does, and return its output. Raises NoConsole."""
        return ask(self.directory / "run" / "asterisk.ctl", command)

    def set_global(self, name: str, value: str) -> None:
        """Set a global variable of the dialplan. The value is lost when Asterisk stops."""
        # An empty value needs quotes. Without them Asterisk rejects the command and keeps the old value.
        quoted = value or '""'
        self.rx(f"dialplan set global {name} {quoted}")

    def calls(self) -> int:
        """Return the number of active channels."""
        found = re.search(r"(\d+) active channel", self.rx("core show channels count"))
        return int(found[1]) if found else 0

    @property
    def cdr_file(self) -> Path:
        """The file of call-detail records."""
        return self.directory / "log" / "cdr-custom" / CDR_FILE

    def cdr(self) -> list[dict[str, str]]:
        """Return the call-detail records written so far, each with the fields of `dialplan/cdr_custom.conf`.

        If the last line has no newline yet, Asterisk is still writing it, and it is left out.
        """
        fields = re.findall(r"CDR\((\w+)(?:,u)?\)", (DIALPLAN / "cdr_custom.conf").read_text())
        file = self.cdr_file
        if not file.exists():
            return []
        with file.open(newline="") as rows:
            whole, newline, _being_written = rows.read().rpartition("\n")
        return list(csv.DictReader(StringIO(whole + newline), fieldnames=fields))

    def wait_for(self, ready: Callable[[], bool], *, within_s: float = 30.0) -> None:
        """Wait until `ready()` is true. Raises NotStarted after `within_s` seconds, or when Asterisk ends."""
        if self.process is None:
            raise RuntimeError("this Asterisk has not been started")
        self.process.wait_until(ready, within_s=within_s)

    def log(self) -> str:
        """Return the text of Asterisk's log file."""
        return (self.directory / "log" / "messages").read_text(errors="replace")

    def stop(self) -> None:
        """Stop Asterisk if it is running."""
        if self.process is not None:
            self.process.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _command(root: Path, directory: Path) -> list[str | Path]:
    if os.geteuid() != 0:
        return ["asterisk", "-C", directory / "etc" / "asterisk.conf", "-f"]
    return ["unshare", "--mount", "--uts", "sh", "-c", ENTER, "asterisk", root, directory]


def _filled(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text
