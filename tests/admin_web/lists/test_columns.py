"""The columns of the numbers are found if they are clear; otherwise the user must choose them."""

import pytest

from admin_web.lists.columns import LEAD_NAMES, NUMBER_NAMES, NoColumn, is_heading, named_column
from admin_web.lists.headings import is_telephone_heading
from admin_web.lists.layout import Layout
from admin_web.lists.sheet import SheetRow


def layout(rows: list[str], *wanted: str, region: str = "US") -> Layout:
    return Layout.found([SheetRow(place, row, row.split(",")) for place, row in enumerate(rows, 1)], wanted, region)


@pytest.mark.parametrize(
    ("rows", "wanted", "spec"),
    [
        (["4155550100"], [], "1"),
        (["hello", "world"], [], "1"),
        (["name,Phone Number,zip", "A,4155550100,94105"], [], "2"),
        (["A,4155550100,94105", "B,4155550101,94105"], [], "2"),
        (["Kundin,Rufnummer", "A,4155550100", "B,oops", "C,4155550101"], [], "2"),
        (["fax,phone", "4155550109,4155550100"], [], "2"),
        (["fax,work", "4155550109,4155550100"], ["WORK"], "2"),
        (["fax,work", "4155550109,4155550100"], ["2"], "2"),
        (["2,1", "4155550109,4155550100"], ["2"], "2"),
        ([], [], "1"),
        (["fax,work", "4155550109,4155550100"], ["work", "fax"], "2,1"),
        (["fax,work", "4155550109,4155550100"], ["1,2"], "1,2"),
        (["fax,work", "4155550109,4155550100"], ["work, fax", "2"], "2,1"),
        (["area,rest,fax", "415,5550100,4155550101"], ["area+rest", "fax"], "1+2,3"),
        (["415,5550158", "415,5550159"], [], "1+2"),
        (["A. Sample,415,5550158"], [], "2+3"),
        (["area code,number", "415,5550158", "212,5550159"], [], "1+2"),
        (["name,area code,phone", "A,(415),555-0158", "B,(212),555-0159"], [], "2+3"),
        (["415,555,0158", "212,555,0159"], [], "1+2+3"),
        (["area,number", "415,4155550158"], [], "2"),
        (["area,phone,fax", "415,5550158,4155550159"], [], "1+2"),
    ],
)
def test_a_column_is_chosen_by_wish_by_name_or_by_what_it_holds(rows, wanted, spec):
    assert layout(rows, *wanted).spec == spec


@pytest.mark.parametrize(
    ("rows", "spec", "others"),
    [
        (["name,phone,home phone,work phone", "A,4155550100,4155550101,4155550102"], "2,3,4", ()),
        (["phone,fax", "4155550100,4155550101"], "1,2", ()),
        (["phone,home,work", "4155550100,4155550101,4155550102"], "1,2,3", ()),
        (["fax,work", "4155550109,4155550100"], "1,2", ()),
        (["Name,Telefon privat,Telefon Büro", "A,4155550100,4155550101"], "2,3", ()),
        (["nom,Téléphone,Mobile", "A,4155550100,4155550101"], "2,3", ()),
        (["nombre,Teléfono,Móvil", "A,4155550100,4155550101"], "2,3", ()),
        (["имя,Телефон,Мобильный", "A,4155550100,4155550101"], "2,3", ()),
        (["姓名,电话,手机", "A,4155550100,4155550101"], "2,3", ()),
        (["이름,전화번호,휴대폰", "A,4155550100,4155550101"], "2,3", ()),
        (["phone,mobile", *["4155550100,"] * 40, "4155550100,4155550101"], "1,2", ()),
        (["phone,phone type", "4155550100,home"], "1", ()),
        (["phone,phone cost", "4155550100,12.50"], "1", ()),
        (["phone,account", "4155550100,4155550101"], "1", (1,)),
        (["phone,title,hotel id", "4155550100,Dr,4155550101"], "1", (2,)),
        (["phone,tālrunis", "4155550100,4155550101"], "1", (1,)),
        (["phone,home phone", "oops,4155550101"], "1,2", ()),
        (["area,phone,mobile", "415,5550158,4155550101"], "3", ()),
        (["country code,phone,mobile", "44,2079460958,7700900123"], "1+2,1+3", ()),
        (["country code,phone,home phone", "44,2079460958,+442079460959"], "1+2,3", ()),
        (["415,5550158", "415,5550159"], "1+2", ()),
        (["4155550100", "4155550101"], "1", ()),
        (["A,4155550100", "B,4155550101"], "2", ()),
    ],
)
def test_every_column_with_the_heading_and_the_cells_of_telephone_numbers_is_read(rows, spec, others):
    sample = [SheetRow(place, row, row.split(",")) for place, row in enumerate(rows, 1)]
    found = Layout.found(sample, (), "US", several=True)
    assert (found.spec, found.others) == (spec, others)


