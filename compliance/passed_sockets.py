"""Listening sockets that a supervisor such as systemd passes to a program: see sd_listen_fds(3)."""

import os
import re
import socket
from collections.abc import MutableMapping

from compliance.listening import CannotListen

FIRST_FD = 3
"""The first passed descriptor (SD_LISTEN_FDS_START)."""

VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")

UNNAMED = "unknown"
"""The name of a socket if `LISTEN_FDNAMES` is not set (sd_listen_fds_with_names)."""


def passed_sockets(environment: MutableMapping[str, str] = os.environ) -> list[tuple[str, socket.socket]]:
    """Return the passed sockets with their names, in order. Remove the variables, because they are for one process.

    Raises CannotListen.
    """
    pid, count, names, _ = (environment.pop(variable, None) for variable in VARIABLES)
    # A parent that passes its environment on, but not the sockets, leaves variables of another process behind.
    if pid is None or count is None or pid != str(os.getpid()):
        return []
    if not re.fullmatch(r"[0-9]{1,4}", count, re.ASCII):
        raise CannotListen(f"LISTEN_FDS: {count!r} is not a number of sockets")
    named = names.split(":") if names is not None else [UNNAMED] * int(count)
    if len(named) != int(count):
        raise CannotListen(f"LISTEN_FDNAMES: it names {len(named)} sockets, but LISTEN_FDS says {int(count)}")
    return [(name, _listening(FIRST_FD + place, name)) for place, name in enumerate(named)]


def _listening(fd: int, name: str) -> socket.socket:
    """Return the TCP socket behind a descriptor, closed to child processes. Raises CannotListen."""
    try:
        os.set_inheritable(fd, False)
        passed = socket.socket(fileno=fd)
        listens = passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    except OSError as error:
        raise CannotListen(f"LISTEN_FDS: descriptor {fd} ({name}): {error.strerror}") from None
    if not listens or passed.family not in {socket.AF_INET, socket.AF_INET6}:
        passed.close()
        raise CannotListen(f"LISTEN_FDS: descriptor {fd} ({name}) is not a TCP socket that listens")
    passed.setblocking(False)
    return passed


def bind_of(listener: socket.socket) -> str:
    """Return the address of a socket as a setting writes it: HOST:PORT."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
