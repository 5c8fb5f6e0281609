"""Every telephone has one key: accepted and refused numbers, reasons, and masked numbers in logs."""

import copy
import pickle
import re
import subprocess
import sys

import phonenumbers
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneMetadata, PhoneNumberFormat, PhoneNumberType

from compliance.numbers import (
    LONGEST_INPUT,
    NANP_REGIONS,
    REFUSALS,
    InvalidNumber,
    known_region,
    lead_id,
    mask,
    normalize,
)
from compliance.numbers import dialled as slow

US, GB = "+14155550100", "+442079460000"
EXAMPLES = settings().max_examples
REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
KEY = re.compile(r"\+[1-9][0-9]{6,14}")
# Their mailboxes have the number of a telephone with more digits in it.
MAILBOXES = frozenset({"CH", "CZ", "DE", "IE", "IL", "IT", "SE", "VA"})


def outcome(dialed: str, region: str = "US", prefix: str = "") -> str:
    """Return the key, or the reason of the refusal, which never begins with a plus."""
    try:
        return normalize(dialed, region, prefix)
    except InvalidNumber as error:
        return error.reason


def slow_outcome(dialed: str, region: str, prefix: str) -> str:
    """Return the same from the library, without the fast path."""
    try:
        return slow.read(dialed, region, prefix)
    except InvalidNumber as error:
        return error.reason


