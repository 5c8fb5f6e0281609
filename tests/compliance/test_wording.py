"""A number with its noun, and the names of lists."""

import re
from pathlib import Path

import pytest

from compliance.wording import counted, noun, the_list

PRODUCT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (2500, "2,500 rows"), (-1, "-1 rows")]
)
def test_one_of_a_thing_is_singular_and_every_other_number_plural(number, words):
    assert counted(number, "row") == words


@pytest.mark.parametrize(("number", "words"), [(0, "entries"), (1, "entry"), (2, "entries")])
def test_a_noun_may_have_a_plural_of_its_own(number, words):
    assert noun(number, "entry", "entries") == words


def test_the_companys_own_list_is_called_that_and_another_by_its_name():
    assert (the_list("internal"), the_list("us-ftc")) == ("the company's own list", "the list us-ftc")


COUNTED = re.compile(
    r"(?<!of the first )(?<!none of its )"
    r"\{(?:len\([^{}]*\)|[a-z_.]+)(?::,)?\} (?:live |rejected )?(?:rows|entries|numbers|overrides|leads)\b"
)
AT_LEAST_TWO = {"MOST_NUMBERS", "lead.on_number"}


def test_no_message_of_the_site_and_the_commands_writes_a_plural_after_any_number():
    found = [
        f"{file.relative_to(PRODUCT)}: {match[0]}"
        for file in (PRODUCT / "admin_web").rglob("*.py")
        for match in COUNTED.finditer(file.read_text())
        if not any(name in match[0] for name in AT_LEAST_TWO)
    ]
    assert found == []
