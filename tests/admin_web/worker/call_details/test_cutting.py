"""A CSV file that another program is writing, split into complete records."""

import csv
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin_web.worker.call_details.cutting import LONGEST, lines_of, whole_records
from tests.support.cdr import fields, line

FIELD_OF_ID = 13
BEGINNING = len('"1795495769.220612",')


def cut(data: bytes) -> list[bytes]:
    return list(whole_records(data))


def test_records_are_cut_where_they_begin():
    first, second = line(uniqueid="1"), line(uniqueid="2")
    assert cut(first + second) == [first, second]


def test_a_record_that_is_half_written_is_left_for_later():
    first, second = line(uniqueid="1"), line(uniqueid="2")
    for end in range(len(second)):
        # A line break may belong to a quoted field, so the complete record waits for the rest too.
        assert cut(first + second[:end]) == ([first] if end == 0 or end >= BEGINNING else []), end


def test_a_line_break_in_a_callers_name_ends_no_record():
    record = line(clid='"A\nB" <100>')
    assert cut(record + line()) == [record, line()]
    assert lines_of(record) == [fields(clid='"A\nB" <100>')]


def test_a_caller_cannot_forge_a_record():
    forged = line(uniqueid="forged").decode()
    record = line(clid=f'x\n{forged}"', uniqueid="real")
    assert cut(record) == [record]
    assert [one[FIELD_OF_ID] for one in lines_of(record)] == ["real"]


@pytest.mark.parametrize(
    "garbage", [b"\n", b"no record\n", b'"\n', b"\0\xff\n", b'"17', b'"1795495769.220612","half\n']
)
def test_garbage_spoils_itself_and_no_record_behind_it(garbage: bytes):
    pieces = cut(garbage + b"\n" + line(uniqueid="1") + line(uniqueid="2"))
    assert pieces[-2:] == [line(uniqueid="1"), line(uniqueid="2")]
    assert b"".join(pieces).startswith(garbage)


def test_what_never_becomes_a_record_is_not_waited_for():
    endless = b'"' + b"x" * LONGEST
    assert cut(endless) == [endless]
    assert cut(endless + b"\ntail") == [endless + b"\n"]


def test_a_file_of_another_shape_is_taken_line_by_line():
    piece = b"".join(b'"2026-11-24 05:00:00","x"\n' for _ in range(4000))
    assert b"".join(cut(piece)) == piece
    assert len(lines_of(piece)) == 4000


texts = st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]), max_size=12)


@given(st.lists(st.lists(texts, min_size=2, max_size=2), max_size=5), st.integers(0, 400))
def test_every_record_comes_out_once_wherever_the_file_is_cut(names: list[list[str]], at: int):
    records = [line(clid=clid, dst=dst) for clid, dst in names]
    data = b"".join(records)
    before = cut(data[:at])
    after = cut(data[sum(map(len, before)) :])
    assert before + after == records
    for record in records:
        assert lines_of(record) == [next(csv.reader(StringIO(record.decode(), newline="")))]
