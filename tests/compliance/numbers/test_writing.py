"""Texts as people, programs and spreadsheets write numbers: what is read, and what is refused with its own reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.numbers import InvalidNumber, normalize, visible


def outcome(dialed: str, region: str = "US") -> str:
    """Return the key, or the reason of the refusal."""
    try:
        return normalize(dialed, region)
    except InvalidNumber as error:
        return error.reason


class TestSpreadsheets:
    @pytest.mark.parametrize(
        ("cell", "region"),
        [
            ("14155550127.0", "US"),
            ("4155550128.0", "US"),
            ("4155550128.00", "US"),
            ("4155550128.000000", "US"),
            ("+14155550128.0", "US"),
            ("4155550128.5", "US"),
            ("493023125012.0", "DE"),
            ("03023125013.0", "DE"),
            ("3023125013.0", "DE"),
            ("030 23125013.0", "DE"),
            ("1 234 567.00", "AT"),
            ("(3023125013.0)", "DE"),
            ("tel:4155550128.0", "US"),
            ("'4155550128.0", "US"),
        ],
    )
    def test_the_fraction_of_a_number_is_not_its_last_digit(self, cell, region):
        assert outcome(cell, region) == "spreadsheet-number"

    @pytest.mark.parametrize(
        ("written", "region", "number"),
        [
            ("415.555.0100", "US", "+14155550100"),
            ("1.415.555.0100", "US", "+14155550100"),
            ("415.5550100", "US", "+14155550100"),
            ("415 555.0100", "US", "+14155550100"),
            ("+1.4155550100", "US", "+14155550100"),
            ("(415).555.0000", "US", "+14155550000"),
            ("030.1234567", "DE", "+49301234567"),
            ("030.12345.0", "DE", "+4930123450"),
            ("+49.30.1234567", "US", "+49301234567"),
            ("01.23.45.67.89", "FR", "+33123456789"),
            ("+33.1.23.45.67.89", "US", "+33123456789"),
            ("044.668.18.00", "CH", "+41446681800"),
            ("4155550100.", "US", "+14155550100"),
        ],
    )
    def test_a_dot_separates_groups_as_people_write_them(self, written, region, number):
        assert outcome(written, region) == number

    @pytest.mark.parametrize(
        "cell",
        [
            "1.4155550129E+10",
            "1.4155E+10",
            "1,4155E+10",
            "4.93023E+11",
            "1.4e10",
            "+1.4155E+10",
            "4E 10",
            "14155550182,00",
            "14 155 550 182,0",
            "14,155,550,183",
            "14,155,550,183.00",
            "14'155'550'183",
            "14\N{RIGHT SINGLE QUOTATION MARK}155\N{RIGHT SINGLE QUOTATION MARK}550\N{RIGHT SINGLE QUOTATION MARK}183",
            "##########",
            "#NAME?",
            "#N/A",
            "#VALUE!",
            "#DIV/0!",
        ],
    )
    def test_a_number_that_a_spreadsheet_reformatted_is_refused_as_such(self, cell):
        assert outcome(cell) == "spreadsheet-number"

    @pytest.mark.parametrize(
        "cell",
        [
            "'+14155550131",
            "'4155550131",
            "\N{RIGHT SINGLE QUOTATION MARK}4155550131",
            "' (415) 555-0131",
            "'4155550131'",
            '="4155550131"',
            '="+1 415 555 0131"',
            '"4155550131"',
            "\N{LEFT SINGLE QUOTATION MARK}tel:+14155550131\N{RIGHT SINGLE QUOTATION MARK}",
        ],
    )
    def test_the_marks_that_keep_a_cell_text_are_taken_off(self, cell):
        assert outcome(cell) == "+14155550131"

    @pytest.mark.parametrize("cell", ["=4155550131", "=+14155550131", "415'5550131", '=HYPERLINK("4155550131")'])
    def test_other_formulas_and_quotes_are_not(self, cell):
        assert outcome(cell) in {"unexpected-character", "misplaced-plus", "letters"}

    @pytest.mark.parametrize(
        ("cell", "region"),
        [
            ("2024-05-17", "DE"),
            ("2024-05-17", "SE"),
            ("2024-05-17", "DK"),
            ("2024.05.17", "DE"),
            ("17.05.2024", "AT"),
            ("17-05-2024", "HU"),
            ("5/17/2024", "US"),
            ("05-17-1999", "PE"),
            ("2024-05-17 10:30", "NO"),
            ("2024-05-17T10:30:00Z", "NO"),
            ("'2024-05-17", "NO"),
            ("2024 - 05 - 17", "NO"),
            ("2024\N{EN DASH}05\N{EN DASH}17", "NO"),
            ("17. 05. 2024", "NO"),
            ("2024. 05. 17.", "NO"),
            ("2024-05-17-01", "US"),
            ("2024.05.17.01", "US"),
        ],
    )
    def test_a_date_is_not_a_number(self, cell, region):
        assert outcome(cell, region) == "date"

    def test_what_a_country_does_not_write_as_a_date_may_be_its_number(self):
        assert outcome("20 24 05 17", "DK") == "+4520240517"
        assert outcome("20240517", "NO") == "+4720240517"
        assert outcome("2024-1517", "SG") != "date"


class TestExtensions:
    @pytest.mark.parametrize(
        "written",
        [
            "415-555-0146 x12",
            "415-555-0146-x11",
            "415-555-0146, ext. 9",
            "(415) 555-0146 #22",
            "(415) 555-0146#22",
            "415-555-0146, # 22",
            "415-555-0146 int. 4",
            "415-555-0146 (ext 12)",
            "415-555-0146 (x12)",
            "415-555-0146 (#22)",
            "415-555-0146 ext #12",
            "415-555-0146 Interno 7",
            "415-555-0146 anexo 7",
            "415-555-0146 ramal 7",
            "415-555-0146 poste 712",
            "415-555-0146 extensi\u00f3n 7",
            "+1 415 555 0146 \u0434\u043e\u0431. 12",
        ],
    )
    def test_an_extension_within_a_company_is_split_off(self, written):
        assert outcome(written) == "+14155550146"

    @pytest.mark.parametrize(
        ("written", "region"),
        [
            ("030 12345 DW 67", "DE"),
            ("030 12345 Durchwahl: 67", "DE"),
            ("030 12345 (App. 67)", "DE"),
            ("01 58801 Klappe 12", "AT"),
            ("020 123 4567 toestel 12", "NL"),
            ("22 123 45 67 wew. 12", "PL"),
        ],
    )
    def test_an_extension_that_is_dialled_as_part_of_the_number_is_refused_as_such(self, written, region):
        assert outcome(written, region) == "extension"

    @pytest.mark.parametrize(
        ("written", "reason"),
        [
            ("4155550146#", "star-code"),
            ("#22", "star-code"),
            ("#31#4155550146", "star-code"),
            ("4155550146##22", "star-code"),
            ("4155550146#5550147", "star-code"),
            ("4155550146#*22", "star-code"),
            ("21#4155550146", "star-code"),
            ("415-555-0146 int'l 4", "letters"),
            ("415-555-0146 room 4", "letters"),
            ("415-555-0146 ext 12 or 13", "two-numbers"),
        ],
    )
    def test_what_only_resembles_an_extension_is_refused(self, written, reason):
        assert outcome(written) == reason


class TestNotes:
    @pytest.mark.parametrize(
        ("written", "region"),
        [
            ("030 1234567 (2)", "DE"),
            ("030 1234567(89)", "DE"),
            ("030 1234567 - (2024) -", "DE"),
            ("(030) 1234567 (2)", "DE"),
            ("+1 (415) 555-0100 (2)", "US"),
            ("01 234567 (10-12)", "AT"),
        ],
    )
    def test_digits_in_brackets_after_a_number_are_not_part_of_it(self, written, region):
        assert outcome(written, region) == "note"

    @pytest.mark.parametrize(
        ("written", "region", "number"),
        [
            ("030 (1234567)", "DE", "+49301234567"),
            ("(030) (1234567)", "DE", "+49301234567"),
            ("(4155550100)", "US", "+14155550100"),
            ("(+1 415 555 0100)", "DE", "+14155550100"),
            ("1 (415) (555) 0100", "US", "+14155550100"),
            ("0044 (0)20 7946 0000", "DE", "+442079460000"),
            ("011 44 (0)20 7946 0000", "US", "+442079460000"),
        ],
    )
    def test_brackets_around_an_area_code_a_trunk_zero_or_a_whole_number_are_read(self, written, region, number):
        assert outcome(written, region) == number

    @pytest.mark.parametrize(
        ("written", "region"),
        [
            ("030 123450...59", "DE"),
            ("030 123450..59", "DE"),
            ("030 123450. . .59", "DE"),
            ("030 123450\N{HORIZONTAL ELLIPSIS}59", "DE"),
            ("01 23456 0..9", "AT"),
            ("030 123450 - 59", "DE"),
            ("030 12 34 50 - 59", "DE"),
            ("030 123450 \N{EN DASH} 9", "DE"),
            ("030 123450\N{EN DASH}59", "DE"),
            ("030 1234567\N{EM DASH}68", "DE"),
            ("030 123450-59", "DE"),
            ("030 12340-9", "DE"),
            ("+49 30 123450-59", "US"),
        ],
    )
    def test_a_range_is_more_than_one_number(self, written, region):
        assert outcome(written, region) == "two-numbers"

    @pytest.mark.parametrize(
        ("written", "region", "number"),
        [
            ("01 58801 - 0", "AT", "+431588010"),
            ("030 12345-67", "DE", "+49301234567"),
            ("030 12345 - 12", "DE", "+49301234512"),
            ("04 - 123 - 4567", "AE", "+97141234567"),
            ("030 12345-49", "DE", "+49301234549"),
            ("030 1234560-0", "DE", "+493012345600"),
        ],
    )
    def test_an_extension_that_is_dialled_as_part_of_the_number_is_read(self, written, region, number):
        assert outcome(written, region) == number

    @pytest.mark.parametrize(
        ("written", "region", "number"),
        [
            ("01 - 42 - 68 - 53 - 60", "FR", "+33142685360"),
            ("01\N{EN DASH}42\N{EN DASH}68\N{EN DASH}50\N{EN DASH}59", "FR", "+33142685059"),
            ("01-42-68-50-59", "FR", "+33142685059"),
            ("415\N{EN DASH}555\N{EN DASH}0159", "US", "+14155550159"),
            ("+49 30 \N{EN DASH} 1234567", "US", "+49301234567"),
            ("415\N{FIGURE DASH}555\N{NON-BREAKING HYPHEN}0159", "US", "+14155550159"),
        ],
    )
    def test_dashes_between_the_groups_of_one_number_are_read(self, written, region, number):
        assert outcome(written, region) == number


class TestDirection:
    @pytest.mark.parametrize("mark", ["\u202e", "\u202b", "\u2067", "\u2068", "\u200f", "\u061c"])
    @pytest.mark.parametrize("text", ["{}0015550514", "415{}555{}0100", "+1415555{}0100", "'{}4155550100"])
    def test_digits_that_may_be_shown_in_another_order_are_refused(self, mark, text):
        assert outcome(text.replace("{}", mark)) == "direction-mark"

    @pytest.mark.parametrize("text", ["\u202a+14155550100\u202c", "\u200e4155550100\u200e", "\u2066415 555 0100\u2069"])
    def test_marks_for_left_to_right_change_nothing_and_are_dropped(self, text):
        assert outcome(text) == "+14155550100"

    def test_a_mark_is_shown_by_its_code(self):
        assert visible("\u202e0015550514\u202c") == "<U+202E>0015550514\u202c"
        assert visible("M\u00fcller 4155550100") == "M\u00fcller 4155550100"

    @given(st.text(alphabet="0123456789+- \u202e\u202b\u2067\u2068\u200f\u061c", min_size=1))
    def test_a_text_with_such_a_mark_is_never_a_number(self, text):
        assert visible(text) == text or not outcome(text).startswith("+")


class TestMissingCountryCode:
    @pytest.mark.parametrize(
        ("written", "elsewhere"),
        [
            ("+473 440 1234", "+4734401234"),
            ("+649 946-1234", "+6499461234"),
            ("+664.491.1234", "+6644911234"),
            ("+(473) 440-1234", "+4734401234"),
            ("+479 234 5678", "+4792345678"),
            ("+656 555 0100", "+6565550100"),
        ],
    )
    def test_a_number_of_plus_1_without_the_1_is_not_another_countrys(self, written, elsewhere):
        assert outcome(written) == "country-code-missing"
        assert outcome(elsewhere) == elsewhere

    @pytest.mark.parametrize(
        ("written", "region", "number"),
        [
            ("+649 946 1234", "NZ", "+6499461234"),
            ("+47 34 40 12 34", "US", "+4734401234"),
            ("+501 223 1234", "US", "+5012231234"),
            ("+670 331 1234", "US", "+6703311234"),
            ("473 440 1234", "US", "+14734401234"),
            ("1 473 440 1234", "GD", "+14734401234"),
        ],
    )
    def test_the_regions_own_numbers_and_other_groups_are_read(self, written, region, number):
        assert outcome(written, region) == number
