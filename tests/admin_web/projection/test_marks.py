"""The marks that Redis holds: read back as they were written, and bounded whatever somebody has put there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin_web.projection.marks import MOST_IDS, NOTHING, Written, ids_in, new_mark, ranges_of, read_written
from compliance.redis_schema import MARK, MARK_BEFORE, WRITTEN


@given(st.sets(st.integers(1, 10**6)))
def test_ids_are_read_back_from_their_ranges(ids: set[int]):
    assert ids_in(ranges_of(ids)) == ids


@pytest.mark.parametrize(
    "ranges",
    ["x", "1-", "-1", "1--2", "1,,2", "1,", "2-1", "1.0", "\u00b2", " 1", "9" * 19, f"1-{'9' * 19}", "1-2-3"],
)
def test_what_no_version_writes_names_no_ids(ranges: str):
    assert ids_in(ranges) is None


@pytest.mark.parametrize(
    "ranges",
    [
        f"1-{MOST_IDS + 1}",
        ",".join(f"{10**7 * part}-{10**7 * part + MOST_IDS // 2}" for part in range(10_000)),
        ",".join(f"{2 * one}" for one in range(MOST_IDS + 1)),
    ],
    ids=["one range", "many ranges", "single ids"],
)
def test_all_ranges_together_name_only_so_many_ids(ranges: str):
    assert ids_in(ranges) is None
    assert len(ids_in(f"1-{MOST_IDS}") or ()) == MOST_IDS


def test_a_write_is_read_back():
    written = Written(new_mark(), new_mark(), "1-3,7", "ab" * 16)
    assert read_written({name.encode(): value.encode() for name, value in written.fields().items()}) == written
    assert read_written({}) == NOTHING


@pytest.mark.parametrize("mark", [b"x", b"AB" * 8, b"ab" * 9, b"ab" * 10**6, b"ab\x00" * 5, b"\xff" * 16, b"\n"])
def test_a_mark_that_no_version_writes_is_short_and_is_on_record_nowhere(mark: bytes):
    read = read_written({MARK.encode(): mark, MARK_BEFORE.encode(): mark, WRITTEN.encode(): b"|"})
    assert len(read.mark) == len(read.before) == 16
    assert read.mark.isalnum()
    assert read.mark.encode() not in {b"", mark}
