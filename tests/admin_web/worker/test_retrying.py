"""A rebuild that failed is tried again at once, and later and later only while it fails in the same way."""

import pytest

from admin_web.projection.rebuild_outcome import BuildLost, CountsDiffer, SuspiciousDrop
from admin_web.worker.retrying import REFUSED_S, REPEATED_S, Retrying


class Clock:
    at = 100.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


def waits(retrying: Retrying, clock: Clock, error: Exception) -> float:
    """Note a failure, and return the seconds until the next attempt, after which the clock stands there."""
    retrying.failed(error)
    began = clock.at
    while not retrying.is_due:
        clock.at = round(clock.at + 0.1, 1)
    return round(clock.at - began, 1)


def test_the_same_failure_is_waited_for_longer_each_time_and_never_for_more_than_the_longest(clock: Clock):
    retrying = Retrying(clock)
    assert retrying.is_due
    waited = [waits(retrying, clock, BuildLost("Redis was emptied")) for _ in range(len(REPEATED_S) + 2)]
    assert waited == [*REPEATED_S, *[REPEATED_S[-1]] * 2]


def test_another_failure_and_one_after_a_success_are_tried_again_at_once(clock: Clock):
    retrying = Retrying(clock)
    assert [waits(retrying, clock, error) for error in (BuildLost("x"), BuildLost("y"), CountsDiffer("z"))] == [
        0,
        0.2,
        0,
    ]
    retrying.succeeded()
    assert waits(retrying, clock, CountsDiffer("z")) == 0


def test_what_only_a_person_can_change_is_tried_again_after_a_minute(clock: Clock):
    assert waits(Retrying(clock), clock, SuspiciousDrop("internal", 1000, 1)) == REFUSED_S