class TestWriting:
    @pytest.mark.parametrize(
        "dialed",
        [
            "+14155550100",
            "14155550100",
            "4155550100",
            "+1 415 555 0100",
            "+1 (415) 555-0100",
            "(415) 555-0100",
            "415.555.0100",
            "1-415-555-0100",
            "1 - 415 - 555 - 0100",
            " 415 555 0100 ",
            "+1\N{NO-BREAK SPACE}415\N{NARROW NO-BREAK SPACE}555\N{IDEOGRAPHIC SPACE}0100",
            "415\N{EN DASH}555\N{NON-BREAKING HYPHEN}0100",
            "415\N{MINUS SIGN}555\N{EM DASH}0100",
            "\N{LEFT-TO-RIGHT EMBEDDING}+14155550100\N{POP DIRECTIONAL FORMATTING}",
            "415\N{ZERO WIDTH SPACE}555\N{WORD JOINER}0100\N{ZERO WIDTH NO-BREAK SPACE}",
            "415\N{SOFT HYPHEN}5550100",
            "(+1) 415 555 0100",
            " + 1 415 555 0100",
            "+1 1 415 555 0100",
            "011 1 415 555 0100",
        ],
    )
    def test_formatting_makes_no_difference(self, dialed):
        assert outcome(dialed) == US

    @pytest.mark.parametrize(
        ("dialed", "region"),
        [
            ("+44 20 7946 0000", "US"),
            ("(+44) 20 7946 0000", "US"),
            ("+44 (0)20 7946 0000", "US"),
            ("+44 020 7946 0000", "US"),
            ("(+44) (0) 20-7946-0000", "GB"),
            ("011 44 20 7946 0000", "US"),
            ("011 44 (0)20 7946 0000", "US"),
            ("00 44 20 7946 0000", "DE"),
            ("0044 (0)20 7946 0000", "GB"),
            ("0011 44 20 7946 0000", "AU"),
            ("020 7946 0000", "GB"),
            ("(020) 7946 0000", "GB"),
            ("20 7946 0000", "GB"),
            ("44 20 7946 0000", "GB"),
            ("44 (0)20 7946 0000", "GB"),
        ],
    )
    def test_international_and_trunk_prefixes_are_those_of_the_region(self, dialed, region):
        assert outcome(dialed, region) == GB

    @pytest.mark.parametrize(
        ("dialed", "region", "reason"),
        [
            ("0044 20 7946 0000", "US", "too-long"),
            ("011 44 20 7946 0000", "GB", "too-long"),
            ("44 20 7946 0000", "US", "too-long"),
            ("14155550100", "GB", "too-long"),
            ("1 415 555 0100", "MX", "too-long"),
            ("14155550100", "DE", "local-form"),
            ("020 7946 0000", "US", "too-long"),
        ],
    )
    def test_digits_without_a_plus_are_never_taken_for_another_countrys(self, dialed, region, reason):
        assert outcome(dialed, region) == reason

    @pytest.mark.parametrize(
        "dialed",
        [
            "tel:+14155550100",
            "TEL:+1-415-555-0100",
            " tel: +1 (415) 555-0100 ",
            "tel:415-555-0100",
            "tel:+14155550100;ext=123",
            "tel:+1-415-555-0100;isub=12.a",
            "tel:+14155550100;EXT=1;isub=2",
            "+14155550100;ext=12",
            "sip:+14155550100@pbx.example",
            "sips:4155550100@192.0.2.1:5061",
            "SIP:14155550100@[2001:db8::1]:5060;user=phone",
            "sip:+14155550100;ext=9@pbx.example;user=phone;transport=tls",
            "sip:%2B1415-555-0100@pbx.example",
            "4155550100@trunk",
            "+14155550100@pbx.example;user=phone",
        ],
    )
    def test_the_number_is_taken_out_of_tel_and_sip_addresses(self, dialed):
        assert outcome(dialed) == US

    @pytest.mark.parametrize(
        ("dialed", "reason"),
        [
            ("tel:5550100;phone-context=+1415", "uri-parameter"),
            ("tel:+14155550100;phone-context=example.com", "uri-parameter"),
            ("tel:+14155550100;cic=+10288", "uri-parameter"),
            ("tel:+14155550100;rn=+14155550199;npdi", "uri-parameter"),
            ("tel:+14155550100;postd=1", "uri-parameter"),
            ("tel:+14155550100;ext=x1", "uri-parameter"),
            ("sip:+14155550100;tgrp=a@pbx.example", "uri-parameter"),
            ("+14155550100;rn=1", "uri-parameter"),
            ("+14155550100;npdi@pbx.example", "uri-parameter"),
            ("+14155550100;npdi", "letters"),
            ("sip:4155550100", "malformed-uri"),
            ("tel:4155550100@pbx.example", "malformed-uri"),
            ("sip:4155550100@", "malformed-uri"),
            ("sip:4155550100@pbx.example;user=ip", "malformed-uri"),
            ("sip:4155550100@pbx.example?Replaces=a", "malformed-uri"),
            ("sip:4155550100@pbx.example,+14155550101", "malformed-uri"),
            ("4155550100@a@b", "malformed-uri"),
            ("4155550100@a b", "malformed-uri"),
            ("sip:@pbx.example", "empty"),
            ("tel:", "empty"),
            ("sip:alice@pbx.example", "letters"),
            ("sip:4155550100:secret@pbx.example", "letters"),
            ("sip:4155550100:1@pbx.example", "unexpected-character"),
            ("sip:4155550100%0a@pbx.example", "control-character"),
            ("sip:4155550100%40a@pbx.example", "letters"),
            ("<sip:4155550100@pbx.example>", "malformed-uri"),
            ("<tel:4155550100>", "letters"),
            ("http://4155550100", "two-numbers"),
        ],
    )
    def test_an_address_that_could_mean_something_else_is_refused(self, dialed, reason):
        assert outcome(dialed) == reason

    @pytest.mark.parametrize(
        "extension",
        [
            "x123",
            " x 123",
            "X1",
            "ext 123",
            " ext. 123",
            " EXT:123",
            ", ext. 12",
            "extension 123",
            " extn 1",
            "x12345678",
        ],
    )
    def test_an_extension_is_split_off(self, extension):
        assert outcome(f"415-555-0100{extension}") == US

    @pytest.mark.parametrize("extension", ["x", "ext", "x123456789", "x4155550101", "xx1", "x1x2", " exten 1", "-x1a"])
    def test_what_only_resembles_an_extension_is_refused(self, extension):
        assert outcome(f"415-555-0100{extension}") == "letters"


