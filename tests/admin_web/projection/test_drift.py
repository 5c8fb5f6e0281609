"""The outcome of a comparison: each difference names its shard, and the dangerous ones come first."""

from admin_web.projection.drift import EXTRA, MISSING, Drift, together


def test_the_differences_of_all_shards_are_listed_by_danger_and_each_names_its_shard():
    first, second = Drift(shard=0, numbers=3), Drift(shard=8192, numbers=4, doubt="no-lease", generation=2)
    first.add(EXTRA, "+14155550100 on internal")
    first.counted["internal"] = (1, 2)
    second.add(MISSING, "+14155550101 on internal")
    lines = together([first, second]).lines()
    assert lines == [
        "SQL holds 7 numbers and 0 live overrides.",
        "DOUBT: shard from slot 8192: the gate cannot rely on generation 2 (no-lease) and blocks calls.",
        "DANGER: shard from slot 8192: 1 listed in SQL, not in Redis: +14155550101 on internal",
        "differs: shard from slot 0: 1 listed in Redis, not in SQL: +14155550100 on internal",
        "differs: shard from slot 0: Redis counts 1 number on internal, SQL 2",
        "Run `dnc-admin rebuild` to put it right.",
    ]


def test_outside_a_cluster_no_shard_is_named():
    drift = Drift(doubt="no-lease", generation=2)
    assert drift.lines()[1] == "DOUBT: the gate cannot rely on generation 2 (no-lease) and blocks calls."
    assert together([drift]) is drift
