"""Listening sockets of the programs. If an address cannot be used, one line says what to set instead."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

INSTANCE_HEADER = "DNC-Instance"
"""Header in which `/readyz` returns the setting `DNC_INSTANCE`."""

NEARBY = 100
"""Number of ports after a port in use that are tried, to find a free one."""


class CannotListen(Exception):
    """A program cannot listen on an address. The message is one line: setting, address, reason, and what to do."""


def listen(setting: str, bind: str, backlog: int = 128) -> socket.socket:
    """Open a listening socket on `bind`, HOST:PORT, the value of `setting`. Raises CannotListen."""
    reserved = reserve(setting, bind)
    try:
        start_to_listen(setting, bind, reserved, backlog)
    except CannotListen:
        reserved.close()
        raise
    return reserved


def reserve(setting: str, bind: str) -> socket.socket:
    """Open a socket on `bind` that does not listen yet. The kernel refuses connections until it does.

    Raises CannotListen.
    """
    host, _, port = bind.rpartition(":")
    with _explained(setting, bind):
        return _bound(host.strip("[]"), int(port))


def start_to_listen(setting: str, bind: str, reserved: socket.socket, backlog: int) -> None:
    """Let the kernel accept connections on a socket of `reserve`. Raises CannotListen."""
    # Two sockets that do not listen may have the same port, with SO_REUSEADDR (socket(7)). The second one fails here.
    with _explained(setting, bind):
        reserved.listen(backlog)


@contextmanager
def _explained(setting: str, bind: str) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeError) as error:  # A UnicodeError comes from an impossible host name.
        reason = f"{_why(error)}{_advice(error, setting, bind)}"
        raise CannotListen(f"{setting}: cannot listen on {bind}: {reason}") from None


def _bound(host: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        # As `socket.create_server` does: connections in TIME_WAIT must not keep a restarted program from its port.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if made.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((host, port))
    except BaseException:
        made.close()
        raise
    return made


def _why(error: OSError | UnicodeError) -> str:
    if not isinstance(error, OSError) or isinstance(error, socket.gaierror):
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
            with _bound(host, port) as probe:
                probe.listen(1)
        except OSError:
            continue
        return port
    return None