@pytest.mark.parametrize(
    "rows",
    [["his,hers", "4155550109,4155550100"], ["4155550109,4155550100"], ["phone 1a,x", "oops,oops"], ["zip,id", "1,2"]],
)
def test_without_a_heading_of_telephone_numbers_several_columns_are_a_question(rows):
    sample = [SheetRow(place, row, row.split(",")) for place, row in enumerate(rows, 1)]
    with pytest.raises(NoColumn, match="choose with --column"):
        Layout.found(sample, (), "US", several=True)


@pytest.mark.parametrize(
    "heading", ["cancelled", "title", "hotel", "id", "name", "teller", "zip", "homeowner", "added"]
)
def test_a_word_that_only_looks_like_one_is_no_heading_of_telephone_numbers(heading: str):
    assert not is_telephone_heading(heading)


@pytest.mark.parametrize(
    ("rows", "wanted", "said"),
    [
        (["fax,work", "4155550109,4155550100"], [], "Several columns contain numbers; choose with --column"),
        (["phone,mobile", "4155550109,4155550100"], [], "Several columns"),
        (["name,zip", "A,94105"], [], "No column contains numbers"),
        (["zip,id", "94105,12345"], [], "No column contains numbers"),
        (["zip,id", "94125,22345", "94126,22345"], [], "No column contains numbers"),
        (["94125,22345", "94126,22345"], [], "No column contains numbers"),
        (["415,5550158,4155550159"], [], "Several columns contain numbers, some of them only together"),
        (
            ["name,phone", "A,4155550100"],
            ["fone"],
            "no column 'fone'. The columns of the first row are 1 'name', 2 'phone'",
        ),
        (["name,phone", "A,4155550100"], ["3"], "no column '3'"),
        (["name,phone", "A,4155550100"], ["0"], "no column '0'"),
        (["name,phone", "A,4155550100"], ["2,3"], "no column '3'"),
        (["name,phone", "A,4155550100"], ["2+fax"], "no column 'fax'"),
    ],
)
def test_doubt_is_a_question_to_the_operator_and_never_a_guess(rows, wanted, said):
    with pytest.raises(NoColumn, match=said):
        layout(rows, *wanted)


def test_a_heading_with_a_comma_or_a_plus_is_taken_as_it_is():
    rows = [SheetRow(1, "", ["phone, home", "phone+ext"]), SheetRow(2, "", ["4155550100", "4155550101"])]
    assert Layout.found(rows, ["phone+ext", "phone, home"], "US").spec == "2,1"


@pytest.mark.parametrize(
    ("rows", "spec", "number"),
    [
        (["country code,phone", "44,2079460958"], "1+2", "+442079460958"),
        (["phone,cc", "2079460958,+44"], "2+1", "+442079460958"),
        (["calling code,phone", "0044,7700900123"], "1+2", "+447700900123"),
        (["cc,phone", "44,+442079460958"], "2", "+442079460958"),
        (["country code,phone", "1,4155550158"], "1+2", "+14155550158"),
    ],
)
def test_a_country_code_in_a_column_of_its_own_belongs_to_the_number(rows, spec, number):
    """Without it, a number of London would be read as one of Maine."""
    found = layout(rows)
    assert (found.spec, found.read(rows[1].split(","))) == (spec, ([number], None))


