"""What has happened to a server of Redis between two incarnations: see `Master.incarnation`."""

from typing import NamedTuple

RESTARTED = "Redis was restarted"
FAILED_OVER = "another server became the master of Redis, or the same one did again,"
SLOTS_MOVED = "slots of the cluster moved to this shard or away from it"
DIFFERED = "Redis was found to differ widely from the database"

_NO_SERVER = "differed"
"""The run id in the incarnation of a projection that differs. No server has it: a run id has 40 hexadecimal digits."""


class _Incarnation(NamedTuple):
    """The id of the process, the epoch of the election that made it the master, and the digest of its slots.

    The epoch is empty for a plain URL, and the digest outside a cluster.
    """

    run_id: str
    epoch: str
    slots: str


def of_no_server(incarnation: str) -> str:
    """Return the incarnation to record for a projection that no server may serve any more.

    It keeps the slots, from which a rebuild sees whether a shard may lose numbers: see `had_other_slots`.
    """
    return ".".join([_NO_SERVER, *incarnation.split(".")[1:]])


def what_happened(before: str, now: str) -> str:
    """Return what makes `now` another incarnation than `before`, as the subject and verb of a sentence."""
    old, new = _read(before), _read(now)
    if old.run_id == _NO_SERVER:
        return DIFFERED
    if old.slots != new.slots:
        return SLOTS_MOVED
    return RESTARTED if old.epoch == new.epoch else FAILED_OVER


def had_other_slots(before: str, now: str) -> bool:
    """Return whether a shard has other slots in the incarnation `now` than in `before`."""
    return _read(before).slots != _read(now).slots


def _read(incarnation: str) -> _Incarnation:
    run_id, _, reign = incarnation.partition(".")
    epoch, _, slots = reign.partition(".")
    return _Incarnation(run_id, epoch, slots)
