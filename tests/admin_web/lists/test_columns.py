"""The column of the numbers is found if it is clear; otherwise the user must choose it."""

import pytest

from admin_web.lists.columns import LEAD_NAMES, NUMBER_NAMES, NoColumn, is_heading, named_column, number_column
from admin_web.lists.sheet import SheetRow


def sample(*rows: str) -> list[SheetRow]:
    return [SheetRow(place, row, row.split(",")) for place, row in enumerate(rows, start=1)]


def reads(cell: str) -> bool:
    return len(cell) == 10 and cell.isdecimal()


@pytest.mark.parametrize(
    ("rows", "wanted", "place"),
    [
        (["4155550100"], None, 0),
        (["hello", "world"], None, 0),
        (["name,Phone Number,zip", "A,4155550100,94105"], None, 1),
        (["A,4155550100,94105", "B,4155550101,94105"], None, 1),
        (["Kundin,Rufnummer", "A,4155550100", "B,oops", "C,4155550101"], None, 1),
        (["fax,phone", "4155550109,4155550100"], None, 1),
        (["fax,work", "4155550109,4155550100"], "WORK", 1),
        (["fax,work", "4155550109,4155550100"], "2", 1),
        (["2,1", "4155550109,4155550100"], "2", 1),
        ([], None, 0),
    ],
)
def test_a_column_is_chosen_by_wish_by_name_or_by_what_it_holds(rows, wanted, place):
    assert number_column(sample(*rows), wanted, reads) == place


@pytest.mark.parametrize(
    ("rows", "wanted", "said"),
    [
        (["fax,work", "4155550109,4155550100"], None, "Several columns contain numbers; choose one with --column"),
        (["phone,mobile", "4155550109,4155550100"], None, "Several columns"),
        (["name,zip", "A,94105"], None, "No column contains numbers"),
        (
            ["name,phone", "A,4155550100"],
            "fone",
            "no column 'fone'. The columns of the first row are 1 'name', 2 'phone'",
        ),
        (["name,phone", "A,4155550100"], "3", "no column '3'"),
        (["name,phone", "A,4155550100"], "0", "no column '0'"),
    ],
)
def test_doubt_is_a_question_to_the_operator_and_never_a_guess(rows, wanted, said):
    with pytest.raises(NoColumn, match=said):
        number_column(sample(*rows), wanted, reads)


@pytest.mark.parametrize("cell", ["number", "Phone", "PHONE NUMBER", "phone_number", "E.164", "Rufnummer", "電話"])
def test_a_heading_is_known_by_name_or_by_having_no_digit(cell: str):
    assert is_heading(cell)


@pytest.mark.parametrize("cell", ["4155550100", "+1 415 555 0100", "1-800-FLOWERS", "", "?", "tel:4155550100"])
def test_what_may_be_a_number_is_no_heading(cell: str):
    assert not is_heading(cell)


def test_names_are_compared_without_case_spaces_and_dashes():
    assert named_column(["Name", "Lead-ID"], LEAD_NAMES) == 1
    assert named_column(["Name"], NUMBER_NAMES) is None
