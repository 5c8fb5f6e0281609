"""Read an environment slowly, line by line, as the rules of AGI are written: a second reader beside the product's."""

import re
from typing import NamedTuple

_CHANNEL = re.compile(rb"[A-Za-z0-9._-]{1,150}")
_SINGLE = (b"agi_network_script", b"agi_uniqueid")
_READ = {name[4:8] for name in (*_SINGLE, b"agi_arg_1")}


class Heard(NamedTuple):
    """What an environment says. `channel` is empty if it cannot be trusted."""

    script: bytes
    channel: bytes
    arguments: tuple[bytes, ...]


def heard(sent: bytes) -> Heard | None:
    """Read an environment slowly, line by line. Return None if no gate may answer it with ALLOW."""
    header, end, _ = sent.partition(b"\n\n")
    if not end or len(header) > 16_384:
        return None
    fields: dict[bytes, bytes] = {}
    arguments: list[bytes] = []
    for line in header.split(b"\n"):
        if line[:4] != b"agi_" or b":" not in line:
            return None
        if line[4:8] not in _READ:
            continue
        name, _, value = line.partition(b":")
        if line[4:8] == b"arg_":
            arguments.append(value.removeprefix(b" "))
            if name != b"agi_arg_%d" % len(arguments):
                return None
        elif name in _SINGLE:
            if name in fields:
                return None
            fields[name] = value.removeprefix(b" ")
    channel = fields.get(b"agi_uniqueid", b"")
    return Heard(
        fields.get(b"agi_network_script", b""),
        channel if _CHANNEL.fullmatch(channel) else b"",
        tuple(arguments),
    )