class TestOneKey:
    @pytest.mark.parametrize(
        ("dialed", "region"),
        [
            ("+52 55 1234 5678", "US"),
            ("+52 1 55 1234 5678", "US"),
            ("+52 01 55 1234 5678", "US"),
            ("+52 044 55 1234 5678", "US"),
            ("+52 045 55 1234 5678", "US"),
            ("011 52 1 55 1234 5678", "US"),
            ("55 1234 5678", "MX"),
            ("01 55 1234 5678", "MX"),
            ("044 55 1234 5678", "MX"),
            ("045 55 1234 5678", "MX"),
            ("52 55 1234 5678", "MX"),
            ("52 1 55 1234 5678", "MX"),
        ],
    )
    def test_a_mexican_number_is_the_same_with_and_without_its_old_prefixes(self, dialed, region):
        assert outcome(dialed, region) == "+525512345678"

    @pytest.mark.parametrize(
        ("dialed", "region"),
        [
            ("+54 11 2345 6789", "US"),
            ("+54 9 11 2345 6789", "US"),
            ("+54 11 15 2345 6789", "US"),
            ("+54 (0)11 15 2345 6789", "US"),
            ("011 54 9 11 2345 6789", "US"),
            ("011 15 2345 6789", "AR"),
            ("11 15 2345 6789", "AR"),
            ("011 2345 6789", "AR"),
            ("11 2345 6789", "AR"),
            ("9 11 2345 6789", "AR"),
            ("54 11 2345 6789", "AR"),
            ("54 9 11 2345 6789", "AR"),
        ],
    )
    def test_an_argentine_number_is_the_same_with_and_without_its_9_and_15(self, dialed, region):
        assert outcome(dialed, region) == "+541123456789"

    @pytest.mark.parametrize(
        ("dialed", "region", "number"),
        [
            ("+39 06 1234 5678", "US", "+390612345678"),
            ("+39 (0)6 1234 5678", "US", "+390612345678"),
            ("06 1234 5678", "IT", "+390612345678"),
            ("39 06 1234 5678", "IT", "+390612345678"),
            ("+39 333 123 4567", "US", "+393331234567"),
            ("333 123 4567", "IT", "+393331234567"),
            ("+39 (0)333 123 4567", "US", "not-in-plan"),
            ("0333 123 4567", "IT", "not-in-plan"),
            ("+39 031 123 456", "US", "+39031123456"),
            ("+39 6 1234 5678", "US", "not-in-plan"),
        ],
    )
    def test_an_italian_landline_keeps_its_zero_and_a_mobile_has_none(self, dialed, region, number):
        assert outcome(dialed, region) == number

    @pytest.mark.parametrize(
        ("dialed", "region", "number"),
        [
            ("+378 0549 886377", "US", "+3780549886377"),
            ("+39 0549 886377", "US", "+3780549886377"),
            ("0549 886377", "IT", "+3780549886377"),
            ("0549 8863771", "IT", "+3905498863771"),
            ("0549 886377", "SM", "+3780549886377"),
            ("048 9012 3456", "IE", "+442890123456"),
            ("+353 48 9012 3456", "US", "+442890123456"),
            ("028 9012 3456", "GB", "+442890123456"),
            ("+970 59 123 4567", "US", "+970591234567"),
            ("+972 59 123 4567", "US", "+970591234567"),
            ("059 123 4567", "IL", "+970591234567"),
            ("059 123 4567", "PS", "+970591234567"),
            ("+972 2 224 1234", "US", "+97022241234"),
            ("+972 2 654 1234", "US", "+97226541234"),
            ("+972 50 234 5678", "US", "+972502345678"),
        ],
    )
    def test_a_telephone_that_two_country_codes_reach_has_one_key(self, dialed, region, number):
        assert outcome(dialed, region) == number

    @pytest.mark.parametrize(
        ("dialed", "region", "reason"),
        [
            ("+44 0 020 7946 0000", "US", "not-in-plan"),
            ("+49 00 30 123456", "US", "not-in-plan"),
            ("+39 00 6 1234 5678", "US", "not-in-plan"),
            ("0 8 100 000 000", "BY", "not-in-plan"),
            ("+375 0 8 100 000 000", "US", "not-in-plan"),
            ("+91 0 91 98765 43210", "US", "not-in-plan"),
            ("091 98765 43210", "IN", "not-in-plan"),
            ("+0 44 20 7946 0000", "GB", "unknown-country"),
            ("+0044 20 7946 0000", "GB", "unknown-country"),
            ("+1 0415 555 0100", "US", "too-long"),
            ("0 300 123 4567", "CO", "not-in-plan"),
            ("0033 3 1234 5678", "JP", "not-in-plan"),
            ("+81 0033 3 1234 5678", "US", "not-in-plan"),
            ("186 090 1234 5678", "JP", "too-long"),
            ("09 8765 4321", "CL", "not-in-plan"),
            ("+54 9 800 1234 5678", "US", "too-long"),
            ("02 6123 4567", "MY", "not-in-plan"),
            ("0 415 555 0100", "US", "too-long"),
        ],
    )
    def test_a_prefix_too_many_makes_no_second_key(self, dialed, region, reason):
        assert outcome(dialed, region) == reason

    @pytest.mark.parametrize("region", REGIONS)
    def test_every_countrys_own_examples_have_one_key_in_every_format(self, region):
        for number in examples(region):
            key = outcome(phonenumbers.format_number(number, PhoneNumberFormat.E164))
            assert KEY.fullmatch(key)
            for spelled in formats(number):
                assert outcome(spelled, region) == key, spelled
            abroad = phonenumbers.format_out_of_country_calling_number(number, "DE")
            assert outcome(abroad, "DE") == key
            written_without_plus = phonenumbers.format_number(number, PhoneNumberFormat.E164)[1:]
            assert outcome(written_without_plus, region) in {key, "ambiguous"}

    @pytest.mark.parametrize("region", sorted(MAILBOXES))
    def test_the_mailbox_of_a_telephone_is_not_another_telephone(self, region):
        mailbox = phonenumbers.example_number_for_type(region, PhoneNumberType.VOICEMAIL)
        for spelled in formats(mailbox):
            assert outcome(spelled, region) == "mailbox"

    @pytest.mark.parametrize("region", REGIONS)
    def test_a_trunk_prefix_after_the_country_code_is_dropped_and_a_second_one_refused(self, region):
        trunk = phonenumbers.ndd_prefix_for_region(region, True) or ""
        for number in examples(region):
            key = outcome(phonenumbers.format_number(number, PhoneNumberFormat.E164))
            national = phonenumbers.national_significant_number(number)
            # Colombia's trunk prefix and the first digit of a mobile number, 0 3, look like an old carrier code.
            refused = {"not-in-plan"} if national.startswith("3") and region == "CO" else set()
            assert outcome(f"+{number.country_code} ({trunk}) {national}") in {key} | refused
            if trunk not in {"", "1"}:
                assert not outcome(f"+{number.country_code}{trunk}{trunk}{national}").startswith("+")


