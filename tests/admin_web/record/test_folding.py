"""A search finds a name in any case and with or without accents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin_web.record.folding import LONGEST_FOLDED, folded


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("  Northwind   Traders ", "northwind traders"),
        ("MÜLLER", "muller"),
        ("Straße", "strasse"),
        ("Ångström", "angstrom"),
        ("ŁUKASZ", "łukasz"),
        ("ﬁne", "fine"),
        ("𝕊mith", "smith"),
        ("İstanbul", "istanbul"),
        ("", ""),
    ],
)
def test_names_are_folded(name: str, expected: str):
    assert folded(name) == expected


@given(st.text(max_size=200))
def test_folding_twice_changes_nothing_more_and_fits_its_column(name: str):
    once = folded(name)
    assert folded(once) == once
    assert len(once) <= LONGEST_FOLDED


@given(st.text(max_size=100))
def test_case_makes_no_difference(name: str):
    assert folded(name.upper().lower()) == folded(name.upper())
