"""What happened to a server of Redis: a restart, a failover or a move of slots is each called by its name."""

import pytest

from admin_web.projection.incarnation import FAILED_OVER, RESTARTED, SLOTS_MOVED, had_other_slots, what_happened


@pytest.mark.parametrize(
    ("before", "now", "happened"),
    [
        ("run-1", "run-2", RESTARTED),
        ("run-1.4", "run-2.4", RESTARTED),
        ("run-1.4.ab", "run-2.4.ab", RESTARTED),
        ("run-1.4", "run-2.5", FAILED_OVER),
        ("run-1.4", "run-1.6", FAILED_OVER),
        ("run-1.4.ab", "run-2.5.ab", FAILED_OVER),
        ("run-1.4.ab", "run-1.5.cd", SLOTS_MOVED),
        ("run-1.4.ab", "run-1.4.cd", SLOTS_MOVED),
    ],
)
def test_what_happened_is_called_by_its_name(before: str, now: str, happened: str):
    assert what_happened(before, now) == happened
    assert had_other_slots(before, now) == (happened == SLOTS_MOVED)