def examples(region: str) -> list[phonenumbers.PhoneNumber]:
    """Return one number of each type of a country, without those that are no telephone's own number.

    Some countries have numbers that only a part of the country can dial, or numbers of mailboxes.
    """
    kinds = [kind for kind in PhoneNumberType.values() if kind != PhoneNumberType.UNKNOWN]
    if region in MAILBOXES:
        kinds.remove(PhoneNumberType.VOICEMAIL)
    found = [phonenumbers.example_number_for_type(region, kind) for kind in kinds]
    not_whole = {"+13101234", "+989601"}
    return [n for n in found if n and phonenumbers.format_number(n, PhoneNumberFormat.E164) not in not_whole]


def formats(number: phonenumbers.PhoneNumber) -> list[str]:
    kinds = (
        PhoneNumberFormat.E164,
        PhoneNumberFormat.INTERNATIONAL,
        PhoneNumberFormat.NATIONAL,
        PhoneNumberFormat.RFC3966,
    )
    return [phonenumbers.format_number(number, kind) for kind in kinds]


class TestRefusals:
    @pytest.mark.parametrize(
        ("dialed", "reason"),
        [
            ("", "empty"),
            ("   ", "empty"),
            ("+", "empty"),
            ("()-", "empty"),
            ("x123", "empty"),
            ("1" * (LONGEST_INPUT + 1), "input-too-long"),
            ("+14155550100" + " " * LONGEST_INPUT, "input-too-long"),
            ("x" * 10_000_000, "input-too-long"),
            ("5550100", "local-form"),
            ("555-0100", "local-form"),
            ("+1 555 0100", "local-form"),
            ("1", "too-short"),
            ("911", "emergency"),
            ("9-1-1", "emergency"),
            (" 112 ", "emergency"),
            ("912", "too-short"),
            ("9111", "too-short"),
            ("+1", "too-short"),
            ("415555010", "too-short"),
            ("+44 20 794", "local-form"),
            ("+44 207", "too-short"),
            ("+43 1 123", "too-short"),
            ("41555501000", "too-long"),
            ("+14155550100 4155550101", "too-long"),
            ("+49 30 12345678901234", "too-long"),
            ("+353 12345", "local-form"),
            ("+34 12345678", "too-short"),
            ("+40 2123456", "wrong-length"),
            ("+999 123 456 789", "unknown-country"),
            ("+210 123 4567", "unknown-country"),
            ("1-800-FLOWERS", "letters"),
            ("nonsense", "letters"),
            ("4155550100a", "letters"),
            ("Ö4155550100", "letters"),
            ("٤١٥٥٥٥٠١٠٠", "not-ascii-digits"),
            ("４１５５５５０１００", "not-ascii-digits"),
            ("415555010٠", "not-ascii-digits"),
            ("4155550100/4155550101", "two-numbers"),
            ("415-555-0100 / 0101", "two-numbers"),
            ("4155550100,4155550101", "two-numbers"),
            ("4155550100; 415-555-0101", "two-numbers"),
            ("4155550100&4155550101", "two-numbers"),
            ("PJSIP/4155550100&PJSIP/4155550101", "two-numbers"),
            ("4155550100 or 4155550101", "two-numbers"),
            ("4155550100 and 101", "two-numbers"),
            ("4155550100p123", "post-dial"),
            ("4155550100 P 1", "post-dial"),
            ("4155550100w123", "post-dial"),
            ("4155550100,,1", "post-dial"),
            ("4155550100,", "post-dial"),
            ("4155550100;1", "post-dial"),
            ("*674155550100", "star-code"),
            ("*67p4155550100", "star-code"),
            ("4155550100#", "star-code"),
            ("#31#4155550100", "star-code"),
            ("=2025550100", "unexpected-character"),
            ("2025550100?", "unexpected-character"),
            ("202\N{SUPERSCRIPT TWO}5550100", "not-ascii-digits"),
            ("202_5550100", "unexpected-character"),
            ("\ud8002025550100", "unexpected-character"),
            ("+1415\x005550100", "control-character"),
            ("4155550100\n", "control-character"),
            ("\t4155550100", "control-character"),
            ("4155550100\N{LINE SEPARATOR}", "control-character"),
            ("+14155550100\r\nDNC_VERDICT=ALLOW", "control-character"),
            ("415+5550100", "misplaced-plus"),
            ("++14155550100", "misplaced-plus"),
            ("4155550100+", "misplaced-plus"),
            ("011+44 20 7946 0000", "misplaced-plus"),
        ],
    )  # fmt: skip
    def test_what_is_not_one_telephone_is_refused_and_never_guessed_at(self, dialed, reason):
        assert outcome(dialed) == reason

    @pytest.mark.parametrize(
        ("dialed", "region"),
        [
            ("1010288 1 415 555 0100", "US"),
            ("1010288 415 555 0100", "CA"),
            ("1015321 415 555 0100", "US"),
            ("1010288 011 44 20 7946 0000", "US"),
            ("0 15 11 98765 4321", "BR"),
            ("55 0 15 11 98765 4321", "BR"),
            ("+55 0 15 11 98765 4321", "US"),
            ("17951 138 1234 5678", "CN"),
            ("082 10 1234 5678", "KR"),
            ("1831 0412 345 678", "AU"),
            ("1900 2212 3456", "CR"),
        ],
    )
    def test_a_carrier_code_in_front_is_refused(self, dialed, region):
        assert outcome(dialed, region) == "carrier-code"

    def test_a_dial_around_code_of_plus_1_is_none_elsewhere(self):
        assert outcome("1010288 415 555 0100", "GB") == "too-long"

    @pytest.mark.parametrize(
        ("dialed", "reason"),
        [
            ("+12005550100", "+12005550100"),
            ("+19995550100", "+19995550100"),
            ("+13705550100", "+13705550100"),
            ("+11155550100", "not-in-plan"),
            ("+10155550100", "not-in-plan"),
            ("+12115550100", "not-in-plan"),
            ("+19115550100", "not-in-plan"),
            ("+14150550100", "not-in-plan"),
            ("+14151550100", "not-in-plan"),
            ("9115550100", "not-in-plan"),
            ("0155550100", "not-in-plan"),
            ("+15559110100", "+15559110100"),
        ],
    )
    def test_a_number_of_plus_1_is_judged_by_its_shape_so_new_area_codes_pass(self, dialed, reason):
        assert outcome(dialed) == reason
        assert not reason.startswith("+1999") or not phonenumbers.is_valid_number(phonenumbers.parse(reason))

    def test_new_ranges_of_other_countries_pass_when_written_with_plus_or_trunk_prefix(self):
        assert not phonenumbers.is_valid_number(phonenumbers.parse("+442999460000"))
        assert outcome("+44 29 9946 0000") == "+442999460000"
        assert outcome("029 9946 0000", "GB") == "+442999460000"
        assert outcome("29 9946 0000", "GB") == "local-form"
        assert not phonenumbers.is_valid_number(phonenumbers.parse("+390729123456"))
        assert outcome("0729 123456", "IT") == "+390729123456"

    @pytest.mark.parametrize(
        ("dialed", "region"),
        [
            ("6212 3456", "CN"),
            ("15 2345 6789", "AR"),
            ("464 1234", "AG"),
            ("212 3456", "MG"),
            ("886377", "SM"),
            ("25 6789", "GG"),
            ("7946 0000", "GB"),
            ("212 3456", "AF"),
        ],
    )
    def test_a_local_number_is_refused_where_the_library_would_complete_or_accept_it(self, dialed, region):
        assert outcome(dialed, region) in {"local-form", "not-in-plan"}

    @pytest.mark.parametrize(
        ("dialed", "region", "number"),
        [
            ("49 151 12345678", "DE", "ambiguous"),
            ("0151 12345678", "DE", "+4915112345678"),
            ("49 30 1234567", "DE", "+49301234567"),
            ("39 06 123456", "IT", "ambiguous"),
            ("392 123 4567", "IT", "+393921234567"),
            ("46 8 123456", "SE", "ambiguous"),
            ("55 3223 4567", "BR", "+555532234567"),
            ("55 11 98765 4321", "BR", "+5511987654321"),
            ("48 123 45 67", "PL", "+48481234567"),
            ("91 98765 43210", "IN", "+919876543210"),
        ],
    )
    def test_digits_that_begin_with_the_regions_country_code_are_read_only_if_one_reading_is_known(
        self, dialed, region, number
    ):
        assert outcome(dialed, region) == number

    def test_every_refusal_says_in_a_sentence_or_two_what_is_wrong_and_what_to_do(self):
        for reason, sentence in REFUSALS.items():
            assert re.fullmatch(r"[a-z]+(-[a-z]+)*", reason)
            assert sentence.count(". ") == 1
            assert sentence.endswith(".")
            assert str(InvalidNumber(reason)) == sentence

    def test_a_refusal_does_not_repeat_what_was_dialled_and_can_be_copied(self):
        with pytest.raises(InvalidNumber) as error:
            normalize("secret 4155550100", "US")
        assert "secret" not in repr(error.value) + str(error.value)
        for twin in (copy.copy(error.value), pickle.loads(pickle.dumps(error.value))):
            assert (twin.reason, str(twin)) == ("letters", REFUSALS["letters"])

    @pytest.mark.parametrize("region", ["ZZ", "us", "", "001", "USA"])
    def test_an_unknown_region_reads_no_national_number(self, region):
        assert outcome("4155550100", region) == "unknown-country"
        assert outcome("+44 20 7946 0000", region) == GB


