"""What happened to a server of Redis: a restart, a failover or a move of slots is each called by its name."""

import pytest

from admin_web.projection.incarnation import (
    DIFFERED,
    FAILED_OVER,
    RESTARTED,
    SLOTS_MOVED,
    had_other_slots,
    of_no_server,
    what_happened,
)


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


@pytest.mark.parametrize("server", ["run-1", "run-1.4", "run-1.4.ab"])
def test_a_projection_that_differs_belongs_to_no_server_and_to_the_same_slots(server: str):
    withdrawn = of_no_server(server)
    assert withdrawn != server
    assert what_happened(withdrawn, server) == DIFFERED
    assert not had_other_slots(withdrawn, server)
    assert of_no_server(withdrawn) == withdrawn
