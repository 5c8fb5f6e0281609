"""Spellings that reach one telephone have one key, and digits that are no telephone's are refused."""

import re

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.numbers import InvalidNumber, normalize
from compliance.numbers.same_telephone import FRENCH_OVERSEAS


def outcome(dialed: str, region: str = "US") -> str:
    """Return the key, or the reason of the refusal."""
    try:
        return normalize(dialed, region)
    except InvalidNumber as error:
        return error.reason


class TestMailboxes:
    @pytest.mark.parametrize(
        ("mailbox", "region"),
        [
            ("0171 13 1234567", "DE"),
            ("0170 13 12345678", "DE"),
            ("0172 50 1234567", "DE"),
            ("0172 55 1234567", "DE"),
            ("0176 33 12345678", "DE"),
            ("0177 99 1234567", "DE"),
            ("0151 13 12345678", "DE"),
            ("01522 50 1234567", "DE"),
            ("+49 171 13 1234567", "US"),
            ("0049 151 13 12345678", "FR"),
            ("085 5 1234567", "IE"),
            ("+353 87 5 1234567", "US"),
            ("086 079 123 45 67", "CH"),
            ("+41 86 079 123 45 67", "US"),
            ("151 50 1234567", "IL"),
            ("1 51 50 1234567", "IL"),
            ("+972 151 50 1234567", "US"),
            ("0664 77 1234567", "AT"),
            ("0676 22 1234567", "AT"),
            ("0699 3 1234567", "AT"),
            ("+39 333 12 1234567", "US"),
        ],
    )
    def test_the_number_of_a_mailbox_is_not_another_telephones(self, mailbox, region):
        assert outcome(mailbox, region) == "mailbox"

    @pytest.mark.parametrize(
        ("telephone", "region", "number"),
        [
            ("0171 1312345", "DE", "+491711312345"),
            ("0171 13123456", "DE", "+4917113123456"),
            ("01522 5012345", "DE", "+4915225012345"),
            ("085 512 3456", "IE", "+353855123456"),
            ("079 123 45 67", "CH", "+41791234567"),
            ("050 123 4567", "IL", "+972501234567"),
            ("0664 7712345", "AT", "+436647712345"),
            ("0699 1 1234567", "AT", "+4369911234567"),
            ("333 123 4567", "IT", "+393331234567"),
        ],
    )
    def test_a_telephone_that_begins_with_such_digits_keeps_its_number(self, telephone, region, number):
        assert outcome(telephone, region) == number


class TestFrance:
    @pytest.mark.parametrize(
        ("digits", "number"),
        [
            ("262123456", "+262262123456"),
            ("263123456", "+262263123456"),
            ("268891234", "+262268891234"),
            ("269123456", "+262269123456"),
            ("639123456", "+262639123456"),
            ("692123456", "+262692123456"),
            ("693123456", "+262693123456"),
            ("590123456", "+590590123456"),
            ("690123456", "+590690123456"),
            ("691123456", "+590691123456"),
            ("594123456", "+594594123456"),
            ("694123456", "+594694123456"),
            ("596123456", "+596596123456"),
            ("598712345", "+590598712345"),
            ("598812345", "+594598812345"),
            ("598912345", "+596598912345"),
            ("696123456", "+596696123456"),
            ("697123456", "+596697123456"),
            ("508411234", "+508411234"),
            ("708411234", "+508708411234"),
            ("709012345", "+590709012345"),
            ("709112345", "+596709112345"),
            ("709212345", "+262709212345"),
            ("947912345", "+262947912345"),
        ],
    )
    def test_the_regions_overseas_have_their_own_country_codes_wherever_the_call_is_made(self, digits, number):
        assert outcome(f"0{digits}", "FR") == number
        assert outcome(f"+33{digits}") == outcome(f"+33 (0){digits}") == number
        assert outcome(f"0033{digits}", "DE") == number
        assert outcome(number) == number
        for region in FRENCH_OVERSEAS - ({"PM"} if digits[0] == "9" else set()):
            assert outcome(f"0{digits}", region) == number

    @pytest.mark.parametrize("region", ["FR", *sorted(FRENCH_OVERSEAS)])
    @pytest.mark.parametrize("digits", ["123456789", "612345678", "695123456", "223456789", "712345678"])
    def test_numbers_of_france_have_its_country_code_wherever_the_call_is_made(self, region, digits):
        assert outcome(f"0{digits}", region) == f"+33{digits}"

    @pytest.mark.parametrize("digits", ["976612345", "939612345", "939712345"])
    def test_a_number_that_any_of_the_regions_may_have_wants_its_country_code(self, digits):
        assert outcome(f"0{digits}", "FR") == outcome(f"+33{digits}") == "local-form"

    @pytest.mark.parametrize("region", ["RE", "GP", "GF", "MQ"])
    def test_an_internet_telephone_of_france_does_not_get_the_code_of_a_region(self, region):
        assert outcome("0912345678", region) == "local-form"
        assert outcome("0912345678", "FR") == "+33912345678"

    @pytest.mark.exhaustive
    @given(st.data(), st.sampled_from(sorted(FRENCH_OVERSEAS - {"PM"})), st.sampled_from(["fixed_line", "mobile"]))
    def test_every_number_that_the_library_knows_overseas_is_read_as_dialled_there_and_in_france(
        self, data, region, kind
    ):
        metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
        pattern = getattr(metadata, kind).national_number_pattern
        digits = data.draw(st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True).filter(lambda d: d[0] < "8"))
        key = f"+{metadata.country_code}{digits}"
        assert outcome(key) == outcome(f"0{digits}", region) == outcome(f"0{digits}", "FR") == key

    @given(st.integers(100_000_000, 799_999_999), st.sampled_from(sorted(FRENCH_OVERSEAS)))
    def test_the_same_digits_have_the_same_key_in_france_and_overseas(self, digits, region):
        assert outcome(f"0{digits}", region) == outcome(f"0{digits}", "FR")