class TestPrefix:
    @pytest.mark.parametrize(
        ("dialed", "region", "prefix", "number"),
        [
            ("94155550100", "US", "9", US),
            ("914155550100", "US", "9", US),
            ("9 (415) 555-0100", "US", "9", US),
            ("9 011 44 20 7946 0000", "US", "9", GB),
            ("4155550100", "US", "9", US),
            ("14155550100", "US", "9", US),
            ("+14155550100", "US", "9", US),
            ("99175550100", "US", "9", "+19175550100"),
            ("9175550100", "US", "9", "+19175550100"),
            ("917555010", "US", "9", "too-short"),
            ("914155550100", "US", "", "too-long"),
            ("994155550100", "US", "9", "too-long"),
            ("9+14155550100", "US", "9", "misplaced-plus"),
            ("9", "US", "9", "empty"),
            ("14155550100", "US", "1", US),
            ("24155550100", "US", "2", US),
            ("24155550100", "US", "1", "too-long"),
            ("0 020 7946 0000", "GB", "0", GB),
            ("0 0044 20 7946 0000", "GB", "0", GB),
            ("tel:9-415-555-0100", "US", "9", US),
            ("sip:94155550100@pbx", "US", "9", US),
            ("80014155550100", "US", "800", US),
            ("8008004155550100", "US", "800", "too-long"),
            ("8004155550100", "US", "800", US),
            ("7705550100", "US", "77", "+17705550100"),
            ("0301234567", "DE", "0", "+49301234567"),
            ("00301234567", "DE", "0", "+49301234567"),
            ("912345678", "ES", "9", "+34912345678"),
            ("9912345678", "ES", "9", "+34912345678"),
            ("91234567", "SG", "9", "+6591234567"),
        ],
    )
    def test_the_prefix_is_taken_off_once_from_what_begins_with_it_and_has_no_plus(
        self, dialed, region, prefix, number
    ):
        assert outcome(dialed, region, prefix) == number


