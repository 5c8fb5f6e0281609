"""The request of the PBX, independent of the wire protocol."""

from typing import NamedTuple


class Request(NamedTuple):
    """The script of the AGI URL, the arguments, the channel's unique id, and the address that sent them.

    The unique id is empty if it was unsafe.
    """

    script: str
    arguments: tuple[str, ...]
    channel: str
    peer: str = ""
