"""What the PBX asks of the gate, whatever it came by."""

from typing import NamedTuple


class Request(NamedTuple):
    """What the PBX asks: the script of the AGI URL, its arguments, and the channel's unique id ("" if untrusted)."""

    script: str
    arguments: tuple[str, ...]
    channel: str
