"""A client for the console socket of Asterisk. It does what `asterisk -rx` does, without starting a program."""

import socket
from pathlib import Path

ASK_AND_LEAVE = b"cli quit after "
"""Prefix of a command. It makes Asterisk close the connection after its answer (main/asterisk.c, `netconsole`)."""


class NoConsole(Exception):
    """Nothing answers on the console socket."""


def ask(path: Path, command: str, timeout_s: float = 10.0) -> str:
    """Run one console command and return its output. Raises NoConsole."""
    try:
        with socket.socket(socket.AF_UNIX) as console:
            console.settimeout(timeout_s)
            console.connect(str(path))
            banner = console.recv(512)
            console.sendall(ASK_AND_LEAVE + command.encode() + b"\0")
            said = b"".join(iter(lambda: console.recv(65536), b""))
    except OSError as error:
        raise NoConsole(f"{path}: {error}") from error
    _, _, rest = (banner + said).partition(b"\n")
    return "\n".join(line for line in rest.decode(errors="replace").split("\n") if not line.startswith("\0"))
