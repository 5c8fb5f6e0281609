"""One started program: ended by its own process id, and by nothing else."""

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

STOP_S = 10.0
TOLD_S = 10.0
"""How soon the exit code of a process that has ended is told."""

PORTS = range(10_240, 20_240)
"""Below those that outgoing connections take, which could take it first; so are those ten thousand higher, on which the
nodes of a Redis Cluster speak to one another: none of them is among these."""

_IN_TURN = cycle(random.sample(PORTS, len(PORTS)))
"""A process gets no port twice before it has had all of them: the first to ask may not have opened its own yet."""


class Begun(Protocol):
    """What is needed of a `subprocess.Popen`."""

    @property
    def args(self) -> object:
        """What was begun."""

    @property
    def pid(self) -> int:
        """The process id."""

    def poll(self) -> int | None:
        """Give the exit code; None while the program runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code. Raises subprocess.TimeoutExpired."""

    def send_signal(self, number: signal.Signals, /) -> None:
        """Send a signal, if the program still runs."""


class NotInstalled(Exception):
    """A program that the lab needs is not on this machine; the message names the package that has it."""


class NotStarted(Exception):
    """A program was started and did not come up; the message carries the end of its log."""


def _bound_to_this_process() -> list[str]:
    """Give the words in front of a command that end it with SIGTERM when this process dies, however it dies."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


class Process:
    """A running program whose output goes to `log`."""

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
            process_group=0,  # Ctrl-C is for this process, which then ends the others in their order.
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
        """Return as soon as `ready()`. Raises NotStarted when the program ends first, or the time runs out."""
        deadline = time.monotonic() + within_s
        while not ready():
            if self.exit_code is not None or time.monotonic() > deadline:
                raise NotStarted(f"{self._popen.args!r}: not ready; its log ends:\n{self.log_end()}")
            time.sleep(every_s)

    def log_end(self, characters: int = 2000) -> str:
        """Give the end of what the program has said."""
        return self.log.read_text(errors="replace")[-characters:]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program, if it still runs."""
        if self.exit_code is None:
            self._popen.send_signal(number)

    def pause(self) -> None:
        """Stop the program in its tracks (SIGSTOP), and return when it stands still, which takes its time."""
        self.signal(signal.SIGSTOP)
        deadline = time.monotonic() + STOP_S
        while _moves(self.pid) and time.monotonic() < deadline:
            time.sleep(0.001)

    def resume(self) -> None:
        """Let a paused program go on."""
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the program at once (SIGKILL), as a crash would."""
        self.signal(signal.SIGKILL)
        self.wait()

    def wait(self, within_s: float = STOP_S) -> int:
        """Wait until the program has ended by itself; give its exit code. Raises subprocess.TimeoutExpired."""
        _until_ended(self.pid, within_s)
        return self._popen.wait(TOLD_S)

    def stop(self) -> int:
        """Ask the program to end (SIGTERM), insist after `STOP_S` seconds, and give its exit code."""
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
    """Return as soon as a process has ended, or the time runs out; `Popen.wait` looks every 50 ms."""
    with suppress(ProcessLookupError), os.fdopen(os.pidfd_open(pid), "rb", buffering=0) as handle:
        events = select.poll()
        events.register(handle, select.POLLIN)
        events.poll(within_s * 1000)


def _moves(pid: int) -> bool:
    """Tell whether any thread of a process is neither stopped nor over (proc(5), stat)."""
    with suppress(FileNotFoundError, ProcessLookupError):
        states = [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in _tasks(pid)]
        return not {*states} <= {"T", "t", "Z", "X"}
    return False


def _tasks(pid: int) -> Iterator[Path]:
    return Path(f"/proc/{pid}/task").iterdir()


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Reserve a port of the loopback interface that is free now, TCP unless `kind` is `SOCK_DGRAM`; see `PORTS`.

    No other process of this user is given it as long as this one lives, on whatever it is opened.
    """
    while True:
        port = next(_IN_TURN)
        with socket.socket(socket.AF_INET, kind) as probe, suppress(OSError):
            fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            probe.bind(("127.0.0.1", port))
            return port


@cache
def _reservations() -> int:
    """Open the file in which byte N is locked by the process that port N was given to.

    The kernel gives a process's locks (fcntl(2), F_SETLK) back when it ends, and a fork has none of them.
    """
    path = Path(tempfile.gettempdir()) / f"dnc-gate-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def accepts(address: tuple[str, int] | str) -> bool:
    """Tell whether something listens on a TCP address, or on a unix socket path."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(1)
        return probe.connect_ex(address) == 0
