"""The summary counts what a history holds, and several of them add up."""

from dataclasses import replace

from tests.faults.harness.checking.collected import collect
from tests.faults.harness.checking.stories import FREE, NUMBER, Story, dropped, edited, ns
from tests.faults.harness.history import Recorded, Run, Verified
from tests.faults.harness.summary import KindOfFault, Summary, markdown, summarize, total


def told() -> Story:
    """Return a run with an outage of 0.8 s after a kill, and one of 0.3 s after a flush."""
    story = Story()
    story.change("list", 0)
    story.block(10, NUMBER)
    for at in range(0, 10_000, 100):
        stopped = 1000 <= at < 1800 or 5000 <= at < 5300
        story.call(at, "BLOCK store-unavailable" if stopped else "ALLOW not-listed", FREE, took=0)
    story.call(9999, "", FREE)
    story.fault(1000, 500, 3, kind="redis-kill")
    story.fault(5000, 1, 3, kind="flushall", loses_from=ns(4500))
    return story


def of(story: Story) -> Summary:
    return summarize(collect(story.events()), story.violations())


def test_one_run_is_counted():
    summary = of(told())
    assert summary.runs == (told().run,)
    assert (summary.calls, summary.changes, summary.unanswered) == (102, 1, 1)
    assert summary.wrongly_blocked == 12
    assert summary.allowed == 102 - 12 - 1
    assert summary.faults == {"flushall": KindOfFault(1, 0.3, 3), "redis-kill": KindOfFault(1, 0.8, 3)}
    assert not summary.violations


def test_lost_records_are_counted_apart():
    story = told()
    events = dropped(Recorded)(story.events())
    summary = summarize(collect(events), story.violations(dropped(Recorded)))
    assert summary.lost_with_redis == len([call for call in story.calls if ns(4500) <= call.invoked <= ns(5001)])
    assert summary.lost_blocks == 1 + 8 + 2
    assert summary.violations["allow-without-record"] > 0


def test_violations_are_counted_by_rule():
    story = told()
    edit = edited(Verified, code=1)
    assert summarize(collect(edit(story.events())), story.violations(edit)).violations == {"drift": 1}


def test_the_outages_of_a_pair_belong_to_both_faults():
    story = told()
    story.faults[0] = replace(story.faults[0], pair="p")
    story.fault(990, 400, 1, kind="worker-pause", pair="p")
    faults = of(story).faults
    assert faults["worker-pause"] == KindOfFault(1, 0.8, 1)
    assert faults["redis-kill"] == KindOfFault(1, 0.8, 3)


def test_an_outage_belongs_to_the_last_fault_before_it():
    story = told()
    story.fault(500, 400, 10, kind="worker-pause")
    faults = of(story).faults
    assert faults["worker-pause"] == KindOfFault(1, 0.0, 10)
    assert faults["redis-kill"] == KindOfFault(1, 0.8, 3)


def test_an_outage_is_shorter_by_the_time_in_which_the_harness_stood_still():
    story = told()
    story.stall(1100, 300)
    assert of(story).faults["redis-kill"] == KindOfFault(1, 0.5, 3)


def test_several_runs_add_up():
    one, other = told(), told()
    other.run = Run("postgres", 2, "", 0, 0, 100, 50)
    other.fault(9000, 1, 30, kind="redis-kill")
    both = total([of(one), of(other)])
    assert both.runs == (one.run, other.run)
    assert (both.calls, both.number_of_faults, both.wrongly_blocked) == (204, 5, 24)
    assert both.faults["redis-kill"] == KindOfFault(3, 0.8, 30)


def test_the_table_has_a_row_for_each_run_their_sum_and_each_kind_of_fault():
    lines = list(markdown([of(told()), of(told())]))
    assert lines[2] == "| sqlite | 0.2 | 102 | 2 | 1 | 12 | 0 | 0 | 1 | `python -m x` |"
    assert lines[4] == "| **all** | 0.3 | 204 | 4 | 2 | 24 | 0 | 0 |  |  |"
    assert "| redis-kill | 2 | 0.8 s | 3 s after its end |" in lines


def test_the_table_names_the_rules_that_were_broken():
    story = told()
    edit = edited(Verified, code=1)
    lines = list(markdown([summarize(collect(edit(story.events())), story.violations(edit))]))
    assert lines[-1] == "drift: 1 violations"


def test_a_history_that_does_not_name_its_run_has_a_row():
    events = dropped(Run)(told().events())
    assert list(markdown([summarize(collect(events), [])]))[2] == "|  | 0.0 | 102 | 2 | 1 | 12 | 0 | 0 | 0 | `` |"


def test_no_run_at_all_adds_up_to_nothing():
    assert total([]).calls == 0
