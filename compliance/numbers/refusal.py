"""The reasons why a text is not one telephone number, each with a sentence that says what to do."""

LONGEST_INPUT = 128

REFUSALS = {
    "emergency": "This is an emergency number, which cannot be listed. To call it, dial its digits alone.",
    "empty": "No number was entered. Enter a telephone number.",
    "input-too-long": f"The text is longer than {LONGEST_INPUT} characters. Enter one telephone number.",
    "control-character": "The text contains a control character, such as a tab or a line break. Remove it.",
    "direction-mark": "An invisible character makes these digits appear in another order. Type the number by hand.",
    "not-ascii-digits": "The digits are not the digits 0 to 9. Write them as 0 to 9.",
    "date": "This is a date, not a number. Enter a telephone number, or choose the column that holds it.",
    "spreadsheet-number": "A spreadsheet has cut or reformatted the number. Export its column again, as text.",
    "star-code": "The text contains * or #, which are commands to a telephone network. Enter the number without them.",
    "two-numbers": "This looks like more than one number. Enter one number at a time.",
    "post-dial": "The number is followed by digits to send after the answer. Enter the number without them.",
    "extension": "The number is followed by an extension, which may be part of it. Write only its digits.",
    "note": "The number is followed by digits in brackets, which may be a note. Remove the brackets and their digits.",
    "letters": "The text contains letters. Write the number in digits.",
    "misplaced-plus": "Only one + is allowed, at the beginning. Remove the others.",
    "unexpected-character": "The text contains a character that no telephone number has. Remove it.",
    "malformed": "This cannot be read as one number. Enter one telephone number.",
    "malformed-uri": "This is not a tel: or sip: address of one number. Enter the number alone.",
    "uri-parameter": "A parameter of this address changes its meaning. Enter the full number without the parameter.",
    "carrier-code": "The number begins with a code that selects a carrier. Enter the number without the code.",
    "mailbox": "This is the number of a mailbox. Enter the number of the telephone, without the digits of the mailbox.",
    "old-form": "The country has replaced numbers of this form. Enter the present number.",
    "country-code-missing": "This looks like a number of +1 that has no 1. Write +1 first, or write it without spaces.",
    "unknown-country": "No country has this country code. Check the digits after the +.",
    "local-form": "This may be a local number. Write it with + and country code, or as dialled from another town.",
    "too-short": "Digits are missing. Write the whole number, with its area code.",
    "too-long": "The number has too many digits for its country. Check them.",
    "wrong-length": "No number of this country has this many digits. Check them.",
    "not-in-plan": "No number of this country begins with these digits. Check the area code and the digits after it.",
    "ambiguous": "With and without a country code these digits are two numbers. Write + and the country code first.",
}
"""Each reason why a text is not one telephone number, with a sentence that says what to do."""


class InvalidNumber(ValueError):
    """The text is not one telephone number. `reason` is a key of `REFUSALS`, and `str()` returns its sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return REFUSALS[self.reason]
