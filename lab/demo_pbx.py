"""The PBX of `scripts/up --pbx`: a real Asterisk beside the site, a trunk, and a telephone that answers.

The site rings a user's telephone by AMI when the user clicks on Call, and the worker reads the call-detail records. As
long as no SIP telephone is registered as `admin`, SIPp answers for it.
"""

import secrets
import socket
from contextlib import ExitStack, suppress
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import Self

from agi_gate.settings import GateSettings
from compliance.listening import CannotListen
from lab.asterisk import Asterisk
from lab.line import Line
from lab.process import Process
from lab.sipp import Trunk

SIP_BIND = "127.0.0.1:5060"
"""Default address at which a SIP telephone can register."""

TELEPHONE = "admin"
"""SIP user of the telephone: the name of the site's first user."""

# Asterisk rings the first AOR that has a contact: a registered telephone if there is one, otherwise SIPp. Unlike the
# other endpoints, this one has a password, so it may be used from other machines.
SIP = """
[telephones]
type=transport
protocol=udp
bind={bind}

[{user}](+)
transport=telephones
permit=0.0.0.0/0.0.0.0
auth={user}
aors={user},telephone
rewrite_contact=yes
rtp_symmetric=yes
force_rport=yes

[{user}]
type=auth
auth_type=userpass
username={user}
password={password}

[{user}]
type=aor
max_contacts=1
remove_existing=yes
"""


class DemoPbx:
    """Asterisk, the trunk and the answering telephone, with their files in `data_dir/pbx`.

    A SIP telephone can register at `sip_bind`, HOST:PORT. Raises CannotListen if that address cannot be used.
    """

    def __init__(self, data_dir: Path, sip_bind: str = SIP_BIND) -> None:
        self.sip_bind = _usable(sip_bind)
        directory = data_dir.resolve() / "pbx"
        self.password = _kept_password(directory / "telephone.secret")
        host, _, port = GateSettings.load().agi_bind.rpartition(":")
        self.asterisk = Asterisk(
            directory,
            {"DNC_GATE": f"{socket.gethostbyname(host)}:{port}"},
            sip=SIP.format(bind=sip_bind, user=TELEPHONE, password=self.password),
        )
        self.line = Line(self.asterisk, directory, "talk")
        self._telephone = Trunk(directory / "telephone", self.asterisk.agent_port, "talk")
        self._ending = ExitStack()

    @property
    def environment(self) -> dict[str, str]:
        """The settings that connect site and worker to this PBX."""
        return {
            "DNC_AMI_ADDRESS": f"127.0.0.1:{self.asterisk.ami_port}",
            "DNC_AMI_USER": self.asterisk.ami_user,
            "DNC_AMI_SECRET": self.asterisk.ami_secret,
            "DNC_AGENT_CHANNEL": "PJSIP/{agent}",
            "DNC_CALL_CONTEXT": "dnc-click-to-call",
            "DNC_TRUNK_CHANNELS": "PJSIP/trunk-*",
            "DNC_CDR_FILE": str(self.asterisk.cdr_file),
            "DNC_HANG_UP_ON_REVOCATION": "true",
        }

    @property
    def processes(self) -> dict[str, Process]:
        """The running programs, by name."""
        running = {
            "asterisk": self.asterisk.process,
            "trunk": self.line.trunk.process,
            "telephone": self._telephone.process,
        }
        return {name: process for name, process in running.items() if process is not None}

    def said(self) -> str:
        """Return how to register a telephone, for the person at the terminal."""
        host, _, port = self.sip_bind.rpartition(":")
        elsewhere = "" if host == "127.0.0.1" else ", from other machines too"
        return (
            f"Telephone  register a SIP telephone (UDP){elsewhere}: server {host}, port {port}, user {TELEPHONE}, "
            f"password {self.password}\n           Until one is registered, a simulated telephone answers for it. "
            "The person who is called hangs up after 20 s."
        )

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for part in (self.asterisk, self.line, self._telephone):
                starting.enter_context(part)
            self._ending = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()


def _usable(bind: str) -> str:
    """Return `bind` unchanged. Raises CannotListen unless it is a free UDP port of an IPv4 address of this machine."""
    host, _, port = bind.rpartition(":")
    try:
        IPv4Address(host)
        _probe(host, int(port))
    except (AddressValueError, ValueError, OverflowError):
        raise CannotListen(f"--sip: write an IPv4 address and a port, such as {SIP_BIND}, not {bind!r}") from None
    except OSError as error:
        free = _free_port(host, int(port))
        advice = f"; --sip {host}:{free} is free" if free else "; write an address of this machine"
        raise CannotListen(f"--sip: cannot listen on {bind}: {error.strerror}{advice}") from None
    return bind


def _probe(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((host, port))


def _free_port(host: str, taken: int) -> int | None:
    for port in range(taken + 1, min(taken + 100, 65535) + 1):
        with suppress(OSError):
            _probe(host, port)
            return port
    return None


def _kept_password(file: Path) -> str:
    """Return the password of the telephone, which is made at the first start and kept."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(9))
    return file.read_text().strip()
