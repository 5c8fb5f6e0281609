"""A clock that is set, forward or back, misleads nobody: its time goes on, and nothing is deleted or ended by it."""

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from admin_web.record.steady_clock import BELIEVED_S, DIFFERS, STEPPED, UNKNOWN, SteadyClock

NOW = 1_790_000_000.0
AGREEING = {"Redis": 0.0, "the database": 0.1}


class Machine:
    """The two clocks of a machine, which a test sets."""

    def __init__(self) -> None:
        self.wall, self.steady = NOW, 5_000.0
        self.clock = SteadyClock(lambda: self.wall, lambda: self.steady)

    def run(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    @property
    def now(self) -> float:
        return self.clock.now().timestamp()


@pytest.fixture
def machine() -> Machine:
    machine = Machine()
    machine.clock.compare(AGREEING)
    return machine


def test_a_clock_is_in_doubt_until_it_was_compared_once():
    clock = Machine().clock
    assert (clock.doubt, clock.right) == (UNKNOWN, False)
    clock.compare({})
    assert (clock.doubt, clock.right) == (UNKNOWN, False)
    clock.compare(AGREEING)
    assert (clock.doubt, clock.right) == ("", True)
    assert clock.now() == datetime.fromtimestamp(NOW, UTC)


@pytest.mark.parametrize("step_s", [172_800.0, 2.1, -2.1, -3600.0])
def test_the_time_goes_on_as_if_the_clock_had_not_been_set(machine: Machine, step_s: float):
    machine.run(10)
    machine.wall += step_s
    assert machine.now == NOW + 10
    assert not machine.clock.right  # At once, before the next comparison.
    machine.clock.compare({"Redis": -step_s})
    machine.run(5)
    assert machine.now == NOW + 15
    assert machine.clock.doubt == STEPPED
    machine.wall -= step_s
    machine.clock.compare(AGREEING)
    assert machine.clock.right
    assert machine.now == NOW + 15


@pytest.mark.parametrize("step_s", [1.9, -1.9])
def test_a_small_correction_is_followed_and_many_of_them_too(machine: Machine, step_s: float):
    for _ in range(5):
        machine.wall += step_s
        machine.clock.compare(AGREEING)
        assert machine.clock.right
    assert machine.now == NOW + 5 * step_s


@pytest.mark.parametrize("off_s", [2.1, -2.1, 172_800.0])
def test_a_clock_that_is_not_that_of_redis_or_of_the_database_is_not_trusted(machine: Machine, off_s: float):
    for others in ({"Redis": off_s}, {"Redis": 0.0, "the database": off_s}):
        machine.clock.compare(others)
        assert machine.clock.doubt == DIFFERS
        machine.clock.compare(AGREEING)
        assert machine.clock.right


def test_while_nobody_answers_a_clock_that_was_not_set_stays_trusted(machine: Machine):
    machine.run(3600)
    machine.clock.compare({})
    assert machine.clock.right
    machine.wall += 60
    machine.clock.compare({})
    assert machine.clock.doubt == STEPPED


def test_a_step_that_all_clocks_share_counts_as_a_correction_only_after_a_while(machine: Machine):
    machine.wall += 7200
    machine.clock.compare(AGREEING)
    machine.run(BELIEVED_S - 1)
    machine.clock.compare(AGREEING)
    assert machine.clock.doubt == STEPPED
    machine.clock.compare({"Redis": 9.0})  # They no longer agree, so the time begins again.
    machine.run(2)
    machine.clock.compare(AGREEING)
    assert machine.clock.doubt == STEPPED
    machine.run(BELIEVED_S)
    machine.clock.compare(AGREEING)
    assert machine.clock.right
    assert machine.now == machine.wall


def test_each_step_must_be_shared_for_a_while_of_its_own(machine: Machine):
    machine.wall += 7200
    machine.clock.compare(AGREEING)
    machine.run(BELIEVED_S - 1)
    machine.wall += 3600
    machine.clock.compare(AGREEING)
    machine.run(2)
    machine.clock.compare(AGREEING)
    assert machine.clock.doubt == STEPPED
    machine.run(BELIEVED_S)
    machine.clock.compare(AGREEING)
    assert machine.clock.right


def test_a_step_that_comes_back_must_be_shared_for_a_while_again(machine: Machine):
    machine.wall += 7200
    machine.clock.compare(AGREEING)
    machine.wall -= 7200
    machine.clock.compare({"Redis": 7200.0})
    assert machine.clock.doubt == DIFFERS
    machine.run(BELIEVED_S)
    machine.wall += 7200
    machine.clock.compare(AGREEING)
    assert machine.clock.doubt == STEPPED


def test_a_step_is_logged_once_and_so_is_its_end(machine: Machine):
    with capture_logs() as logs:
        machine.wall += 172_800
        for _ in range(3):
            machine.run(1)
            machine.clock.compare({"Redis": -172_800.0})
        machine.wall -= 172_800
        for _ in range(3):
            machine.clock.compare(AGREEING)
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [
        ("error", "clock cannot be trusted"), ("warning", "clock can be trusted again"),
    ]  # fmt: skip
    assert logs[0]["why"] == "This machine's clock was set forward by 172,800 s."