class TestOldForms:
    @pytest.mark.parametrize(
        ("old", "region", "number"),
        [
            ("+55 11 8765 4321", "US", "+5511987654321"),
            ("(011) 8765-4321", "BR", "+5511987654321"),
            ("55 21 9765 4321", "BR", "+5521997654321"),
            ("+55 85 6765 4321", "US", "+5585967654321"),
            ("+84 121 234 5678", "US", "+84792345678"),
            ("0169 234 5678", "VN", "+84392345678"),
            ("+84 199 234 5678", "US", "+84592345678"),
        ],
    )
    def test_an_old_mobile_number_is_the_new_one_that_replaced_it(self, old, region, number):
        assert outcome(old, region) == number

    @pytest.mark.parametrize(
        ("dialed", "region"),
        [("+55 11 7765 4321", "US"), ("011 55 11 7765 4321", "US"), ("(011) 7765-4321", "BR")],
    )
    def test_an_old_number_that_none_replaced_is_refused(self, dialed, region):
        assert outcome(dialed, region) == "old-form"

    @pytest.mark.parametrize("number", ["+551133224455", "+5511998765432", "+558008765432", "+84912345678"])
    def test_numbers_that_did_not_change_stay(self, number):
        assert outcome(number) == number


class TestCarrierCodes:
    @pytest.mark.parametrize(
        ("dialed", "region"),
        [
            ("01033 030 123456", "DE"),
            ("01033 030 1234567", "DE"),
            ("010090 030 123456", "DE"),
            ("01033 0171 1234567", "DE"),
            ("+49 1033 30 123456", "US"),
            ("1012 01 234567", "AT"),
            ("1088 06 1234567", "IT"),
            ("1088 333 123 4567", "IT"),
        ],
    )
    def test_a_code_for_one_call_is_not_part_of_the_number(self, dialed, region):
        assert outcome(dialed, region) == "carrier-code"

    def test_area_codes_that_resemble_one_are_read(self):
        assert outcome("010 123 4567", "NL") == "+31101234567"
        assert outcome("010 1234567", "IT") == "+390101234567"


LOCAL = [
    ("20240517", "DE"),
    ("301234567", "DE"),
    ("12345678", "DE"),
    ("40 123456", "DE"),
    ("1 5880112", "AT"),
    ("20240517", "SE"),
    ("8 123 4567", "SE"),
    ("2345 6789", "KR"),
    ("31 123 456", "KR"),
    ("2345 6789", "EG"),
    ("20240517", "EG"),
    ("234 56 78", "PL"),
    ("20240517", "PL"),
    ("1705 2024", "IE"),
    ("20240517", "FI"),
    ("20240517", "IT"),
]


class TestLocalNumbers:
    @pytest.mark.parametrize(("dialed", "region"), LOCAL)
    def test_the_first_digits_of_a_local_number_are_no_area_code(self, dialed, region):
        assert outcome(dialed, region) in {"local-form", "not-in-plan", "too-short", "ambiguous", "wrong-length"}

    @pytest.mark.parametrize(
        ("dialed", "region", "number"),
        [
            ("1711234567", "DE", "+491711234567"),
            ("15112345678", "DE", "+4915112345678"),
            ("800 1234567", "DE", "+498001234567"),
            ("70 123 45 67", "SE", "+46701234567"),
            ("10 1234 5678", "KR", "+821012345678"),
            ("2 1234 5678", "KR", "+82212345678"),
            ("10 6212 3456", "CN", "+861062123456"),
            ("70 345 678", "MK", "+38970345678"),
            ("1588 1234", "KR", "+8215881234"),
            ("20 7946 0000", "GB", "+442079460000"),
            ("2 2345 6789", "EG", "+20223456789"),
            ("22 123 45 67", "PL", "+48221234567"),
            ("98765 43210", "IN", "+919876543210"),
            ("2 1234 5678", "AU", "+61212345678"),
            ("333 123 4567", "IT", "+393331234567"),
            ("20 24 05 17", "DK", "+4520240517"),
        ],
    )
    def test_digits_that_are_too_many_for_a_local_number_need_no_trunk_prefix(self, dialed, region, number):
        assert outcome(dialed, region) == number

    @pytest.mark.parametrize("region", ["DE", "AT", "SE", "KR", "EG", "FI", "HU", "IE"])
    def test_with_trunk_prefix_or_country_code_they_are_read(self, region):
        number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.FIXED_LINE)
        key = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        national = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
        assert outcome(re.sub("[^0-9]", "", national), region) == key
        assert outcome(key, region) == key
