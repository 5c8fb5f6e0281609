"""Lists that people write in one line."""

import pytest

from compliance.separated import between_commas, words


@pytest.mark.parametrize("text", ["a,b", "a b", " a, b ", "a,,b,", "a\r\nb\n", "a\tb"])
def test_words_are_separated_by_blanks_line_ends_or_commas(text: str):
    assert words(text) == ("a", "b")


@pytest.mark.parametrize("text", ["a b,c", " a b , c ", ",a b,,c,", "a b,\n c"])
def test_parts_are_separated_by_commas_alone(text: str):
    assert between_commas(text) == ("a b", "c")


@pytest.mark.parametrize("text", ["", " ", ",", " , ,"])
def test_of_nothing_there_are_neither_words_nor_parts(text: str):
    assert (words(text), between_commas(text)) == ((), ())
