"""Asterisk's side of FastAGI on a real socket, and a real gate process to connect to."""

import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

from agi_gate.canary import Answer, header, read_line
from lab.process import Process, free_port
from tests.support.programs import Program


class Pbx:
    """One AGI connection. Reads time out after `timeout_s` seconds."""

    def __init__(self, port: int, timeout_s: float = 20.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout_s)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> bytes:
        """Return everything that arrives until the gate closes or resets the connection."""
        said = b""
        try:
            while data := self.socket.recv(65536):
                said += data
        except ConnectionResetError:
            pass
        return said

    def line(self) -> bytes:
        """Return one line with its newline; less if the connection closes before that."""
        said = b""
        while not said.endswith(b"\n") and (data := self.socket.recv(1)):
            said += data
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def screen(port: int, dialed: str, lead: str = "", channel: str = "pbx-1.1") -> Answer:
    """Request one verdict as Asterisk does, and return the answer."""
    with Pbx(port) as pbx:
        pbx.send(header(dialed, lead, channel))
        line = pbx.line()
        pbx.send(b"200 result=0\n")
        assert pbx.read() == b"", "the gate must close after the reply and send nothing more"
    return Answer(channel, read_line(line))


class GateProcess:
    """A real `agi-gate serve` process. It can be used when it accepts calls, unless `waiting` is set."""

    def __init__(
        self, directory: Path, redis_url: str, processes: int = 1, *, waiting: bool = False, **settings: str
    ) -> None:
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
        self.process = self.begin(words, directory / "gate.log", environment)
        self.process.wait_until(lambda: self.get("/healthz")[0] == 200)
        if not waiting:
            self.process.wait_until(lambda: self.metric("dnc_gate_processes") == processes)

    def begin(self, words: list[str], log: Path, environment: dict[str, str]) -> Process:
        return Program("agi_gate", words, log, environment)

    def get(self, path: str) -> tuple[int, str]:
        """Request a path of the metrics port; return status and text. The status is 0 when nothing answers."""
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
        """Return the value of one line of `/metrics`; `name` includes the labels. 0 if the line is missing."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def screen(self, dialed: str, lead: str = "", channel: str = "pbx-1.1") -> Answer:
        return screen(self.port, dialed, lead, channel)

    def until(self, reason: str, dialed: str, lead: str = "", within_s: float = 30.0) -> Answer:
        """Repeat a request until the answer has this reason, and return the answer."""
        deadline = time.monotonic() + within_s
        while (answer := self.screen(dialed, lead)).reason != reason:
            assert time.monotonic() < deadline, f"still {answer.reason}, not {reason}"
            time.sleep(0.02)
        return answer

    def memory_bytes(self) -> int:
        """Return the resident memory of the serving process in bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * 4096

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()
