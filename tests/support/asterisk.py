"""Asterisk's side of FastAGI on a real socket, well-behaved or not; and a real gate process to speak to."""

import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

from agi_gate.canary import Answer, header, read_line
from lab.process import free_port
from tests.support.programs import Program


class Pbx:
    """One AGI connection. Reads give up after `timeout_s`."""

    def __init__(self, port: int, timeout_s: float = 20.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout_s)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> bytes:
        """Everything until the gate closes or resets the connection."""
        said = b""
        try:
            while data := self.socket.recv(65536):
                said += data
        except ConnectionResetError:
            pass
        return said

    def line(self) -> bytes:
        """One line, newline included; what came when the connection closed before it."""
        said = b""
        while not said.endswith(b"\n") and (data := self.socket.recv(1)):
            said += data
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def screen(port: int, dialed: str, lead: str = "", channel: str = "pbx-1.1") -> Answer:
    """Ask for one verdict as Asterisk does."""
    with Pbx(port) as pbx:
        pbx.send(header(dialed, lead, channel))
        line = pbx.line()
        pbx.send(b"200 result=0\n")
        assert pbx.read() == b"", "the gate closes after the reply, and says nothing more"
    return Answer(channel, read_line(line))


class GateProcess:
    """A real `agi-gate serve`."""

    def __init__(self, directory: Path, redis_url: str, processes: int = 1, **settings: str) -> None:
        self.port, self.http = free_port(), free_port()
        environment = {
            "DNC_REDIS_URL": redis_url,
            "DNC_AGI_BIND": f"127.0.0.1:{self.port}",
            "DNC_METRICS_BIND": f"127.0.0.1:{self.http}",
            "DNC_DATA_DIR": str(directory),
            **settings,
        }
        words = ["serve", "--processes", str(processes)]
        directory.mkdir(parents=True, exist_ok=True)
        self.process = Program("agi_gate", words, directory / "gate.log", environment)
        self.process.wait_until(lambda: self.get("/healthz")[0] == 200)

    def get(self, path: str) -> tuple[int, str]:
        """Ask the second port; status 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def until_ready(self, within_s: float = 60.0) -> Self:
        self.process.wait_until(lambda: self.get("/readyz")[0] == 200, within_s=within_s)
        return self

    def metric(self, name: str) -> float:
        """The value of one line of `/metrics`, labels included in the name; 0 when it is not there."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def screen(self, dialed: str, lead: str = "", channel: str = "pbx-1.1") -> Answer:
        return screen(self.port, dialed, lead, channel)

    def until(self, reason: str, dialed: str, lead: str = "", within_s: float = 30.0) -> Answer:
        """Ask again until the answer has this reason."""
        deadline = time.monotonic() + within_s
        while (answer := self.screen(dialed, lead)).reason != reason:
            assert time.monotonic() < deadline, f"still {answer.reason}, not {reason}"
            time.sleep(0.02)
        return answer

    def memory_bytes(self) -> int:
        """Resident memory of the serving process."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * 4096

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()
