"""Page keys: they survive encoding and decoding, and a forged key is rejected."""

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin_web.queries.paging import Page, page_of, read_key, spelled

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
"""Times that exist in every time zone."""


@given(MOMENTS, st.integers(0, 2**63 - 1), st.text("aZ0-_.é ", max_size=40))
def test_a_key_comes_back_as_it_went(at: datetime, number: int, text: str):
    assert read_key(spelled((at, number, text)), datetime, int, str) == (at, number, text)


def forged(*values: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "!!!", "é", "a" * 501, forged(), forged("only one"),
        forged({"at": "2026-03-01T12:00:00+00:00"}, "2", "x"),
        forged({"at": "2026-03-01T12:00:00"}, 2, "x"), forged({"at": "0001-01-01T00:00:00+14:00"}, 2, "x"),
        forged({"at": "9999-12-31T23:59:59-14:00"}, 2, "x"), forged({"at": 1}, 2, "x"), forged({"b": 1}, 2, "x"),
        forged({"at": "2026-03-01T12:00:00+00:00"}, 2**63, "x"), forged({"at": "2026-03-01T12:00:00+00:00"}, 2, "\0"),
        forged({"at": "2026-03-01T12:00:00+00:00"}, True, "x"), base64.urlsafe_b64encode(b"17").decode(),
    ],
)  # fmt: skip
def test_what_is_no_key_is_page_one(text: str):
    assert read_key(text, datetime, int, str) is None


def test_the_row_too_many_tells_that_there_are_more():
    assert page_of([1, 2], lambda row: (row,), rows=2) == Page([1, 2])
    assert page_of([1, 2, 3], lambda row: (row,), rows=2) == Page([1, 2], spelled((2,)))