COMMON = st.from_regex(r"(\+?1)?[2-9][0-9]{2}[2-9][0-9]{6}", fullmatch=True)
NEARLY_COMMON = st.from_regex(r"(\+|\+?1|9|0|011|00)?[0-9]{7,11}", fullmatch=True)
SOME_REGIONS = st.sampled_from(["US", "CA", "AG", "PR", "GB", "MX", "AR", "BR", "DE", "IT", "RU", "JP", "ZZ"])
PREFIXES = st.sampled_from(["", "", "9", "0", "1", "41", "8"])
JUNK = st.text(alphabet="0123456789+ ()-.x*,;@\n\x00\u00a0\u200b٣", max_size=2)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Draw a number of the common form with characters added, removed or replaced."""
    text = draw(COMMON)
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(JUNK) + text[at + draw(st.integers(0, 2)) :]


class TestFastPath:
    @settings(max_examples=5 * EXAMPLES)
    @given(COMMON | NEARLY_COMMON | mutated(), SOME_REGIONS | st.sampled_from(sorted(NANP_REGIONS)), PREFIXES)
    @example("9175550100", "US", "9")
    @example("9115550100", "US", "")
    @example("4155550100\n", "US", "")
    @example("٤155550100", "US", "")
    def test_it_says_what_the_library_says(self, dialed, region, prefix):
        assert outcome(dialed, region, prefix) == slow_outcome(dialed, region, prefix)

    @pytest.mark.parametrize("region", sorted(NANP_REGIONS))
    def test_every_region_of_plus_1_reads_the_common_form_alike(self, region):
        for dialed in ("4155550100", "14155550100", "+14155550100", "2684641234", "12684641234", "8005550100"):
            assert outcome(dialed, region) == slow_outcome(dialed, region, "") == f"+1{dialed[-10:]}"

    @pytest.mark.parametrize(
        ("dialed", "region", "prefix"),
        [("+14155550100", "GB", ""), ("+19175550100", "US", "9"), ("14155550100", "CA", ""), ("4155550100", "US", "9")],
    )
    def test_the_common_form_never_reaches_the_library(self, dialed, region, prefix, monkeypatch):
        monkeypatch.setattr(slow, "read", None)
        assert normalize(dialed, region, prefix) == f"+1{dialed[-10:]}"


SEPARATORS = st.sampled_from(["", "", "", " ", "-", "\u00a0", "\u2011", "\u200b", "\u2060"])
DIALLED = [
    (region, number)
    for region in REGIONS
    for number in examples(region)
    if KEY.fullmatch(outcome(phonenumbers.format_number(number, PhoneNumberFormat.E164)))
]


@st.composite
def grouped(draw: st.DrawFn, digits: str) -> str:
    """Draw digits with separators: any between all digits, dots between groups, or brackets around the first group."""
    first = len(digits) % 3 or 3  # so no group after a dot is so short that it looks like a fraction
    match draw(st.sampled_from(["any", "dots", "brackets"])):
        case "dots":
            return ".".join([digits[:first], *(digits[at : at + 3] for at in range(first, len(digits), 3))])
        case "brackets":
            return f"({digits[:first]}) {digits[first:]}"
    return "".join(draw(SEPARATORS) + c for c in digits) + draw(SEPARATORS)


@st.composite
def spelled(draw: st.DrawFn) -> tuple[str, str, str, str]:
    """Draw a number as people of a country may write it: text, region, prefix, key."""
    region, number = draw(st.sampled_from(DIALLED))
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    national = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    international_prefix = PhoneMetadata.metadata_for_region(region).international_prefix
    forms = [e164, national]
    if international_prefix.isdecimal():
        forms.append(international_prefix + e164[1:])
    digits = "".join(c for c in draw(st.sampled_from(forms)) if c in "+0123456789")
    prefix = draw(st.sampled_from(["", "9", "77"]))
    prefixed = digits if digits[0] == "+" else prefix + digits
    text = draw(grouped(prefixed))
    around = draw(
        st.sampled_from(["{}", "tel:{}", "sip:{}@pbx.example", "{}@pbx;user=phone", "{} ext. 12", "{};ext=3"])
    )
    return around.format(text), region, prefix, outcome(e164)


@st.composite
def renumbered(draw: st.DrawFn) -> tuple[str, str]:
    """Draw digits that resemble a number of a country, with or without `+` and prefixes: text, region."""
    region, number = draw(st.sampled_from(DIALLED))
    national = phonenumbers.national_significant_number(number)
    kept = draw(st.integers(0, len(national)))
    lost = draw(st.sampled_from([0, 0, 0, 1, -1]))
    other = draw(st.text("0123456789", min_size=len(national) - kept, max_size=len(national) - kept))
    code = str(number.country_code)
    front = draw(st.sampled_from([f"+{code}", f"+{code}", code, "", "0", f"+{code}0", f"+{code}1", f"+{code}9"]))
    return front + (national[:kept] + other + "5")[: len(national) - lost], region


class TestProperties:
    @pytest.mark.exhaustive
    @settings(max_examples=5 * EXAMPLES)
    @given(spelled())
    def test_every_spelling_of_a_number_gives_its_key(self, case):
        text, region, prefix, key = case
        assume(len(text) <= LONGEST_INPUT)
        said = outcome(text, region, prefix)
        assume(said != "country-code-missing")  # Digits of other countries can be grouped like a number of +1.
        assert said == key

    @pytest.mark.exhaustive
    @settings(max_examples=5 * EXAMPLES)
    @given(renumbered(), st.sampled_from(REGIONS))
    def test_a_key_is_its_own_key_in_every_region(self, case, elsewhere):
        text, region = case
        key = outcome(text, region)
        assume(key.startswith("+"))
        assert outcome(key, elsewhere, "9") == key
        assert slow_outcome(key, elsewhere, "9") == key

    @pytest.mark.exhaustive
    @pytest.mark.parametrize("country_code", sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
    @settings(max_examples=EXAMPLES // 4)
    @given(digits=st.text("0123456789", min_size=4, max_size=13))
    def test_a_key_of_every_country_code_is_its_own_key(self, country_code, digits):
        key = outcome(f"+{country_code}{digits}")
        assert not key.startswith("+") or slow_outcome(key, "US", "") == key

    @settings(max_examples=5 * EXAMPLES)
    @given(
        st.text() | st.text("0123456789+-(). ;=@,xp*#/&telsip:٣\u200b\n", max_size=40) | st.text(min_size=129),
        st.sampled_from(REGIONS),
        PREFIXES,
    )
    def test_any_text_is_a_key_or_a_refusal(self, text, region, prefix):
        said = outcome(text, region, prefix)
        assert KEY.fullmatch(said) or said in REFUSALS


class TestLeads:
    @pytest.mark.parametrize("text", ["1", "lead-1", "A.b_c-9", "x" * 64])
    def test_a_lead_id_is_short_and_plain(self, text):
        assert lead_id(text) == text

    @pytest.mark.parametrize("text", ["", "x" * 65, "a b", "lead\n", "\nlead", "läd", "a:b", "a|b", "{a}", "a*", "١"])
    def test_anything_else_is_no_lead(self, text):
        assert lead_id(text) is None


class TestMask:
    @pytest.mark.parametrize(
        ("number", "shown"),
        [
            ("+14155550100", "+1415*****00"),
            ("+442079460000", "+4420******00"),
            ("+4312345", "+43***45"),
            ("911", "***"),
            ("", ""),
            ("+123456", "*******"),
            ("\n\x00\x1b[31m4155550100", "????3*********10"),
        ],
    )
    def test_a_log_shows_where_a_number_is_and_its_last_two_digits(self, number, shown):
        assert mask(number) == shown

    @given(st.text() | st.text("0123456789+", max_size=30))
    def test_a_log_line_stays_short_and_printable_whatever_was_dialled(self, number):
        shown = mask(number)
        assert re.fullmatch(r"[+0-9*?]{0,16}", shown)
        assert shown.count("*") >= min(len(shown), 3)

    @given(st.from_regex(KEY, fullmatch=True))
    def test_no_log_shows_more_than_seven_characters_of_a_number(self, number):
        shown = mask(number)
        assert len(shown) == len(number)
        assert len(shown) - shown.count("*") <= 7
        assert number.startswith(shown.split("*")[0])
        assert shown.endswith(number[-2:])


def test_a_known_region_is_a_country_of_the_library_in_two_capital_letters():
    assert all(known_region(region) for region in ("US", "GB", "AR", *NANP_REGIONS))
    assert not any(known_region(region) for region in ("us", "ZZ", "", "001", "USA", "UK", "EU"))


def test_neither_geocoder_nor_carrier_data_is_loaded():
    code = "import sys, compliance.numbers as n; n.normalize('020 7946 0000', 'GB'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "phonenumbers" in loaded
    assert not {"phonenumbers.geocoder", "phonenumbers.carrier", "phonenumbers.timezone"} & set(loaded)
