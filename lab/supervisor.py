"""Programs that get a listening socket from their supervisor, as systemd passes it (sd_listen_fds(3))."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from socket import socket

from lab.process import Process

BECOME = """
import os, sys
os.dup2(int(sys.argv[1]), 3, inheritable=True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "agi"}
os.execv(sys.argv[2], sys.argv[2:])
"""
"""A program that becomes another one, with a socket as descriptor 3. `LISTEN_PID` must name the process itself."""


class SocketActivated(Process):
    """A running program that has got the socket `listener`. The socket stays open when the program ends."""

    def __init__(
        self, listener: socket, command: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self._descriptors = [listener.fileno()]
        super().__init__([sys.executable, "-IS", "-c", BECOME, str(listener.fileno()), *command], log, env)
