"""Text for CSV files that people open in a spreadsheet: no cell of an export or report is run as a formula."""

_FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # noqa: RUF001 - full-width forms are meant
"""First characters of a formula: the set of OWASP ("CSV Injection"), with the full-width forms that it warns of."""


def defused(text: str) -> str:
    """Return the text with an apostrophe in front when a spreadsheet would take it for a formula.

    A plus sign followed by ASCII digits alone stays as it is: it holds no operator or name that could do harm, and a
    file of E.164 numbers can be imported again.
    """
    if text.startswith(_FORMULA) and not (text[0] == "+" and text[1:].isascii() and text[1:].isdigit()):
        return f"'{text}"
    return text
