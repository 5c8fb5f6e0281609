"""The request of the PBX, independent of the protocol that carried it."""

from typing import NamedTuple


class Request(NamedTuple):
    """The script of the AGI URL, the arguments, and the unique id of the channel; that is empty if it is not safe."""

    script: str
    arguments: tuple[str, ...]
    channel: str
