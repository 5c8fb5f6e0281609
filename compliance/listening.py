"""Listening sockets of the programs. If an address cannot be used, one line says what to set instead."""

import errno
import os
import socket

INSTANCE_HEADER = "DNC-Instance"
"""Header in which `/readyz` returns the setting `DNC_INSTANCE`."""

NEARBY = 100
"""Number of ports after a port in use that are tried, to find a free one."""


class CannotListen(Exception):
    """A program cannot listen on an address. The message is one line: setting, address, reason, and what to do."""


def listen(setting: str, bind: str, backlog: int = 128) -> socket.socket:
    """Open a listening socket on `bind`, HOST:PORT, the value of `setting`. Raises CannotListen."""
    host, _, port = bind.rpartition(":")
    try:
        return _listener(host.strip("[]"), int(port), backlog)
    except (OSError, UnicodeError) as error:  # A UnicodeError comes from an impossible host name.
        reason = f"{_why(error)}{_advice(error, setting, bind)}"
        raise CannotListen(f"{setting}: cannot listen on {bind}: {reason}") from None


def _listener(host: str, port: int, backlog: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=backlog)


def _why(error: OSError | UnicodeError) -> str:
    # `create_server` raises a plain OSError with the negative code of a `gaierror`.
    if not isinstance(error, OSError) or (error.errno or 0) < 0:
        return "no address has this name"
    return os.strerror(error.errno or 0)


def _advice(error: OSError | UnicodeError, setting: str, bind: str) -> str:
    if not isinstance(error, OSError):
        return ""
    host, _, port = bind.rpartition(":")
    if error.errno == errno.EADDRINUSE and (free := _free_port(host.strip("[]"), int(port))):
        return f"; {setting}={host}:{free} is free"
    if error.errno == errno.EACCES:
        return "; choose a port from 1024 up, or allow this program the capability CAP_NET_BIND_SERVICE"
    if error.errno == errno.EADDRNOTAVAIL:
        return "; write an address of this machine"
    return ""


def _free_port(host: str, taken: int) -> int | None:
    """Return the first free port after `taken`, or None if there is none among the next `NEARBY`."""
    for port in range(taken + 1, min(taken + NEARBY, 65535) + 1):
        try:
            _listener(host, port, 1).close()
        except OSError:
            continue
        return port
    return None
