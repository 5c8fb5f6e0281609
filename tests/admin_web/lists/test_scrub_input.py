"""Parsing of a list to scrub: the fast path for plain lines returns the same as the general path."""

import io
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin_web.lists.columns import NumberColumn
from admin_web.lists.layout import Layout
from admin_web.lists.scrub_input import ScrubLayout, ScrubRow, _plain_reader, _row_reader, asked_of_json, asked_of_sheet
from admin_web.lists.sheet import NotASheet, Sheet, nothing
from compliance.numbers import InvalidNumber

NATIONAL = st.from_regex("[2-9][0-9]{2}[2-9][0-9]{6}", fullmatch=True)
NUMBERS = st.one_of(
    st.tuples(st.sampled_from(["", "1", "+1", "+", "001", "+44", " +1", "\t", "\u00a0"]), NATIONAL).map("".join),
    st.from_regex("[0-9+() .-]{0,14}", fullmatch=True),
    st.sampled_from(["number", "", "4155550100 x12", "tel:+14155550100", "911", "4115550100", "\uff14155550100"]),
)
LEADS = st.one_of(
    st.from_regex("[A-Za-z0-9_.-]{0,66}", fullmatch=True), st.sampled_from(["x" * 65, "a b", "\u00e9", "+1", "\0"])
)
OTHERS = st.text(st.sampled_from('ab ,;|\t"\u00e9\u2028\x1c\udce9'), max_size=6)
SPACED = st.tuples(st.sampled_from(["", " ", "  ", '"']), NUMBERS | LEADS | OTHERS, st.sampled_from(["", " ", '"']))
CELLS = NUMBERS | LEADS | OTHERS | SPACED.map("".join)


def laid_out(delimiter: str | None, width: int, number: int, lead: int | None, region: str = "US") -> ScrubLayout:
    columns = (NumberColumn((number,)),)
    numbers = Layout(
        (),
        ("",) * width,
        has_headings=False,
        width=width,
        columns=columns,
        deed=None,
        others=(),
        split=(),
        region=region,
    )
    return ScrubLayout(delimiter, numbers, lead)


def sheet(text: str) -> Sheet:
    return Sheet(io.BufferedReader(io.BytesIO(text.encode("utf-8", "surrogateescape"))), "list.csv")


def told(asked: Iterator[ScrubRow]) -> list[tuple[object, ...]]:
    return [
        (line, text, number.reason if isinstance(number, InvalidNumber) else ("number", number), lead)
        for line, text, number, lead in asked
    ]


@st.composite
def lists(draw: st.DrawFn) -> tuple[ScrubLayout, str]:
    delimiter = draw(st.sampled_from([None, ",", ";", "\t", "|"]))
    width = 1 if delimiter is None else draw(st.integers(1, 4))
    number = draw(st.integers(0, width - 1))
    lead = draw(st.none() | st.integers(0, width - 1))
    columns = [NUMBERS if at == number else LEADS if at == lead else OTHERS for at in range(width)]
    rows = st.tuples(*columns) | st.lists(CELLS, min_size=1, max_size=width + 1)
    ends = st.sampled_from(["\n", "\r\n", "\r", "\n\n", ""])
    lines = st.lists(st.tuples(rows.map((delimiter or "").join), ends).map("".join), max_size=12)
    region = draw(st.sampled_from(["US", "GB", "CA"]))
    return laid_out(delimiter, width, number, lead, region), "".join(draw(lines))


@given(lists())
def test_a_plain_line_says_what_its_row_says(drawn: tuple[ScrubLayout, str]):
    layout, text = drawn
    of_row = _row_reader(layout)
    text = " " * 5000 + "\n" + text  # The first 4,096 bytes decide the encoding.
    quick, slow = sheet(text), sheet(text)
    quick.delimiter = slow.delimiter = layout.delimiter
    assert told(quick.read(_plain_reader(layout), of_row)) == told(slow.read(nothing, of_row))


@pytest.mark.parametrize(
    ("layout", "line", "number", "lead"),
    [
        (laid_out(None, 1, 0, None), "4155550100\n", "+14155550100", None),
        (laid_out(",", 2, 1, 0), "L-1,+14155550100\r\n", "+14155550100", "L-1"),
        (laid_out(",", 3, 0, 2), "1 4155550100,x,L-1", None, None),
        (laid_out(";", 3, 0, 2), "14155550100; Jos\u00e9 \u2013 caf\u00e9 ; L-1 \n", "+14155550100", "L-1"),
        (laid_out("|", 2, 0, 1), "4155550100|\r", "+14155550100", None),
        (laid_out(",", 2, 0, None), '4155550100,"x"\n', None, None),
        (laid_out(",", 2, 0, None), "4155550100\n", None, None),
        (laid_out(",", 2, 0, 1), "4155550100," + "x" * 65, None, None),
    ],
)
def test_the_lines_that_most_lists_are_made_of_are_read_quickly(
    layout: ScrubLayout, line: str, number: str | None, lead: str | None
):
    read = _plain_reader(layout)(7, line)
    assert read == (None if number is None else (7, line.rstrip("\r\n"), number, lead))


def test_without_a_plus_nothing_is_a_number_of_the_north_american_plan_elsewhere():
    assert _plain_reader(laid_out(None, 1, 0, None, "GB"))(1, "4155550100") is None
    assert _plain_reader(laid_out(None, 1, 0, None, "GB"))(1, "+14155550100") is not None


def test_a_line_that_is_too_long_is_named_however_far_down_it_stands():
    text = "number,note\n" + "4155550100,x\n" * 20_000 + "4155550100," + "x" * 70_000 + "\n"
    with pytest.raises(NotASheet, match="line 20002 is longer"):
        list(asked_of_sheet(sheet(text), "US"))


def test_lines_are_counted_across_rows_of_several_lines_and_blank_ones():
    text = "number,note\n4155550100,x\n\n" + '4155550101,"a\nb"\n4155550102,"open\n4155550103,x\n'
    text = text + "4155550104,x\n" * 60
    found = [(line, number) for line, _, number, _ in asked_of_sheet(sheet(text), "US")][:5]
    assert [line for line, _ in found] == [2, 4, 6, 7, 8]
    assert isinstance(found[2][1], InvalidNumber)


def test_a_json_line_may_have_its_number_as_digits():
    lines = [
        b'{"number": 4155550100}',
        b'{"number": 4155550101.0, "lead": "a"}',
        b'{"number": null}',
        b'{"number": true}',
    ]
    read = [(number, lead) for _, _, number, lead in asked_of_json(lines, "US")]
    assert read[:2] == [("+14155550100", None), ("+14155550101", "a")]
    assert [error.reason for error, _ in read[2:]] == ["empty", "malformed"]
