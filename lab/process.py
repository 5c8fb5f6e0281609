"""Start programs, signal and end them by their process ids, and reserve ports for them."""

import fcntl
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import IO, Protocol, Self

STOP_S = 30.0
"""Maximum seconds for the end of a program after SIGTERM. A gate may take nine, and more on a busy machine."""

REAP_S = 10.0
"""Maximum wait in seconds for the exit code of a process that has ended."""

PORTS = range(10_240, 20_240)
"""TCP ports for the lab's programs.

They are below 32768, where the ports of outgoing connections begin, because an outgoing connection could occupy a port
before its program does. A Redis Cluster node also listens on its port plus 10,000. Those ports are below 32768 too, and
none of them is in `PORTS`.
"""

UDP_PORTS = range(30_240, 32_740)
"""UDP ports, below those of outgoing packets and above those of media (`rtpend` in `pbx/asterisk/rtp.conf`)."""

_IN_TURN = {
    kind: cycle(random.sample(ports, len(ports)))
    for kind, ports in ((socket.SOCK_STREAM, PORTS), (socket.SOCK_DGRAM, UDP_PORTS))
}
"""All ports in random order. A port is reused only after all others, because its first user may not have opened it yet.
"""


class Begun(Protocol):
    """The methods of `subprocess.Popen` that `Process` needs."""

    @property
    def args(self) -> object:
        """The command line."""

    @property
    def pid(self) -> int:
        """The process id."""

    def poll(self) -> int | None:
        """Return the exit code; None while the program runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code and return it. Raises subprocess.TimeoutExpired."""

    def send_signal(self, number: signal.Signals, /) -> None:
        """Send a signal, if the program still runs."""


class NotInstalled(Exception):
    """A program that the lab needs is not installed. The message says what to install."""


class NotStarted(Exception):
    """A started program did not become ready. The message says why in one line."""


def _bound_to_this_process() -> list[str]:
    """Return a command prefix with which the kernel sends SIGTERM to the program when this process dies in any way."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


class Process:
    """A running program whose output goes to `log`."""

    _descriptors: Sequence[int] = ()
    """Descriptors that the program inherits besides its streams."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self._popen = self._begin([str(word) for word in command], output, env, cwd)

    def _begin(self, words: Sequence[str], output: IO[bytes], env: Mapping[str, str] | None, cwd: Path | None) -> Begun:
        return subprocess.Popen(  # noqa: S603 - the lab's own commands
            [*_bound_to_this_process(), *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env} if env is not None else None,
            cwd=cwd,
            pass_fds=self._descriptors,
            process_group=0,  # Ctrl-C must reach only this process, which then stops its programs in order.
        )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while the program runs."""
        return self._popen.poll()

    def wait_until(self, ready: Callable[[], bool], *, within_s: float = 30.0, every_s: float = 0.01) -> None:
        """Wait until `ready()` is true. Raises NotStarted when the program ends first or `within_s` seconds pass."""
        deadline = time.monotonic() + within_s
        while not ready():
            if self.exit_code is not None or time.monotonic() > deadline:
                raise self._not_started(within_s)
            time.sleep(every_s)

    def _not_started(self, within_s: float) -> NotStarted:
        """Return the exception. Its message is one line. Its note, which test reports show, is the end of the log."""
        code = self.exit_code
        what = f"ended with code {code}" if code is not None else f"is not ready after {within_s:.0f} s"
        error = NotStarted(f"{self.log.stem} {what}: {self.last_line()}")
        error.add_note(self.log_end())
        return error

    def last_line(self) -> str:
        """Return the last line of the log that has text, and the path of the log."""
        lines = [line for line in self.log_end().splitlines() if line.strip()]
        return f"{lines[-1] if lines else 'it logged nothing'} (log: {self.log})"

    def log_end(self, characters: int = 2000) -> str:
        """Return the last `characters` characters of the log."""
        return self.log.read_text(errors="replace")[-characters:]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program if it is still running."""
        if self.exit_code is None:
            self._popen.send_signal(number)

    def pause(self) -> None:
        """Suspend the program (SIGSTOP), and wait until all its threads have stopped."""
        self.signal(signal.SIGSTOP)
        deadline = time.monotonic() + STOP_S
        while _is_running(self.pid) and time.monotonic() < deadline:
            time.sleep(0.001)

    def resume(self) -> None:
        """Resume a paused program (SIGCONT)."""
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill the program (SIGKILL), as a crash would, and wait until it has ended."""
        self.signal(signal.SIGKILL)
        self.wait()

    def wait(self, within_s: float = STOP_S) -> int:
        """Wait until the program has ended, and return its exit code. Raises subprocess.TimeoutExpired."""
        _until_ended(self.pid, within_s)
        return self._popen.wait(REAP_S)

    def stop(self) -> int:
        """Terminate the program (SIGTERM), kill it after `STOP_S` seconds, and return its exit code."""
        self.resume()
        self.signal(signal.SIGTERM)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _until_ended(pid: int, within_s: float) -> None:
    """Wait until a process has ended, at most `within_s` seconds. Unlike `Popen.wait`, this does not poll."""
    with suppress(ProcessLookupError), os.fdopen(os.pidfd_open(pid), "rb", buffering=0) as handle:
        events = select.poll()
        events.register(handle, select.POLLIN)
        events.poll(within_s * 1000)


def _is_running(pid: int) -> bool:
    """Return whether any thread of a process is neither stopped nor dead (proc(5), stat)."""
    with suppress(FileNotFoundError, ProcessLookupError):
        states = [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in _tasks(pid)]
        return not {*states} <= {"T", "t", "Z", "X"}
    return False


def _tasks(pid: int) -> Iterator[Path]:
    return Path(f"/proc/{pid}/task").iterdir()


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Reserve a free port on loopback and return it: one of `PORTS`, or of `UDP_PORTS` if `kind` is `SOCK_DGRAM`.

    As long as this process lives, `free_port` does not return the port to any other process of the same user.
    """
    while True:
        port = next(_IN_TURN[kind])
        with socket.socket(socket.AF_INET, kind) as probe, suppress(OSError):
            fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            probe.bind(("127.0.0.1", port))
            return port


@cache
def _reservations() -> int:
    """Open the file of reservations and return its descriptor. The process that reserved port N locks byte N.

    The kernel releases these locks (fcntl(2), F_SETLK) when the process ends. A forked child does not inherit them.
    """
    path = Path(tempfile.gettempdir()) / f"dnc-gate-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def accepts(address: tuple[str, int] | str) -> bool:
    """Return whether something listens on a TCP address or a unix socket path."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(1)
        return probe.connect_ex(address) == 0