@pytest.mark.parametrize(
    ("rows", "others", "said"),
    [
        (["name,phone", "A,4155550100"], (), ""),
        (["phone,home", "4155550100,4155550101"], (1,), "Column 2 'home' contains numbers and is not read."),
        (["phone,home", "4155550100,", ",4155550101"], (1,), "Column 2 'home' contains numbers and is not read."),
        (
            ["name,phone,home phone,work phone", "A,4155550100,4155550101,4155550102"],
            (2, 3),
            "Column 3 'home phone' and column 4 'work phone' contain numbers and are not read.",
        ),
        (
            ["phone,area,local", "4155550100,415,5550101"],
            (),
            "Column 2 'area' with column 3 'local' contains numbers and is not read.",
        ),
        (["phone,zip,added", "4155550100,94105,2026-01-02"], (), ""),
    ],
)
def test_other_columns_that_contain_numbers_are_named(rows, others, said):
    found = layout(rows)
    assert (found.others, found.not_read(found.others)) == (others, said)


@pytest.mark.parametrize(
    ("rows", "above", "headings"),
    [
        (["Do Not Call list as of 29 November 2026", "name,phone,added", "A,4155550112,2026-01-02"], 1, True),
        (["Acme", "List of 2026-11-29 10:15:33", "name,Rufnummer", "A,4155550112", "B,4155550113"], 2, True),
        (["List, by us, today, all", "name,phone", "A,4155550112", "B,4155550113"], 1, True),
        (["Do Not Call list,,", "who,line,city", "A,4155550112,X", "B,4155550113,Y"], 1, True),
        (["Numbers of November", "A,4155550112", "B,4155550113"], 1, False),
        (["Do Not Call list as of 29 November 2026", "phone", "4155550112"], 1, True),
        (["Do Not Call list as of 2026-11-29", "4155550112", "4155550113"], 1, False),
        (["Phone numbers", "name,phone", "A,4155550112", "B,4155550113"], 1, True),
        (["name,phone", "A,oops", "B,4155550113"], 0, True),
        (["4155550112", "A,4155550113", "B,4155550114"], 0, False),
        (["oops 12", "4155550113"], 0, False),
        (["1-800-FLOWERS", "4155550113"], 0, False),
        (["415,5550158"], 0, False),
    ],
)
def test_what_stands_above_the_headings_is_skipped_and_said_if_no_number_is_in_it(rows, above, headings):
    found = layout(rows, *(["2"] if "," in rows[-1] and "5550158" not in rows[-1] else []))
    assert (len(found.above), found.has_headings) == (above, headings)
    assert (found.not_read(()) != "") is bool(above)


@pytest.mark.parametrize("cell", ["number", "Phone", "PHONE NUMBER", "phone_number", "E.164", "Rufnummer", "電話"])
def test_a_heading_is_known_by_name_or_by_having_no_digit(cell: str):
    assert is_heading(cell)


@pytest.mark.parametrize("cell", ["Phone 1 - Value", "Phone2", "Tel. 1", "2. Telefon", "Mobil 10"])
def test_the_headings_of_several_columns_may_be_counted(cell: str):
    assert is_heading(cell)
    found = layout([f"name,{cell}", "A,4155550113"])
    assert (found.has_headings, len(found.columns)) == (True, 1)


@pytest.mark.parametrize(
    "cell", ["4155550100", "+1 415 555 0100", "1-800-FLOWERS", "", "?", "tel:4155550100", "tel 911", "Sales 12"]
)
def test_what_may_be_a_number_is_no_heading(cell: str):
    assert not is_heading(cell)


def test_names_are_compared_without_case_spaces_and_dashes():
    assert named_column(["Name", "Lead-ID"], LEAD_NAMES) == 1
    assert named_column(["Name"], NUMBER_NAMES) is None


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (["phone", "14155550182,00"], "spreadsheet-number"),
        (["name,phone", "A,14155550182,0"], "spreadsheet-number"),
        (["name,phone,city", "A,14,155,550,183,X"], "spreadsheet-number"),
        (["phone", "1,4155E+10"], "spreadsheet-number"),
        (["name,phone", "A,4155550100,4155550101"], "too-many-cells"),
        (["name,phone", "A,B,4155550100"], "too-many-cells"),
    ],
)
def test_a_row_in_which_the_comma_of_a_spreadsheet_cut_a_number_is_said_to_be_one(rows, reason):
    numbers, rejected = layout([rows[0], "4155550199", *rows[1:]], "phone").read(rows[-1].split(","))
    assert (numbers, rejected and rejected.reason) == ([], reason)
