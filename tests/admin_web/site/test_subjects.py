"""What the address of a page names."""

import pytest

from admin_web.site.subjects import LONGEST_ID, id_in


@pytest.mark.parametrize(("text", "found"), [("0", 0), ("42", 42), ("007", 7), ("9" * LONGEST_ID, 10**LONGEST_ID - 1)])
def test_an_id_is_digits_that_a_database_can_hold(text: str, found: int):
    assert id_in(text) == found
    assert found < 2**63


@pytest.mark.parametrize("text", ["", " 1", "-1", "+1", "1.0", "1e3", "٤", "²", "x", "1\0", "1" * (LONGEST_ID + 1)])
def test_anything_else_is_no_id(text: str):
    assert id_in(text) is None
