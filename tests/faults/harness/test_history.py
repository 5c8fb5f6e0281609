"""A history is written and read again without a change, and a broken file is refused."""

from pathlib import Path

import pytest

from tests.faults.harness.history import (
    Audited,
    Call,
    Change,
    Entry,
    Event,
    Fault,
    Left,
    Lost,
    OverrideRow,
    Recorded,
    Recorder,
    Rested,
    Run,
    Stalled,
    UnreadableHistory,
    Verified,
    line,
    parsed,
    read,
)

ONE_OF_EACH: tuple[Event, ...] = (
    Run("postgres", 7, "b83cdcd", 10, 1_700_000_000_000, 500, 100, 10_000, "python -m x"),
    Call("+14155550100", "L-1", "gate-1", "1700000000.1", 20, 1_700_000_000_001, 30, "ALLOW", "not-listed", "d1"),
    Call("+14155550101", "", "gate-2", "1700000000.2", 21, 1_700_000_000_001),
    Change("list", "api", ("+14155550100",), "", 40, 50, "in-force", 201, "{}", "12", ended=("7", "8")),
    Change("import", "command", ("+14155550102", "+14155550103"), "", 41, None, "unknown", None, "käse\n", "", 0),
    Change("grant", "site", ("+14155550100",), "L-1", 42, 43, "recorded", 202, "", "ov1", 1_700_000_060_000),
    Fault("redis-kill", "redis", "", 60, 70, 10.5),
    Fault("redis-flushall", "redis", "p1", 61, None, 20.0, 55, True),
    Stalled(71, 79),
    Rested(80),
    Recorded("d1", "+14155550100", "L-1", "ALLOW", "not-listed", "gate-1", "1700000000.1", 1_700_000_000_002),
    Audited(1, "entry.added", "12", 1_700_000_000_003),
    Entry("12", "+14155550100", "internal", "api", 1_700_000_000_003, 0),
    OverrideRow("ov1", "+14155550100", "L-1", 1_700_000_000_004, 1_700_000_060_000, 0),
    Left("dnc:decisions", 0),
    Lost("gate-1", 3),
    Verified(90, 0, "in step"),
)


def test_what_was_recorded_is_read_again_in_its_order(tmp_path: Path):
    with Recorder(tmp_path / "history") as recorder:
        recorder.record(*ONE_OF_EACH[:5])
        recorder.record(*ONE_OF_EACH[5:])
    assert tuple(read(tmp_path / "history")) == ONE_OF_EACH


def test_recorded_events_survive_the_harness_once_they_are_flushed(tmp_path: Path):
    recorder = Recorder(tmp_path / "history")
    recorder.record(*ONE_OF_EACH)
    recorder.flush()
    assert tuple(read(tmp_path / "history")) == ONE_OF_EACH
    recorder.close()


def test_each_event_takes_one_line():
    assert [line(event).count("\n") for event in ONE_OF_EACH] == [1] * len(ONE_OF_EACH)


@pytest.mark.parametrize(
    "broken",
    ["", "{}", "[]", '["Call"]', '["Nothing",1]', '["Rested",1,2]', line(ONE_OF_EACH[1])[:40], "3", "null"],
)
def test_a_broken_line_is_refused_with_its_number(broken: str):
    with pytest.raises(UnreadableHistory, match="Line 2 "):
        list(parsed([line(ONE_OF_EACH[0]), broken]))
