"""The product's programs, started without the second that importing them would take each time.

What runs is what `python -m` would run, in a process of its own with its own environment and streams, but forked from a
process that has imported the program already (`tests/support/fork_server.py`). This holds only inside `fork_servers()`:
a benchmark starts the program itself, and so do the tests of `scripts/up`.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lab.process import Begun, Process

ROOT = Path(__file__).parent.parent.parent


class Forked:
    """A process that the fork server has forked, with the interface of `subprocess.Popen`."""

    def __init__(self, words: Sequence[str], told: socket.socket) -> None:
        self.args = list(words)
        self.returncode: int | None = None
        said, (self._handle,), *_ = socket.recv_fds(told, 32, 1)
        self.pid, self._told = int(said), told.detach()
        self._hearing = threading.Lock()
        for descriptor in (self._handle, self._told):
            weakref.finalize(self, os.close, descriptor)

    def poll(self) -> int | None:
        """Return the exit code; None while the program runs."""
        return self._hear(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code. Raises subprocess.TimeoutExpired."""
        code = self._hear(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, if the program still runs."""
        try:
            signal.pidfd_send_signal(self._handle, number)
        except ProcessLookupError:
            return

    def _hear(self, within_s: float | None) -> int | None:
        until = None if within_s is None else time.monotonic() + within_s
        events = select.poll()
        events.register(self._told, select.POLLIN)
        while self.returncode is None:
            left = None if until is None else max(0.0, until - time.monotonic())
            # Poll in slices: another thread may read the exit code first.
            events.poll(100 if left is None else min(100, left * 1000))
            with self._hearing:
                if self.returncode is None and events.poll(0):
                    self.returncode = int(os.read(self._told, 32))
            if left == 0:
                break
        return self.returncode


class ForkServer:
    """The process that forks one program."""

    def __init__(self, package: str) -> None:
        self._asking, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._one_at_a_time = threading.Lock()
        with asked:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fork_server", str(asked.fileno()), package],
                cwd=ROOT, pass_fds=[asked.fileno()], process_group=0,
            )  # fmt: skip

    def fork(self, words: Sequence[str], streams: Sequence[int], env: Mapping[str, str], cwd: Path) -> Forked:
        told, telling = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        request = json.dumps({"words": [*words], "env": {**env}, "cwd": str(cwd)}).encode()
        with telling, self._one_at_a_time:
            socket.send_fds(self._asking, [request], [*streams, telling.fileno()])
        return Forked(words, told)

    def close(self) -> None:
        self._asking.close()
        self._process.wait()


_servers: dict[str, ForkServer] | None = None
_filling = threading.Lock()


@contextmanager
def fork_servers() -> Iterator[None]:
    """Fork programs inside this block, instead of starting each anew."""
    global _servers  # noqa: PLW0603 - one for all tests
    _servers = {}
    yield
    servers, _servers = _servers, None
    for server in servers.values():
        server.close()


def _server(package: str) -> ForkServer | None:
    with _filling:
        if _servers is not None and package not in _servers:
            _servers[package] = ForkServer(package)
        return _servers[package] if _servers is not None else None


class Program(Process):
    """A running program of the product. Its output goes to `log`; `env` is added to our own environment."""

    def __init__(self, package: str, words: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        self._server = _server(package)
        super().__init__(words if self._server else [sys.executable, "-m", package, *words], log, env)

    def _begin(self, words: Sequence[str], output: IO[bytes], env: Mapping[str, str] | None, cwd: Path | None) -> Begun:
        if self._server is None:
            return super()._begin(words, output, env, cwd)
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123
            streams = [nothing.fileno(), output.fileno(), output.fileno()]
            return self._server.fork(words, streams, {**os.environ, **(env or {})}, cwd or Path.cwd())


def run(
    package: str, words: Sequence[str], env: Mapping[str, str], said: str = "", within_s: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a program of the product to its end; `said` is its standard input. Raises subprocess.TimeoutExpired."""
    everything, server = {**os.environ, **env}, _server(package)
    if server is None:
        command = [sys.executable, "-m", package, *words]
        return subprocess.run(
            command, env=everything, input=said, capture_output=True, text=True, timeout=within_s, check=False
        )
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        asked.write(said.encode())
        asked.seek(0)
        forked = server.fork(words, [stream.fileno() for stream in (asked, out, err)], everything, Path.cwd())
        try:
            code = forked.wait(within_s)
        except subprocess.TimeoutExpired:
            forked.send_signal(signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(words, code, _text(out), _text(err))


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode()
